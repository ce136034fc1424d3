import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("../templates", import.meta.url));
const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string };

/** The templates: what each makes. */
export const templates = {
  service: "an HTTP service that answers questions about a folder",
  chat: "a conversation in the terminal about a folder",
  flow: "a flow with an operator of your own",
} as const;
export type Template = keyof typeof templates;

/** What is wrong with what was asked for: a sentence for people. */
export class CreateError extends Error {}

const isName = /^[a-z0-9][a-z0-9._-]*$/;

/**
 * Writes a project into a folder that is empty or not there.
 * @returns the paths of its files, relative to the folder
 * @throws CreateError
 */
export function createProject(place: string, template: Template): string[] {
  const target = resolve(place);
  const name = basename(target).toLowerCase();
  if (!isName.test(name))
    throw new CreateError(`"${basename(target)}" cannot name a package: use letters, digits, "-", "_" and ".".`);
  if (existsSync(target) && readdirSync(target).length > 0)
    throw new CreateError(`${target} is not empty: name a folder that is not there yet.`);
  mkdirSync(target, { recursive: true });
  for (const from of ["common", template]) cpSync(join(folder, from), target, { recursive: true });
  // npm packs no file of this name
  writeFileSync(join(target, ".gitignore"), "node_modules/\ndist/\n.tessera/\n.env\n");
  const file = join(target, "package.json");
  const text = readFileSync(file, "utf8").replaceAll("{{name}}", name).replaceAll("{{version}}", manifest.version);
  writeFileSync(file, text);
  return readdirSync(target, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(target.length + 1))
    .sort();
}
