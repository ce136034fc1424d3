// public: EncoderService, openEncoderService
// internal: encoderService
import { type EncoderModel, longestInput } from "../architectures/encoder.js";
import { type CodeEncoder, encoderOver, type TextTokenizer } from "../encoders/code-encoder.js";
import { cpuEngine } from "../engines/cpu.js";
import { checkBatch, type Engine } from "../engines/engine.js";
import { openEncoderFiles } from "../formats/open-model.js";
import { TokenizerThreads } from "../tokenizer/threads.js";
import { type BatcherSettings, EncoderBatcher } from "./encoder-batcher.js";

type EncoderServiceSettings = Omit<BatcherSettings, "name" | "check">;

/** An encoder that many callers share: their texts meet in batches, and each gets an equal part. */
export interface EncoderService extends CodeEncoder {
  readonly batcher: EncoderBatcher;
  /** The encoder as one caller sees it: the same vectors, on his own account. */
  as(caller: string): CodeEncoder;
}

/**
 * The encoder of a bundle as a service; texts are tokenised in worker threads.
 * @throws TesseraError BAD_BUNDLE; DEPENDENCY_MISSING where the engine cannot run
 */
export async function openEncoderService(
  folder: string,
  {
    engine = cpuEngine(),
    tokenizerThreads = 1,
    ...settings
  }: EncoderServiceSettings & {
    readonly engine?: Engine | undefined;
    readonly tokenizerThreads?: number | undefined;
  } = {},
): Promise<EncoderService> {
  const { model, tokenizer } = await openEncoderFiles(folder);
  return encoderService(model, engine, new TokenizerThreads(tokenizer, tokenizerThreads), settings);
}

export async function encoderService(
  model: EncoderModel,
  engine: Engine,
  tokenizer: TextTokenizer,
  settings: EncoderServiceSettings = {},
): Promise<EncoderService> {
  const longest = longestInput(model);
  const batcher = new EncoderBatcher(await engine.loadEncoder(model), {
    // as much as the GPU takes in one command list; a CPU gains nothing from more than keeps its threads busy
    ...(engine.info.kind === "gpu" && { tokensPerBatch: 16_384 }),
    ...settings,
    name: model.name,
    check: (batch, exit) => checkBatch(batch, exit, model, longest),
  });
  const as = (caller: string): CodeEncoder => encoderOver(batcher.as(caller), model, engine.info, tokenizer);
  return {
    ...as(""),
    batcher,
    as,
    async close() {
      await Promise.all([batcher.close(), tokenizer.close?.()]);
    },
  };
}
