import { existsSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  compareArms,
  type LoggedSample,
  loggedSample,
  openSandbox,
  quickjs,
  reportArms,
  runExperiment,
  type Sandbox,
  scoreSamples,
  type Task,
  task,
} from "@tessera/coder";
import { randomOf } from "@tessera/graph";
import { HashEncoder, openAiModel, openCassette } from "@tessera/models";
import type { Report } from "./measure/report.js";

const clusters = [4, 2, 1];
const count = 20;

const lines = (path: string): unknown[] =>
  readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => JSON.parse(line));

/**
 * The arms of CodeChain on the problems of the folder TESSERA_CODECHAIN: `problems.jsonl` (as apps/train/listprograms.py
 * writes them) and `log.jsonl`. Without a log, samples are drawn from the OpenAI-compatible service at TESSERA_MODEL_URL
 * (its model TESSERA_MODEL, its key TESSERA_MODEL_KEY), kept in `cassette.jsonl` and logged; with one, scoring replays it.
 */
export default async function codechain(report: Report): Promise<void> {
  const folder = process.env.TESSERA_CODECHAIN;
  const problems = folder && join(folder, "problems.jsonl");
  if (!folder || !problems || !existsSync(problems))
    return report.miss("codechain", "TESSERA_CODECHAIN names no folder with a problems.jsonl");
  const tasks = lines(problems).map((line) => task.parse(line));
  const log = join(folder, "log.jsonl");
  const sandbox = await openSandbox(quickjs());
  try {
    if (!existsSync(log)) await generate(report, folder, log, tasks, sandbox);
    if (!existsSync(log)) return;
    const samples = lines(log).map((line) => loggedSample.parse(line));
    report.say(`${samples.length} samples of ${tasks.length} problems`);
    const scored = await scoreSamples(sandbox, tasks, samples);
    const last = Math.max(...samples.map(({ round }) => round));
    for (const { arm, passAt1ByRound, ...figures } of reportArms(scored, last)) {
      for (const [metric, value] of Object.entries(figures)) report.add(arm, metric, value, "");
      for (const [round, value] of passAt1ByRound.entries()) report.add(arm, `pass@1 of round ${round}`, value, "");
    }
    for (const measure of ["passAt1", "selectOne", "selectConsensus"] as const)
      for (const arm of new Set(samples.map(({ arm }) => arm))) {
        if (arm === "modular") continue;
        const { difference, relative } = compareArms(scored, arm, "modular", measure, last);
        for (const [kind, interval] of Object.entries({ difference, relative }))
          for (const [end, value] of Object.entries(interval))
            report.add(`${arm} against modular`, `${measure} ${kind}, ${end}`, value, "");
      }
  } finally {
    await sandbox.close?.();
  }
}

async function generate(
  report: Report,
  folder: string,
  log: string,
  tasks: readonly Task[],
  sandbox: Sandbox,
): Promise<void> {
  const { TESSERA_MODEL_URL: baseUrl, TESSERA_MODEL: name, TESSERA_MODEL_KEY: apiKey } = process.env;
  if (!baseUrl || !name)
    return report.miss("codechain", `there is no ${log}, and TESSERA_MODEL_URL and TESSERA_MODEL name no service`);
  // without a seed of its own, the cassette would answer every sample alike
  const service = openAiModel({ baseUrl, model: name, capabilities: ["seed"], ...(apiKey && { apiKey }) });
  const model = await openCassette(join(folder, "cassette.jsonl"), { model: service });
  const encoder = new HashEncoder();
  encoder.fit(tasks.flatMap(({ modules }) => modules));
  // a log that breaks off is no log: the cassette keeps what was paid for
  const partial: LoggedSample[] = [];
  const settings = {
    ...{ model, sandbox, encoder, clusters, count, maxTokens: 1024, temperature: 1, characters: 4000 },
    style: "full" as const,
    context: (id: string, arm: string, seed: number) => {
      const path = `${id}/${arm}`;
      const { signal } = new AbortController();
      return { path, signal, random: randomOf(seed, path), emit: () => undefined, spend: () => undefined };
    },
  };
  for await (const sample of runExperiment(tasks, settings)) partial.push(sample);
  await writeFile(log, partial.map((sample) => `${JSON.stringify(sample)}\n`).join(""));
}
