import { existsSync, readFileSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openSandbox, quickjs, type Sandbox } from "@tessera/coder";
import {
  type Arm,
  arms,
  type LoggedSample,
  readLines,
  readLog,
  remembering,
  runExperiment,
  scoreSamples,
  type Task,
  task,
  writeLines,
  writeLog,
} from "@tessera/coder/internal";
import type { Encoder } from "@tessera/core";
import { randomOf } from "@tessera/graph/internal";
import { cpuEngine, findModel, openCodeEncoder } from "@tessera/models";
import { tablesOf } from "./measure/codechain-tables.js";
import type { Report } from "./measure/report.js";
import { sampledModel } from "./measure/sampler.js";

const place = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const problemsFile = place("../codechain/problems.jsonl.br");
const logs = place("../codechain/logs/");
const page = place("../../../docs/models/codechain.md");
const [opening, closing] = ["<!-- figures: npm run bench -- codechain -->", "<!-- end of figures -->"];

/** Problems that are drawn together, and logged before the next. */
const portion = 38;
/** Problems of the development split, and of each other split. */
const counts: Readonly<Record<string, number>> = { development: 38, none: 75, length: 75, compose: 75, new_op: 75 };
/** 20 samples a round; the clusters of each revision. */
const count = 20;
const clusters = [4, 2, 1];
const seeds = [1, 2];
const maxTokens = 176;
const temperature = 1;
/** Long enough that a busy machine fails no program that ends; the model writes no loops that do not. */
const wallMs = 20_000;

/**
 * CodeChain's arms on list programs with our own small model. Without more the committed logs are scored again, which needs
 * no model, and the figures of docs/models/codechain.md are written. TESSERA_CODECHAIN=draw draws what is not logged yet with
 * the bundle list-coder (TESSERA_PYTHON: a Python with torch); a run that was stopped goes on with the same command.
 * TESSERA_ARMS=<names> and TESSERA_SEEDS=<numbers> draw these alone, TESSERA_FROM=end the last problems first, so that two
 * processes meet.
 * TESSERA_LISTPROGRAMS=<the folder that apps/train/listprograms.py wrote> takes other problems, and their logs with them.
 * TESSERA_CODECHAIN=try only prints pass@1 on the development problems.
 */
export default async function codechain(report: Report): Promise<void> {
  const { TESSERA_CODECHAIN: work, TESSERA_LISTPROGRAMS: folder, TESSERA_FROM: from } = process.env;
  const wanted = {
    arms: arms.filter((arm) => process.env.TESSERA_ARMS?.split(",").includes(arm) ?? true),
    seeds: process.env.TESSERA_SEEDS?.split(",").map(Number) ?? seeds,
  };
  const sandbox = await openSandbox(quickjs(), { wallMs });
  try {
    if (folder) {
      await rm(logs, { recursive: true, force: true });
      await writeLines(problemsFile, problemsIn(folder));
    }
    const tasks = await readLines(problemsFile, task);
    if (work === "try") return await attempt(report, tasks, sandbox);
    if (work === "draw") await drawRest(report, from === "end" ? tasks.toReversed() : tasks, sandbox, wanted);
    const log = await readLogs();
    if (log.length === 0) return report.miss("codechain", `there is no log in ${logs}`);
    const logged = new Set(log.map(({ problem }) => problem));
    report.say(`${log.length} samples of ${logged.size} problems`);
    const scored = await scoreSamples(sandbox, tasks, log);
    const tables = tablesOf(
      tasks.filter(({ id }) => logged.has(id)),
      scored,
      report,
    );
    const text = await readFile(page, "utf8");
    const [before, rest] = text.split(opening) as [string, string];
    await writeFile(page, `${before}${opening}\n\n${tables}\n\n${closing}${rest.split(closing)[1]}`);
  } finally {
    await sandbox.close?.();
  }
}

async function readLogs(): Promise<LoggedSample[]> {
  const names = existsSync(logs) ? (await readdir(logs)).sort() : [];
  return (await Promise.all(names.map((name) => readLog(join(logs, name))))).flat();
}

