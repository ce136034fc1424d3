// internal: readSamples
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { TesseraError } from "@tessera/core";
import { messageOf } from "@tessera/core/internal";
import { z } from "zod";
import type { DecoderModel, Frequencies } from "../architectures/decoder.js";
import { promptOf } from "../decoding/text.js";
import { type Engine, type ModuleCounts, ragged } from "../engines/engine.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";

const message = z.looseObject({ role: z.enum(["system", "user", "assistant"]), content: z.string() });
const line = z.union([
  z.looseObject({ messages: z.array(message).min(1), task: z.string().optional() }),
  z.looseObject({ text: z.string(), language: z.string().optional() }),
]);

/** Token sequences of one kind of text: a language, or a task of an operator. */
export interface Sample {
  readonly domain: string;
  readonly ids: readonly number[];
}

/**
 * Text of a file, one JSON object a line: `{"text", "language"}`, or `{"messages", "task"}` as apps/train's instruct.py
 * writes them. A sequence longer than the model's context loses its end.
 * @throws TesseraError BAD_SOURCE where the file cannot be read; BAD_INPUT with file and line; BAD_INPUT where it is empty
 */
export async function readSamples(
  path: string,
  model: DecoderModel,
  tokenizer: Tokenizer,
  most = Number.POSITIVE_INFINITY,
): Promise<Sample[]> {
  const samples: Sample[] = [];
  let number = 0;
  try {
    for await (const content of createInterface({ input: createReadStream(path, "utf8") })) {
      number += 1;
      if (content.trim() === "") continue;
      const sample = sampleOf(content, `${path}:${number}`, model, tokenizer);
      if (sample.ids.length > 0) samples.push(sample);
      if (samples.length >= most) break;
    }
  } catch (cause) {
    if (TesseraError.is(cause)) throw cause;
    throw new TesseraError("BAD_SOURCE", `the file cannot be read: ${messageOf(cause)}`, { path, cause });
  }
  if (samples.length === 0) throw new TesseraError("BAD_INPUT", "the file holds no text", { path });
  return samples;
}

function sampleOf(content: string, path: string, model: DecoderModel, tokenizer: Tokenizer): Sample {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch (cause) {
    throw new TesseraError("BAD_INPUT", `the line is not JSON: ${messageOf(cause)}`, { path, cause });
  }
  const parsed = line.safeParse(value);
  if (!parsed.success)
    throw new TesseraError("BAD_INPUT", "the line has neither text nor messages", {
      path,
      hint: 'each line is {"text", "language"} or {"messages", "task"}',
    });
  const sample = parsed.data;
  if ("messages" in sample && Array.isArray(sample.messages)) {
    const messages = sample.messages as z.infer<typeof message>[];
    const answered = messages.at(-1)!.role === "assistant";
    const asked = answered ? messages.slice(0, -1) : messages;
    const prefix = answered ? messages.at(-1)!.content : "";
    const prompt = promptOf({ messages: asked, prefix }, model, tokenizer, model.context);
    const ids = [...prompt, ...(answered ? [model.marks.end] : [])].slice(0, model.context);
    return { domain: typeof sample.task === "string" ? sample.task : "conversation", ids };
  }
  const { text, language = "text" } = sample as { text: string; language?: string };
  return { domain: language, ids: [...tokenizer.encode(text, model.context - 1), model.marks.end] };
}

/** How a count of modules is watched and ended. */
export interface Counting {
  /** Samples that are counted, and all of them. */
  readonly progress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * How often each module is chosen on each domain, as shares that sum to 1 in each layer.
 * @throws TesseraError MISSING_CAPABILITY where the engine does not count, or the model has no modules to choose among
 */
export async function moduleFrequencies(
  model: DecoderModel,
  samples: readonly Sample[],
  engine: Engine,
  { progress, signal }: Counting = {},
): Promise<Record<string, Frequencies>> {
  const refuse = (message: string): TesseraError =>
    new TesseraError("MISSING_CAPABILITY", message, { path: model.name });
  if (model.layers.every(({ attention, feedforward }) => !isRouted(attention) && !isRouted(feedforward)))
    throw refuse("a dense model has no modules to choose among");
  const blockTokens = 16;
  const blocks = Math.ceil(Math.max(...samples.map(({ ids }) => ids.length)) / blockTokens);
  const session = await engine.loadDecoder(model, { blocks, blockTokens });
  const counts = new Map<string, ModuleCounts>();
  try {
    for (const [done, { domain, ids }] of samples.entries()) {
      progress?.(done, samples.length);
      const { modules } = await session.step(
        {
          ...ragged([ids]),
          cached: Int32Array.of(0),
          blocks: [Int32Array.from({ length: blocks }, (_, i) => i)],
          sampling: [undefined],
          counted: true,
        },
        signal,
      );
      if (!modules) throw refuse(`the ${engine.info.kind} engine does not count modules`);
      const known = counts.get(domain);
      counts.set(domain, known ? added(known, modules) : modules);
    }
  } finally {
    await session.close();
  }
  const shares = (layers: readonly Uint32Array[]): number[][] =>
    layers.map((layer) => {
      const total = layer.reduce((sum, count) => sum + count, 0);
      return Array.from(layer, (count) => count / total);
    });
  return Object.fromEntries(
    [...counts]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([domain, { attention, feedforward }]) => [
        domain,
        { attention: shares(attention), feedforward: shares(feedforward) },
      ]),
  );
}

const isRouted = ({ routing }: { readonly routing: { readonly kind: string } }): boolean => routing.kind !== "none";

function added(a: ModuleCounts, b: ModuleCounts): ModuleCounts {
  const sum = (left: readonly Uint32Array[], right: readonly Uint32Array[]): Uint32Array[] =>
    left.map((layer, l) => layer.map((count, module) => count + right[l]![module]!));
  return { attention: sum(a.attention, b.attention), feedforward: sum(a.feedforward, b.feedforward) };
}
