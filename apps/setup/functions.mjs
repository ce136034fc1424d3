// how long functions are, as Biome counts their lines, and which of them may be longer than it allows
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { readJson, root } from "./fetch.mjs";

const rule = "noExcessiveLinesPerFunction";
const require = createRequire(join(root, "package.json"));
const biome = join(dirname(require.resolve("@biomejs/biome/package.json")), "bin", "biome");
const aside = new Set(["node_modules", "dist", "fixtures", "samples", ".test", ".turbo"]);
// what the overrides of biome.json exempt: tests, their fixtures and the suites of the testkit, whose functions are lists of
// cases that are each read alone; and the programs of the sandbox, which run elsewhere
const exempt = /\.(?:test|fixture)\.ts$|(?:^|\/)packages\/testkit\/|\/coder\/harness\//;
/** Functions that are no longer than this are not told. */
const least = 30;

/**
 * The longest functions of a checkout, without those of tests and those that may be longer: place and lines.
 * @param folder The root of the checkout: this one, or that of another commit. The rule is always this one's.
 */
export function longestFunctions(folder, count) {
  const config = mkdtempSync(join(tmpdir(), "tessera-lint-"));
  try {
    const only = { recommended: false, complexity: { [rule]: { level: "error", options: { maxLines: least } } } };
    writeFileSync(join(config, "biome.json"), JSON.stringify({ root: true, linter: { enabled: true, rules: only } }));
    const given = ["lint", `--config-path=${config}`, "--max-diagnostics=none", "--reporter=json", "packages", "apps"];
    const { stdout, stderr } = spawnSync(process.execPath, [biome, ...given], {
      cwd: folder,
      encoding: "utf8",
      maxBuffer: 1 << 28,
    });
    if (!stdout.startsWith("{")) throw new Error(`Biome failed: ${stderr.trim().split("\n").at(-1)}`);
    return JSON.parse(stdout)
      .diagnostics.filter(({ category }) => category?.endsWith(rule))
      .map(({ message, location: { path, start } }) => ({
        place: `${path}:${start.line}`,
        lines: Number(/\((\d+)\)/.exec(message)[1]),
      }))
      .filter(({ place }) => !exempt.test(place.replace(/:\d+$/, "")) && !/\/(?:dist|fixtures|samples)\//.test(place))
      .sort((a, b) => b.lines - a.lines)
      .slice(0, count);
  } finally {
    rmSync(config, { recursive: true });
  }
}

function* sourcesIn(folder, inside) {
  for (const entry of readdirSync(join(folder, inside), { withFileTypes: true })) {
    const place = `${inside}/${entry.name}`;
    if (entry.isDirectory()) {
      if (!aside.has(entry.name)) yield* sourcesIn(folder, place);
    } else if (/\.(?:ts|tsx|mjs|cjs)$/.test(place) && !exempt.test(place))
      yield { place, text: readFileSync(join(folder, place), "utf8") };
  }
}

/** The functions that may be longer than biome.json allows, with the reason that each gives. */
export function suppressionsOfLength() {
  const marked = new RegExp(`biome-ignore lint/complexity/${rule}: (.+)`, "g");
  return ["packages", "apps"]
    .flatMap((inside) => [...sourcesIn(root, inside)])
    .flatMap(({ place, text }) => [...text.matchAll(marked)].map(([, reason]) => ({ place, reason })));
}

/** The most lines that biome.json allows a function. */
export const mostLines = () => readJson(join(root, "biome.json")).linter.rules.complexity[rule].options.maxLines;
