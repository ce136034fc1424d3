import { join } from "node:path";
import { findModel } from "@tessera/models";
import {
  type DecoderModel,
  type DecoderSession,
  type GpuEngine,
  likeliest,
  openDecoderModel,
  ragged,
  readSequence,
  readTokenizer,
  type Sampling,
} from "@tessera/models/internal";
import { decoderOf } from "./models.js";
import { median, type Report } from "./report.js";
import { sources } from "./sources.js";
import type { OwnFigures } from "./torch.js";

const blockTokens = 16;
const greedy: Sampling = { temperature: 0, topP: 1, random: 0 };

/** The blocks of each sequence: an equal share of all. */
const blocksOf = (session: DecoderSession, sequences: number): Int32Array[] => {
  const each = Math.floor(session.blocks / sequences);
  return Array.from({ length: sequences }, (_, i) => Int32Array.from({ length: each }, (_, b) => i * each + b));
};

/** Seconds of one step that adds a token to each of `sequences`, after a prompt of `context` tokens each. */
export async function decode(
  session: DecoderSession,
  sequences: number,
  context: number,
  steps: number,
  tokensPerStep: number,
): Promise<number> {
  const blocks = blocksOf(session, sequences);
  const step = (ids: number[][], cached: number, draw: boolean) =>
    session.step({
      ...ragged(ids),
      cached: new Int32Array(sequences).fill(cached),
      blocks,
      sampling: blocks.map(() => (draw ? greedy : undefined)),
    });
  const piece = Math.max(1, Math.floor(tokensPerStep / sequences));
  for (let at = 0; at < context; at += piece) {
    const count = Math.min(piece, context - at);
    await step(
      blocks.map((_, i) => Array.from({ length: count }, (_, t) => (i * 31 + at + t) % 200)),
      at,
      false,
    );
  }
  let at = context;
  return median(steps, () =>
    step(
      blocks.map((_, i) => [i % 200]),
      at++,
      true,
    ),
  );
}

/** E4: decoding, at sizes of the notes and random weights. */
export async function decoder(report: Report, engine: GpuEngine, own: OwnFigures): Promise<void> {
  const model = decoderOf(report.tiny);
  const context = report.tiny ? 16 : 512;
  for (const sequences of report.tiny ? [2, 1] : [128, 1]) {
    const session = await engine.loadDecoder(model, {
      blocks: sequences * Math.ceil((context + 32) / blockTokens),
      blockTokens,
    });
    const seconds = await decode(session, sequences, context, report.tiny ? 2 : 20, report.tiny ? 64 : 4096);
    await session.close();
    const rate = sequences / seconds;
    if (sequences === 1) {
      own.alone = rate;
      report.figure("E4", "decode, one sequence", seconds * 1000, "ms a token", { most: 2 });
    } else {
      own.decode = rate;
      report.figure("E4", `decode, ${sequences} sequences at ${context}`, rate, "tokens/s", { least: 40000 });
    }
  }
}

/**
 * E4: what the shipped decoder writes greedily after prompts of code, beside the reference on the very same tokens: in
 * fp32 every token must be its likeliest, up to a router's near-tie; in fp16 99 % of them.
 */
export async function greedyAgreement(report: Report, engine: GpuEngine): Promise<void> {
  const { model, prompts } = report.tiny ? random() : await shipped();
  const tokens = report.tiny ? 3 : 16;
  const texts = await written(engine, model, prompts, tokens);
  let [same, all] = [0, 0];
  for (const [i, ids] of texts.entries()) {
    const { logits, margin } = readSequence(model, ids);
    for (let at = prompts[i]!.length; at < ids.length; at++) {
      if (Math.min(...margin.slice(0, at)) < 1e-5) break;
      all += 1;
      if (likeliest(logits[at - 1]!) === ids[at]) same += 1;
    }
  }
  const { dtype } = engine.info;
  report.figure("E4", `greedy tokens as of the reference, ${dtype}, of ${all}`, same / all, "share", {
    least: dtype === "fp32" ? 1 : 0.99,
  });
}

interface Case {
  readonly model: DecoderModel;
  readonly prompts: readonly (readonly number[])[];
}

async function shipped(): Promise<Case> {
  const folder = await findModel("code-language-model");
  const tokenizer = await readTokenizer(join(folder, "tokenizer.json"));
  const prompts = (await sources(20)).map((text) => [...tokenizer.encode(text, 24)]);
  return { model: await openDecoderModel(folder), prompts };
}

const random = (): Case => ({
  model: decoderOf(true),
  prompts: [3, 5].map((step) => Array.from({ length: 2 * step }, (_, i) => (i * step) % 256)),
});

async function written(
  engine: GpuEngine,
  model: DecoderModel,
  prompts: readonly (readonly number[])[],
  tokens: number,
): Promise<number[][]> {
  const longest = Math.max(...prompts.map(({ length }) => length)) + tokens;
  const blocks = prompts.length * Math.ceil(longest / blockTokens);
  const session = await engine.loadDecoder(model, { blocks, blockTokens });
  try {
    const texts = prompts.map((prompt) => [...prompt]);
    let cached = new Int32Array(texts.length);
    for (let token = 0; token < tokens; token++) {
      const { next } = await session.step({
        ...ragged(texts.map((ids, i) => ids.slice(cached[i]))),
        cached,
        blocks: blocksOf(session, texts.length),
        sampling: texts.map(() => greedy),
      });
      cached = Int32Array.from(texts, ({ length }) => length);
      for (const [i, ids] of texts.entries()) ids.push(next[i]!);
    }
    return texts;
  } finally {
    await session.close();
  }
}
