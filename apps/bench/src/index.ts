import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus, loadavg, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { baseline, baselineCommit } from "./measure/baseline.js";
import type { Report } from "./measure/report.js";
import { interleave, percentile } from "./measure/rounds.js";

const rounds = Number(process.env.TESSERA_ROUNDS ?? 3);
const processes = Number(process.env.TESSERA_PROCESSES ?? 20);
const manyFiles = 4000;
const here = fileURLToPath(new URL("../../..", import.meta.url));
const median = (list: readonly number[]) => percentile(list, 0.5);

/** What a process took, in milliseconds, and when each piece of its standard output came. */
interface Spent {
  readonly wall: number;
  readonly processor: number;
  readonly pieces: readonly number[];
}

/** Runs the command line of a checkout; its processor time is that of all its threads and processes. */
function tessera(checkout: string, given: readonly string[], home: string): Promise<Spent> {
  return new Promise((resolve, reject) => {
    const command = [process.execPath, join(checkout, "apps/cli/bin/tessera.mjs"), ...given];
    const started = performance.now();
    const child = spawn("bash", ["-c", 'TIMEFORMAT="%U %S"; time "$@"', "bash", ...command], {
      env: { ...process.env, TESSERA_HOME: home, NO_COLOR: "1" },
      cwd: tmpdir(),
      stdio: ["ignore", "pipe", "pipe"],
    });
    const pieces: number[] = [];
    let said = "";
    child.stdout.on("data", () => pieces.push(performance.now() - started));
    child.stderr.on("data", (chunk: Buffer) => {
      said += chunk.toString();
    });
    child.on("error", reject);
    child.on("close", () => {
      const wall = performance.now() - started;
      const [user = Number.NaN, system = Number.NaN] = said.trim().split("\n").at(-1)!.split(" ").map(Number);
      if (Number.isFinite(user + system)) resolve({ wall, processor: 1000 * (user + system), pieces });
      else reject(new Error(said.trim().split("\n").at(-1)));
    });
  });
}

/** Bytes of the files in a folder. */
const sizeOf = (folder: string): number =>
  readdirSync(folder, { recursive: true, withFileTypes: true }).reduce(
    (sum, entry) => (entry.isFile() ? sum + statSync(join(entry.parentPath, entry.name)).size : sum),
    0,
  );

/**
 * The figures of an index, by the command line, in processes of their own: time against the build of `baselineCommit` in
 * interleaved rounds, room on disk, what `ask` takes on a warm index, and one changed file of many. TESSERA_ROUNDS (3) and
 * TESSERA_PROCESSES (20) say how often. On a loaded machine only the processor times and the ratios say something.
 */
