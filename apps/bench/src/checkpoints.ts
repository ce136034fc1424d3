import { existsSync, readFileSync } from "node:fs";
import { loadavg } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type LanguageModel, TesseraError } from "@tessera/core";
import { cpuEngine, openLlamaCppModel, openLocalLanguageModel } from "@tessera/models";
import type { Report } from "./measure/report.js";

const rounds = 3;
const answerTokens = 48;
const fileName = "SmolLM2-135M-Instruct.Q4_1.gguf";

/** What one piece of work took: seconds by the clock, and of all processors of this process. */
interface Taken {
  readonly clock: number;
  readonly processor: number;
}

const took = async (work: () => Promise<unknown>): Promise<Taken> => {
  const [start, before] = [performance.now(), process.cpuUsage()];
  await work();
  const { user, system } = process.cpuUsage(before);
  return { clock: (performance.now() - start) / 1000, processor: (user + system) / 1e6 };
};

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;

interface Closable extends LanguageModel {
  count?(text: string): number;
  close(): Promise<void>;
}

const openers: Readonly<Record<string, (file: string, threads: number) => Promise<Closable>>> = {
  ours: (file, threads) => openLocalLanguageModel(file, cpuEngine({ workers: threads })),
  "llama.cpp": (file, threads) => openLlamaCppModel({ file, threads, sequences: 1, context: 2560 }),
};

/** Text of this repository of about so many tokens, each time another part: nothing of it was read before. */
const source = readFileSync(fileURLToPath(new URL("../../../docs/design.md", import.meta.url)), "utf8");
function textOf(model: Closable, tokens: number, round: number): string {
  const from = (round * 977) % 4000;
  let to = from + tokens * 3;
  while (model.count!(source.slice(from, to)) < tokens && to < source.length) to += 40;
  return `${round}\n${source.slice(from, to)}`;
}

const answer = async (model: LanguageModel, content: string, maxTokens: number): Promise<void> => {
  for await (const _ of model.generate({
    messages: [{ role: "user", content }],
    maxTokens,
    temperature: 0.7,
    seed: 1,
  }));
};

/**
 * A published model by our engine and by llama.cpp on the same file, one after the other in each round: opening to the first token,
 * reading prompts of 512 and 2,000 tokens, writing. Ratios are of tokens a processor second, which other programs disturb least.
 */
export default async function checkpoints(report: Report): Promise<void> {
  const file = join(process.env.TESSERA_CHECKPOINTS ?? "", fileName);
  if (!existsSync(file))
    throw new TesseraError("BAD_SOURCE", `${fileName} is not in $TESSERA_CHECKPOINTS`, {
      hint: "python apps/train/checkpoints.py FOLDER fetches it",
    });
  report.say(`load of this machine: ${loadavg()[0]!.toFixed(1)}`);
  for (const threads of [1, 2]) {
    const taken: Record<string, Record<string, Taken[]>> = {};
    const note = (work: string, who: string, one: Taken): void => {
      taken[work] ??= {};
      taken[work][who] ??= [];
      taken[work][who].push(one);
    };
    const models: Record<string, Closable> = {};
    for (const [who, open] of Object.entries(openers)) {
      const opened = took(async () => {
        models[who] = await open(file, threads);
        await answer(models[who], "Hi", 1);
      });
      note("open and first token", who, await opened);
    }
    const works: Readonly<
      Record<string, { readonly tokens: number; run(model: Closable, round: number): Promise<void> }>
    > = {
      "reading 512 tokens": { tokens: 512, run: (model, round) => answer(model, textOf(model, 512, round), 1) },
      "reading 2,000 tokens": { tokens: 2000, run: (model, round) => answer(model, textOf(model, 2000, round), 1) },
      [`writing ${answerTokens} tokens`]: {
        tokens: answerTokens,
        run: (model, round) => answer(model, `Tell a story about number ${round}.`, answerTokens),
      },
    };
    for (let round = 0; round < rounds; round++)
      for (const [work, { run }] of Object.entries(works))
        for (const who of round % 2 === 0 ? ["ours", "llama.cpp"] : ["llama.cpp", "ours"])
          note(work, who, await took(() => run(models[who]!, round)));
    await Promise.all(Object.values(models).map((model) => model.close()));
    for (const [work, each] of Object.entries(taken)) {
      const name = `SmolLM2-135M-Instruct Q4_1, ${threads === 1 ? "1 thread" : `${threads} threads`}`;
      const tokens = works[work]?.tokens;
      for (const [who, found] of Object.entries(each)) {
        const processor = median(found.map((one) => one.processor));
        if (tokens === undefined) report.add(name, `${work}, ${who}: processor`, processor, "s");
        else report.add(name, `${work}, ${who}`, tokens / processor, "tokens per processor second");
      }
      const ratios = each.ours!.map((one, i) => each["llama.cpp"]![i]!.processor / one.processor);
      report.add(name, `${work}: ours against llama.cpp, processor time`, median(ratios), "times");
      const clocks = each.ours!.map((one, i) => each["llama.cpp"]![i]!.clock / one.clock);
      report.add(name, `${work}: ours against llama.cpp, clock`, median(clocks), "times");
    }
  }
}
