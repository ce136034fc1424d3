// public: defaultLanguageModel, LocalLanguageModel, openLocalLanguageModel
import { join } from "node:path";
import { TesseraError } from "@tessera/core";
import type { DecoderModel } from "../architectures/decoder.js";
import { languageModelText } from "../decoding/text.js";
import type { CacheSize, Engine } from "../engines/engine.js";
import { openDecoderModel } from "../formats/open-model.js";
import { readTokenizer, type Tokenizer } from "../tokenizer/tokenizer.js";
import type { SchedulerSettings } from "./decoder-scheduler.js";
import { type LanguageModelService, languageModelService } from "./language-model-service.js";

/** The language model that is meant where none is named. */
export const defaultLanguageModel = "code-language-model";

/** How many answers run and wait at once. */
export type LanguageModelServiceSettings = Omit<SchedulerSettings, "name" | "context">;

/** A decoder of this machine as a language model that many callers share. */
export interface LocalLanguageModel extends LanguageModelService {
  readonly model: DecoderModel;
  /** Tokens of a text, without marks. */
  count(text: string): number;
}

/**
 * The language model of a bundle, or of a checkpoint of MoLM, as a resource for flows.
 * @throws TesseraError BAD_BUNDLE; MISSING_CAPABILITY where the engine computes no decoders; DEPENDENCY_MISSING
 */
export async function openLocalLanguageModel(
  folder: string,
  engine: Engine,
  cache?: CacheSize,
  settings?: LanguageModelServiceSettings,
): Promise<LocalLanguageModel> {
  const model = await openDecoderModel(folder);
  return localLanguageModel(model, await readTokenizer(join(folder, "tokenizer.json")), engine, cache, settings);
}

/** A language model over its tokenizer; by default the cache holds eight sequences of full length. */
export async function localLanguageModel(
  model: DecoderModel,
  tokenizer: Tokenizer,
  engine: Engine,
  cache: CacheSize = { blocks: 8 * Math.ceil(model.context / 16), blockTokens: 16 },
  settings: LanguageModelServiceSettings = {},
): Promise<LocalLanguageModel> {
  const { kind, dtype } = engine.info;
  if (tokenizer.vocabulary > model.embedding.rows)
    throw new TesseraError(
      "BAD_BUNDLE",
      `the tokenizer has ${tokenizer.vocabulary} ids, the model ${model.embedding.rows}`,
      { path: model.name },
    );
  const session = await engine.loadDecoder(model, cache);
  const { name, context } = model;
  const longest = Math.min(context, cache.blocks * cache.blockTokens);
  const text = languageModelText(model, tokenizer, `${model.revision}-${kind}-${dtype}`, longest);
  return {
    ...languageModelService(session, text, {
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