export default async function index(report: Report): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "tessera-bench-index-"));
  const root = join(dirname(createRequire(import.meta.url).resolve("zod/package.json")), "src");
  try {
    report.say(`load ${loadavg()[0]!.toFixed(1)} on ${cpus().length} cores`);
    report.add("this build", "source", sizeOf(root) / 1e6, "MB");
    await times(report, { root, folder });
    await room(report, { root, folder });
    await warmAsks(report, { root, folder });
    await oneOfMany(report, folder);
    report.say(`load ${loadavg()[0]!.toFixed(1)} at the end`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Where {
  readonly root: string;
  readonly folder: string;
}

/** The default encoder of the baseline, and those of this build. */
const encoders = {
  "default encoder": ["code-encoder-2", "hash+code-encoder"],
  "hash encoder": ["hash", "hash"],
} as const;

async function times(report: Report, { root, folder }: Where): Promise<void> {
  let before: string | undefined;
  try {
    before = baseline();
  } catch (error) {
    report.miss(baselineCommit, (error as Error).message);
  }
  for (const [name, [own, theirs]] of Object.entries(encoders)) {
    const indexed = (checkout: string, encoder: string) => () => {
      const home = mkdtempSync(join(folder, "home-"));
      return tessera(checkout, ["index", root, "--encoder", encoder], home);
    };
    const spent = await interleave(
      {
        "this build": indexed(here, own),
        ...(before !== undefined && { [baselineCommit]: indexed(before, theirs) }),
      },
      rounds,
    );
    for (const [system, list] of Object.entries(spent)) {
      report.add(system, `${name}, wall time`, median(list.map(({ wall }) => wall)) / 1000, "s");
      report.add(system, `${name}, processor time`, median(list.map(({ processor }) => processor)) / 1000, "s");
    }
    if (before === undefined) continue;
    const ratio = (take: (one: Spent) => number) =>
      median(spent["this build"]!.map((one, round) => take(one) / take(spent[baselineCommit]![round]!)));
    report.add(
      "this build",
      `${name}, wall time of ${baselineCommit}'s`,
      ratio(({ wall }) => wall),
      "×",
    );
    report.add(
      "this build",
      `${name}, processor time of ${baselineCommit}'s`,
      ratio(({ processor }) => processor),
      "×",
    );
  }
}

async function room(report: Report, { root, folder }: Where): Promise<void> {
  for (const [name, [encoder]] of Object.entries(encoders)) {
    const home = join(folder, `room-${encoder}`);
    await tessera(here, ["index", root, "--encoder", encoder], home);
    report.add("this build", `${name}, on disk of the source`, sizeOf(home) / sizeOf(root), "×");
  }
}

/** What three kinds of process tell: one that ends when it has loaded everything, and one that answers. */
async function warmAsks(report: Report, { root, folder }: Where): Promise<void> {
  const home = join(folder, "room-code-encoder-2");
  const question = "how is an email address checked";
  const start: Spent[] = [];
  const ask: Spent[] = [];
  for (let round = 0; round < processes; round++) {
    // no such folder: it is refused when all that `ask` imports is there
    start.push(await tessera(here, ["ask", question, "--source", join(folder, "missing")], home));
    ask.push(await tessera(here, ["ask", question, "--source", root], home));
  }
  const add = (metric: string, list: readonly number[], unit = "ms") =>
    report.add("this build", metric, median(list), unit);
  add(
    "ask: start and imports, wall",
    start.map(({ wall }) => wall),
  );
  add(
    "ask: start and imports, processor",
    start.map(({ processor }) => processor),
  );
  // the question is printed when the index is open
  add(
    "ask: open, wall",
    ask.map(({ pieces }, round) => pieces[0]! - start[round]!.wall),
  );
  add(
    "ask: first word in all, wall",
    ask.map(({ pieces, wall }) => pieces[1] ?? wall),
  );
  add(
    "ask: whole, processor",
    ask.map(({ processor }) => processor),
  );
}

async function oneOfMany(report: Report, folder: string): Promise<void> {
  const root = join(folder, "many");
  const home = join(folder, "home-many");
  const fileOf = (number: number) => join(root, `part-${number % 40}`, `file-${number}.ts`);
  const textOf = (number: number, value: number) =>
    `/** Gives the number of step ${number}. */\nexport function step${number}(): number {\n  return ${value};\n}\n`;
  for (let part = 0; part < 40; part++) mkdirSync(join(root, `part-${part}`), { recursive: true });
  for (let number = 0; number < manyFiles; number++) writeFileSync(fileOf(number), textOf(number, number));
  await tessera(here, ["index", root], home);
  const spent: Spent[] = [];
  for (let round = 0; round < rounds; round++) {
    writeFileSync(fileOf(17), textOf(17, 100_000 + round));
    spent.push(await tessera(here, ["index", root], home));
  }
  const metric = `one changed file of ${manyFiles}, whole process`;
  report.add("this build", `${metric}, wall`, median(spent.map(({ wall }) => wall)), "ms");
  report.add("this build", `${metric}, processor`, median(spent.map(({ processor }) => processor)), "ms");
}