async function drawRest(
  report: Report,
  tasks: readonly Task[],
  sandbox: Sandbox,
  wanted: { readonly arms: readonly Arm[]; readonly seeds: readonly number[] },
): Promise<void> {
  await mkdir(logs, { recursive: true });
  for (const seed of wanted.seeds)
    for (;;) {
      const log = (await readLogs()).filter((one) => one.seed === seed);
      const done = new Set(log.map(({ problem, arm }) => `${problem} ${arm}`));
      const rest = tasks.filter(({ id }) => wanted.arms.some((arm) => !done.has(`${id} ${arm}`)));
      const own = rest.slice(0, portion);
      if (own.length === 0) break;
      const missing = wanted.arms.filter((arm) => own.some(({ id }) => !done.has(`${id} ${arm}`)));
      const drawn: LoggedSample[] = [];
      for await (const one of experiment(own, sandbox, { arms: missing, seed, log }))
        if (!done.has(`${one.problem} ${one.arm}`)) drawn.push(one);
      await writeLog(join(logs, `seed-${seed}.${own[0]!.id}.${missing.length}.jsonl.br`), drawn);
      report.say(`seed ${seed}: ${own.length} problems drawn, ${rest.length - own.length} left`);
    }
}

/** The first problems of every split: those of development, then one of each other split in turn. */
function problemsIn(folder: string): Task[] {
  const [first, ...others] = Object.entries(counts).map(([split, count]) =>
    readFileSync(join(folder, `${split}.jsonl`), "utf8")
      .split("\n")
      .slice(0, count)
      .map((line) => task.parse(JSON.parse(line))),
  );
  return [...first!, ...others[0]!.flatMap((_, turn) => others.map((split) => split[turn]!))];
}

async function* experiment(
  tasks: readonly Task[],
  sandbox: Sandbox,
  { seed, ...chosen }: { arms: readonly Arm[]; seed: number; log?: readonly LoggedSample[] },
) {
  const python = process.env.TESSERA_PYTHON ?? "python3";
  const model = sampledModel(python, process.env.TESSERA_LIST_CODER ?? (await findModel("list-coder")));
  const encoder = await openCodeEncoder(await findModel("code-encoder"), cpuEngine());
  try {
    yield* runExperiment(tasks, {
      ...{
        model,
        sandbox: remembering(sandbox),
        encoder: rememberingEncoder(encoder),
        clusters,
        count,
        maxTokens,
        temperature,
      },
      ...{ characters: 4000, style: "brief" as const, seeds: [seed], ...chosen },
      context: (id, arm, seed) => {
        const path = `${id}/${arm}`;
        const { signal } = new AbortController();
        return { path, signal, random: randomOf(seed, path), emit: () => undefined, spend: () => undefined };
      },
    });
  } finally {
    await Promise.all([model.close(), encoder.close()]);
  }
}

/** pass@1 of blind samples on the development problems, by whether the text leaves a step out: what sets the difficulty. */
async function attempt(report: Report, tasks: readonly Task[], sandbox: Sandbox): Promise<void> {
  const own = tasks.filter(({ split }) => split === "development");
  const log: LoggedSample[] = [];
  for await (const one of experiment(own, sandbox, { arms: ["direct", "modular"], seed: seeds[0]! })) log.push(one);
  const scored = await scoreSamples(sandbox, own, log);
  for (const vague of [false, true])
    for (const arm of ["direct", "modular"]) {
      const ids = new Set(own.filter((one) => one.vague === vague).map(({ id }) => id));
      const samples = scored.filter((one) => one.arm === arm && ids.has(one.problem));
      const share = (holds: (one: (typeof samples)[number]) => boolean) =>
        samples.filter(holds).length / samples.length;
      const name = `${arm}, ${vague ? "vague" : "clear"} (${ids.size} problems)`;
      report.add(
        name,
        "pass@1",
        share(({ passesHidden }) => passesHidden),
        "",
      );
      report.add(
        name,
        "passes the public tests",
        share(({ passesPublic }) => passesPublic),
        "",
      );
      report.add(
        name,
        "ends as a program",
        share(({ extractable }) => extractable),
        "",
      );
    }
}

/** An encoder that encodes equal texts once. */
function rememberingEncoder(encoder: Encoder): Encoder {
  const known = new Map<string, Promise<Float32Array>>();
  return {
    ...{ revision: encoder.revision, space: (embedding) => encoder.space(embedding) },
    async encode(texts, how, signal) {
      const fresh = [...new Set(texts)].filter((text) => !known.has(text));
      const vectors = encoder.encode(fresh, how, signal);
      for (const [index, text] of fresh.entries())
        known.set(
          text,
          vectors.then((found) => found[index]!),
        );
      return Promise.all(texts.map((text) => known.get(text)!));
    },
  };
}
