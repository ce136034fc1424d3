// npm run release -- pack [folder]: packs every published package
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { environment, pnpmScript, SetupError } from "@tessera/setup/setup.mjs";
import { sweep } from "@tessera/setup/sweep.mjs";
import { published } from "./published.mjs";
import { writeReadmes } from "./readme.mjs";
import { root } from "./workspace.mjs";

const hooks = fileURLToPath(new URL("pnpmfile.mjs", import.meta.url));

/** The arguments with which Node runs pnpm over every published package. */
export const overAll = (...args) => [
  pnpmScript,
  `--config.pnpmfile=${hooks}`,
  "--recursive",
  ...[...published().keys()].map((name) => `--filter=${name}`),
  ...args,
];

/** The name of a tarball: pnpm's own rule. */
export const tarballOf = ({ name, version }) => `${name.replace("@", "").replace("/", "-")}-${version}.tgz`;

/**
 * Packs every published package of the build into a folder.
 * @returns the paths of the tarballs by the names of their packages
 */
export function packAll(folder) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeReadmes();
  for (const { folder: own } of published().values()) sweep(own);
  const { status, stdout, stderr } = spawnSync(process.execPath, overAll("pack", `--pack-destination=${folder}`), {
    cwd: root,
    env: environment(),
    encoding: "utf8",
  });
  if (status !== 0) throw new SetupError(`Packing failed:\n${stdout}${stderr}`);
  const there = new Set(readdirSync(folder));
  return new Map(
    [...published().values()].map(({ manifest }) => {
      const file = tarballOf(manifest);
      if (!there.has(file)) throw new SetupError(`${manifest.name} was not packed: there is no ${file}.`);
      return [manifest.name, join(folder, file)];
    }),
  );
}
