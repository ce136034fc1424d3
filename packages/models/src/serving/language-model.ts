// public: defaultLanguageModel, LocalLanguageModel, openLocalLanguageModel
import { TesseraError } from "@tessera/core";
import type { DecoderModel } from "../architectures/decoder.js";
import { languageModelText } from "../decoding/text.js";
import { cacheBytes } from "../engines/cpu-decoder/packed.js";
import type { CacheSize, Engine } from "../engines/engine.js";
import { openDecoderModel } from "../formats/open-model.js";
import { readTokenizer, type Tokenizer, tokenizerPath } from "../tokenizer/tokenizer.js";
import type { SchedulerSettings } from "./decoder-scheduler.js";
import { type LanguageModelService, languageModelService } from "./language-model-service.js";

/** The language model that is meant where none is named. */
export const defaultLanguageModel = "code-language-model";

/** How many answers run and wait at once. */
type LanguageModelServiceSettings = Omit<SchedulerSettings, "name" | "context">;

/** A decoder of this machine as a language model that many callers share. */
export interface LocalLanguageModel extends LanguageModelService {
  readonly model: DecoderModel;
  /** Tokens of a text, without marks. */
  count(text: string): number;
}

/**
 * The language model of a bundle, of a folder of the Hugging Face layout or of a GGUF file, as a resource for flows.
 * @throws TesseraError BAD_BUNDLE; MISSING_CAPABILITY where the engine computes no decoders; DEPENDENCY_MISSING
 */
export async function openLocalLanguageModel(
  folder: string,
  engine: Engine,
  cache?: CacheSize,
  settings?: LanguageModelServiceSettings,
): Promise<LocalLanguageModel> {
  const model = await openDecoderModel(folder);
  return localLanguageModel(model, await readTokenizer(tokenizerPath(folder)), engine, cache, settings);
}

/** Bytes that a cache takes by default, at most. */
const mostCache = 1.25 * 2 ** 30;
const blockTokens = 16;

/** Eight sequences of full length, or as many tokens as fit in `mostCache`. */
function defaultCache(model: DecoderModel): CacheSize {
  const whole = Math.ceil(model.context / blockTokens);
  const most = Math.floor(mostCache / (cacheBytes(model) * blockTokens));
  return { blocks: Math.max(1, Math.min(8 * whole, most)), blockTokens };
}

/** A language model over its tokenizer; by default the cache holds eight sequences of full length, in 1.25 GiB at most. */
export async function localLanguageModel(
  model: DecoderModel,
  tokenizer: Tokenizer,
  engine: Engine,
  cache: CacheSize = defaultCache(model),
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
