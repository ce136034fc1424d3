// the packages that are published: those of the workspace that are not private
import { join, relative } from "node:path";
import { workspaces } from "@tessera/setup/setup.mjs";
import { readJson, root } from "./workspace.mjs";

let found;

/** Every published package by its name: its folder and its package.json, as it stands in the repository. */
export function published() {
  found ??= new Map(
    workspaces()
      .map((folder) => ({ folder, manifest: readJson(join(relative(root, folder), "package.json")) }))
      .filter(({ manifest }) => !manifest.private)
      .map((one) => [one.manifest.name, one]),
  );
  return found;
}
