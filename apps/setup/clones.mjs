// code that stands twice, as jscpd finds it with the configuration of this repository
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL("../..", import.meta.url));
const require = createRequire(join(here, "package.json"));

/**
 * The clones in a checkout: how many lines stand twice, and in which two places, the longest first.
 * @param folder The root of the checkout: this one, or that of another commit. The configuration is always this one's.
 */
export function clonesIn(folder) {
  const manifest = require.resolve("jscpd/package.json");
  const program = join(dirname(manifest), Object.values(require(manifest).bin)[0]);
  const out = mkdtempSync(join(tmpdir(), "tessera-clones-"));
  try {
    const given = ["-c", join(here, ".jscpd.json"), "--reporters", "json", "--output", out, "packages", "apps"];
    const { status, error, stderr } = spawnSync(process.execPath, [program, ...given], {
      cwd: folder,
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(`jscpd failed: ${error?.message ?? stderr.trim().split("\n").at(-1)}`);
    const { duplicates } = JSON.parse(readFileSync(join(out, "jscpd-report.json"), "utf8"));
    const placeOf = ({ name, start, end }) => `${name}:${start}-${end}`;
    return duplicates
      .map(({ lines, firstFile, secondFile }) => ({ lines, places: [placeOf(firstFile), placeOf(secondFile)] }))
      .sort((a, b) => b.lines - a.lines);
  } finally {
    rmSync(out, { recursive: true });
  }
}
