// npm run figures [-- --baseline --json]: how readable the repository is, in figures, beside what they must reach
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { clonesIn } from "./clones.mjs";
import { exportedCount } from "./face.mjs";
import { longestFunctions, mostLines, suppressionsOfLength } from "./functions.mjs";
import { main, root, SetupError, say, setup } from "./setup.mjs";

/** A module of the bench, as it is built. */
const bench = (file) => import(pathToFileURL(join(root, "apps/bench/dist/measure", file)).href);

const most = { suppressions: 5, core: 90, graph: 20, models: 40, clones: 20, cloneLines: 15, frames: 6 };

/** A figure: what is counted, today's value and the baseline's as text, what it must reach, and whether it does. */
const figure = (name, value, aim, met, baseline) => ({ name, value: `${value}`, aim, met, baseline });
const atMost = (name, value, limit, baseline) => figure(name, value, `at most ${limit}`, value <= limit, baseline);

function ofFunctions(other) {
  const longest = (folder) => longestFunctions(folder, 3);
  const told = (functions) => functions.map(({ place, lines }) => `${lines} (${place})`).join(", ");
  const now = longest(root);
  const limit = mostLines();
  return [
    figure(
      "lines of the longest functions",
      told(now),
      `at most ${limit}`,
      now[0].lines <= limit,
      other && told(longest(other)),
    ),
    atMost("functions that may be longer, each with a reason", suppressionsOfLength().length, most.suppressions),
  ];
}

function ofNames(other) {
  return ["core", "graph", "models"].map((name) =>
    atMost(`public names of ${name}`, exportedCount(root, name), most[name], other && exportedCount(other, name)),
  );
}

function ofClones(other) {
  const longest = (clones) => Math.max(0, ...clones.map(({ lines }) => lines));
  const now = clonesIn(root);
  const before = other && clonesIn(other);
  return [
    atMost("clones (jscpd, .jscpd.json)", now.length, most.clones, before?.length),
    atMost("lines of the longest clone", longest(now), most.cloneLines, before && longest(before)),
  ];
}

async function ofFrames(other) {
  const { stackOfWork, ownFrames } = await bench("frames.js");
  const count = async (folder) => {
    const of = (name) => import(pathToFileURL(join(folder, "packages", name, "dist/index.js")).href);
    const stack = await stackOfWork({ core: await of("core"), tessera: await of("tessera") });
    return ownFrames(stack, folder).length;
  };
  const name = "own frames between tessera.run and an operator's work";
  return [atMost(name, await count(root), most.frames, other && (await count(other)))];
}

async function ofImports() {
  const { importCost, mostImportRatio } = await bench("import-cost.js");
  const figures = [];
  for (const name of ["core", "graph", "tessera"]) {
    say(`importing ${name}, in turns with the earlier commit …`);
    const { ratio, interval, today, baseline } = await importCost(name);
    const [from, to] = interval.map((end) => end.toFixed(2));
    figures.push(
      figure(
        `import of ${name}, times the earlier commit's processor time`,
        `${ratio.toFixed(2)} [${from}, ${to}] (${today.toFixed(0)} ms)`,
        `interval ends below ${mostImportRatio}`,
        interval[1] < mostImportRatio,
        `${baseline.toFixed(0)} ms`,
      ),
    );
  }
  return figures;
}

function table(figures, commit) {
  const hasBaseline = figures.some(({ baseline }) => baseline !== undefined);
  const row = (cells) => `| ${cells.join(" | ")} |`;
  const verdict = { true: "yes", false: "NO", undefined: "" };
  const head = ["", "today", "must reach", "reached", ...(hasBaseline ? [commit] : [])];
  const rows = figures.map(({ name, value, aim, met, baseline }) =>
    row([name, value, aim, verdict[met], ...(hasBaseline ? [baseline ?? ""] : [])]),
  );
  return [row(head), row(head.map(() => "---")), ...rows].join("\n");
}

await main(async () => {
  const given = process.argv.slice(2);
  const unknown = given.filter((option) => !["--baseline", "--json"].includes(option));
  if (unknown.length > 0)
    throw new SetupError(
      `There is no option ${unknown.join(" ")}: npm run figures [-- --baseline --json]. --baseline counts everything in an earlier commit too; --json prints JSON.`,
    );
  setup();
  const { baseline, baselineCommit } = await bench("baseline.js");
  const other = given.includes("--baseline") ? baseline() : undefined;
  const figures = [
    ...ofFunctions(other),
    ...ofNames(other),
    ...ofClones(other),
    ...(await ofFrames(other)),
    ...(await ofImports()),
  ];
  console.log(given.includes("--json") ? JSON.stringify(figures, undefined, 2) : table(figures, baselineCommit));
  if (figures.some(({ met }) => met === false)) process.exitCode = 1;
});
