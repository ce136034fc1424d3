import { join } from "node:path";
import { TesseraError } from "@tessera/core";
import type { GeneratorModel } from "../architectures/decoder.js";
import { generatorText } from "../decoding/text.js";
import type { CacheSize, Engine } from "../engines/engine.js";
import { openGeneratorModel } from "../formats/open-model.js";
import { readTokenizer, type Tokenizer } from "../tokenizer/tokenizer.js";
import type { SchedulerSettings } from "./decoder-scheduler.js";
import { type GeneratorService, generatorService } from "./language-model-service.js";

/** The generator that is meant where none is named. */
export const defaultGenerator = "generator";

/** How many answers run and wait at once. */
export type GeneratorServiceSettings = Omit<SchedulerSettings, "name" | "context">;

/** A generator as a language model that many callers share. */
export interface Generator extends GeneratorService {
  readonly model: GeneratorModel;
  /** Tokens of a text, without marks. */
  count(text: string): number;
}

/**
 * The generator of a bundle, or of a checkpoint of MoLM, as a resource for flows.
 * @throws TesseraError BAD_BUNDLE; MISSING_CAPABILITY where the engine computes no generators; DEPENDENCY_MISSING
 */
export async function openGenerator(
  folder: string,
  engine: Engine,
  cache?: CacheSize,
  settings?: GeneratorServiceSettings,
): Promise<Generator> {
  const model = await openGeneratorModel(folder);
  return generator(model, await readTokenizer(join(folder, "tokenizer.json")), engine, cache, settings);
}

/** A generator over its tokenizer; by default the cache holds eight sequences of full length. */
export async function generator(
  model: GeneratorModel,
  tokenizer: Tokenizer,
  engine: Engine,
  cache: CacheSize = { blocks: 8 * Math.ceil(model.context / 16), blockTokens: 16 },
  settings: GeneratorServiceSettings = {},
): Promise<Generator> {
  const { kind, dtype } = engine.info;
  if (tokenizer.vocabulary > model.embedding.rows)
    throw new TesseraError(
      "BAD_BUNDLE",
      `the tokenizer has ${tokenizer.vocabulary} ids, the model ${model.embedding.rows}`,
      { path: model.name },
    );
  if (!engine.loadGenerator)
    throw new TesseraError("MISSING_CAPABILITY", `the ${kind} engine computes no generators`, {
      path: model.name,
      hint: "use the reference or the GPU engine",
    });
  const session = await engine.loadGenerator(model, cache);
  const { name, context } = model;
  const longest = Math.min(context, cache.blocks * cache.blockTokens);
  const text = generatorText(model, tokenizer, `${model.revision}-${kind}-${dtype}`, longest);
  return {
    ...generatorService(session, text, {
      // a GPU is filled by many sequences
      ...(kind === "gpu" && { sequences: 128, tokensPerStep: 2048 }),
      ...settings,
      name,
      context,
    }),
    ...(model.prompts && { prompts: model.prompts }),
    model,
    context,
    count: (content) => tokenizer.encode(content).length,
  };
}
