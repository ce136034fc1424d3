import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { openSandbox, quickjs, type Sandbox } from "@tessera/coder";
import {
  type Arm,
  grouped,
  type LoggedSample,
  mbxpTasks,
  readMbxp,
  remembering,
  reportArms,
  runExperiment,
  scoreSamples,
  type Task,
} from "@tessera/coder/internal";
import type { LanguageModel } from "@tessera/core";
import { randomOf } from "@tessera/graph/internal";
import { HashEncoder, openAiModel, openCassette } from "@tessera/models";
import type { Report } from "./measure/report.js";

/**
 * CodeChain on MBXP JavaScript with any OpenAI-compatible service (TESSERA_MODEL_URL, TESSERA_MODEL, TESSERA_MODEL_KEY) on the
 * first TESSERA_PROBLEMS problems (20). Answers are kept in TESSERA_CASSETTE: with that file alone the run is replayed, without a
 * service. MBXP has been public since 2022, so that figures of any model on it are contaminated.
 */
export default async function mbxp(report: Report): Promise<void> {
  const { TESSERA_MODEL_URL: baseUrl, TESSERA_MODEL: name, TESSERA_MODEL_KEY: apiKey } = process.env;
  const { TESSERA_CASSETTE: cassette = "mbxp.cassette.jsonl", TESSERA_PROBLEMS: most = "20" } = process.env;
  const path = join(process.env.TESSERA_DATA ?? "../shared/data", "mbxp/mbjsp.jsonl");
  if (!existsSync(path)) return report.miss("MBXP", `there is no ${path}; set TESSERA_DATA`);
  if (!existsSync(cassette) && !(baseUrl && name))
    return report.miss("MBXP", `there is no ${cassette}, and TESSERA_MODEL_URL and TESSERA_MODEL name no service`);
  // without a seed of its own the cassette would answer every sample alike
  const service =
    baseUrl &&
    name &&
    openAiModel({ baseUrl, model: name, capabilities: ["seed"], retries: 20, ...(apiKey && { apiKey }) });
  const model = await openCassette(cassette, service ? { model: service } : {});
  const sandbox = await openSandbox(quickjs(), { wallMs: 5000 });
  try {
    report.say("MBXP has been public since 2022: these figures are contaminated");
    await measureMbxp(report, mbxpTasks(readMbxp(readFileSync(path, "utf8")).slice(0, Number(most))), model, sandbox);
  } finally {
    await sandbox.close?.();
  }
}

const compared: readonly Arm[] = ["direct", "modular", "codechain", "modules", "self-debug"];
const measures = [
  "passAt1",
  "passAt5",
  "selectOne",
  "selectConsensus",
  "coverage",
  "hiddenFail",
  "extractable",
  "tokens",
] as const;

/** Draws the arms on the tasks, 20 samples × 4 rounds each, and reports what they reach. */
export async function measureMbxp(
  report: Report,
  tasks: readonly Task[],
  model: LanguageModel,
  sandbox: Sandbox,
  { count = 20, clusters = [4, 2, 1] }: { count?: number; clusters?: readonly number[] } = {},
): Promise<void> {
  const encoder = new HashEncoder();
  encoder.fit(tasks.map(({ text }) => text));
  const log: LoggedSample[] = [];
  const settings = {
    ...{ model, sandbox: remembering(sandbox), encoder, clusters, count, maxTokens: 1024, temperature: 1 },
    ...{ characters: 4000, style: "full" as const, arms: compared },
    context: (id: string, arm: string, seed: number) => {
      const path = `${id}/${arm}`;
      const { signal } = new AbortController();
      return { path, signal, random: randomOf(seed, path), emit: () => undefined, spend: () => undefined };
    },
  };
  for await (const one of runExperiment(tasks, settings)) log.push(one);
  const scored = await scoreSamples(sandbox, tasks, log);
  for (const arm of reportArms(grouped(scored), clusters.length))
    for (const measure of measures) {
      const value = arm[measure];
      // of no sample that passes there is no share that fails hidden tests
      report.add(arm.arm, measure, Number.isNaN(value) ? null : value, Number.isNaN(value) ? "no sample to count" : "");
    }
}
