// npm run release -- …: what goes to the registry
//   pack [folder]    packs every published package
//   sizes            the table of what `npm install` brings, alone and with each optional part
//   matrix           one application on every Node, by every package manager, with the oldest and the newest zod
//   docker           lints the Dockerfile of the docs, and runs its steps in a clean folder
//   --dry-run        checks and packs all, and shows what would be published, by whom it is asked for
// sizes and matrix take --json
//   publish          the same, and publishes (a workflow calls it: .github/workflows/release.yml)
import { spawnSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { table } from "@tessera/setup/report.mjs";
import { environment, main, SetupError, say, setup } from "@tessera/setup/setup.mjs";
import { dockerfile, lint, runSteps } from "./docker.mjs";
import { matrix } from "./matrix.mjs";
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

async function docker() {
  const found = lint(dockerfile);
  if (found) throw new SetupError(found);
  await runSteps({ say });
  say("The image's program answered, and ended with SIGTERM.");
}

await main(async () => {
  const [command = "--dry-run", place] = process.argv.slice(2);
  const show = (rows) => console.log(place === "--json" ? JSON.stringify(rows) : table(rows));
  setup();
  if (command === "pack") for (const path of packAll(place ?? folder).values()) console.log(path);
  else if (command === "sizes") show(sizes(packAll(folder), optionalParts));
  else if (command === "docker") await docker();
  else if (command === "matrix") show(matrix(packAll(folder)));
  else if (command === "--dry-run" || command === "publish") publish(command === "--dry-run");
  else throw new SetupError("Say pack, sizes, matrix, docker, --dry-run or publish.");
});
