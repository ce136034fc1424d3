// npm run release -- …: what goes to the registry
//   pack [folder]    packs every published package
//   sizes            the table of what `npm install` brings, alone and with each optional part
//   --dry-run        checks and packs all, and shows what would be published, by whom it is asked for
//   publish          the same, and publishes (a workflow calls it: .github/workflows/release.yml)
import { spawnSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { table } from "@tessera/setup/report.mjs";
import { environment, main, SetupError, say, setup } from "@tessera/setup/setup.mjs";
import { overAll, packAll } from "./pack.mjs";
import { optionalParts } from "./parts.mjs";
import { published } from "./published.mjs";
import { sizes } from "./sizes.mjs";
import { root } from "./workspace.mjs";

const folder = join(root, ".tessera", "packed");

/** What is wrong with the state of the repository for a release, a sentence each. */
export function faultsOfRelease(
  packages = [...published().values()],
  changelog = readFileSync(join(root, "CHANGELOG.md"), "utf8"),
) {
  const versions = new Set(packages.map(({ manifest }) => manifest.version));
  const [version] = versions;
  return [
    ...(versions.size > 1 ? [`The packages have the versions ${[...versions].join(", ")}; they go in step.`] : []),
    ...(changelog.includes(`\n## ${version}`) ? [] : [`CHANGELOG.md has no section "## ${version}".`]),
  ];
}

function publish(dryRun) {
  const faults = faultsOfRelease();
  if (faults.length > 0) throw new SetupError(faults.join("\n"));
  const tarballs = packAll(folder);
  const rows = [...published().values()].map(({ manifest }) => ({
    package: manifest.name,
    version: manifest.version,
    "kB packed": (statSync(tarballs.get(manifest.name)).size / 1e3).toFixed(0),
  }));
  console.log(`${table(rows)}\n`);
  const args = ["publish", "--access=public", ...(dryRun ? ["--dry-run", "--no-git-checks"] : [])];
  const { status } = spawnSync(process.execPath, overAll(...args), {
    cwd: root,
    env: { ...environment(), NPM_CONFIG_PROVENANCE: dryRun ? "false" : "true" },
    stdio: dryRun ? ["ignore", "pipe", "inherit"] : "inherit",
  });
  if (status !== 0) throw new SetupError("Publishing failed: see above.");
  say(dryRun ? "Nothing was published: this was a dry run." : "Published.");
}

await main(() => {
  const [command = "--dry-run", place] = process.argv.slice(2);
  setup();
  if (command === "pack") for (const path of packAll(place ?? folder).values()) console.log(path);
  else if (command === "sizes") console.log(table(sizes(packAll(folder), optionalParts)));
  else if (command === "--dry-run" || command === "publish") publish(command === "--dry-run");
  else throw new SetupError("Say pack, sizes, --dry-run or publish.");
});
