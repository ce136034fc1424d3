import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { GenerateRequest } from "@tessera/core";
import { cpuEngine, findModel, openLocalLanguageModel } from "@tessera/models";
import { type LoopDelay, watchLoop } from "./measure/loop-delay.js";
import { SystemProcess } from "./measure/process.js";
import type { Report } from "./measure/report.js";

const processes = 3;
const callers = 8;
const characters = 3000; // of a prompt, about 1,000 tokens
const core = fileURLToPath(new URL("../../../packages/core/src/", import.meta.url));

/** The language model that ships, asked in text by callers that come at once: each step says what the event loop did in it. */
async function shipped() {
  const watched = async (work: () => Promise<unknown>): Promise<LoopDelay> => {
    const end = watchLoop();
    await work();
    await new Promise((resolve) => setTimeout(resolve, 10));
    return end();
  };
  let model: Awaited<ReturnType<typeof openLocalLanguageModel>>;
  const source = readdirSync(core)
    .filter((file) => file.endsWith(".ts") && !file.includes(".test."))
    .map((file) => readFileSync(core + file, "utf8"))
    .join("\n");
  let prompts = 0;
  const answer = async (more: Partial<GenerateRequest> = {}): Promise<void> => {
    const seed = prompts++;
    const from = (seed * characters) % (source.length - characters);
    const content = `${seed}\n${source.slice(from, from + characters)}`;
    const messages = [{ role: "user" as const, content }];
    for await (const _ of model.generate({ messages, maxTokens: 64, temperature: 0.8, seed, ...more }));
  };
  const all = () => Promise.all(Array.from({ length: callers }, () => answer()));
  const schema = { type: "object", properties: { name: { type: "string" }, lines: { type: "integer" } } };
  process.once("disconnect", () => void model.close());
  return {
    open: () =>
      watched(async () => {
        model = await openLocalLanguageModel(await findModel("code-language-model"), cpuEngine({ workers: 2 }));
      }),
    "first answers": () => watched(all),
    "further answers": () => watched(all),
    "answers with log-probabilities": () => watched(() => answer({ logprobs: true, alternatives: 20 })),
    "a first JSON Schema": () => watched(() => answer({ schema })),
  };
}

export const systems = { shipped };

/** How long the event loop is held while the language model that ships is opened and answers: what "bench decoder" has no text for. */
export default async function languageModelTurns(report: Report): Promise<void> {
  const steps = Object.keys(await shipped());
  const found = new Map(steps.map((step) => [step, [] as LoopDelay[]]));
  for (let i = 0; i < processes; i++) {
    report.say(`process ${i + 1} of ${processes} …`);
    const one = await SystemProcess.start(fileURLToPath(import.meta.url), "shipped");
    try {
      for (const step of steps) found.get(step)!.push(await one.call<LoopDelay>(step));
    } finally {
      await one.close();
    }
  }
  for (const [step, delays] of found) {
    const most = (of: (delay: LoopDelay) => number): number => Math.max(...delays.map(of));
    report.add(
      `language model, ${callers} callers`,
      `${step}: most processor time in one turn`,
      most(({ turnMost }) => turnMost),
      "ms",
    );
    report.add(
      `language model, ${callers} callers`,
      `${step}: longest delay without waiting for a processor`,
      most(({ ownMost }) => ownMost),
      "ms",
    );
  }
}
