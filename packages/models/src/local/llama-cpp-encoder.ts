// public: openLlamaCppEncoder
import { type Encoder, TesseraError } from "@tessera/core";
import { messageOf } from "@tessera/core/internal";
import type { LlamaEmbeddingContext, LlamaModel, Token } from "node-llama-cpp";
import { unit } from "../architectures/encoder.js";
import { openLlamaCpp } from "./llama-cpp.js";
import { type LocalEncoder, oneSpace } from "./one-space.js";
import type { LlamaCppFile } from "./settings.js";

type Kind = Parameters<Encoder["encode"]>[1]["kind"];

/** An encoder of a GGUF file that llama.cpp computes. */
interface LlamaCppEncoderSettings extends LlamaCppFile {
  /** The longest text in tokens, marks included; by default that of the model, at most 2,048. A longer text loses its end. */
  readonly context?: number | undefined;
  /** What the model wants before each kind of text, as in "query: ". */
  readonly prefixes?: Partial<Record<Kind, string>> | undefined;
}

const mostContext = 2048;

/**
 * Opens a GGUF file with llama.cpp (node-llama-cpp, which has to be installed) as an encoder. Pooling is what the file says.
 * Vectors have unit length.
 * @throws TesseraError BAD_ARGUMENT; BAD_BUNDLE for a damaged file; DEPENDENCY_MISSING without node-llama-cpp; MODEL_FAILED
 */
export async function openLlamaCppEncoder(settings: LlamaCppEncoderSettings): Promise<LocalEncoder> {
  const { prefixes = {}, file, context: asked = mostContext } = settings;
  if (!(Number.isSafeInteger(asked) && asked > 0))
    throw new TesseraError("BAD_ARGUMENT", `context is ${asked}`, {
      path: file,
      hint: "use a whole number of 1 or more",
    });
  const { model, name, revision, threads, close } = await openLlamaCpp(settings);
  const contextSize = Math.min(asked, model.trainContextSize);
  let context: LlamaEmbeddingContext;
  try {
    context = await model.createEmbeddingContext({ contextSize, threads, batchSize: contextSize });
  } catch (cause) {
    await close();
    throw new TesseraError("MODEL_FAILED", `llama.cpp encodes no texts with this file: ${messageOf(cause)}`, {
      path: file,
      cause,
    });
  }
  const width = model.embeddingVectorSize;
  const { space, assertWhole } = oneSpace(name, revision, width);
  return {
    name,
    width,
    revision,
    space,
    async encode(texts, { kind, ...embedding }, signal) {
      assertWhole(embedding);
      const vectors: Float32Array[] = [];
      for (const text of texts) {
        signal?.throwIfAborted();
        const tokens = tokensOf(model, (prefixes[kind] ?? "") + text, contextSize);
        const { vector } = await context.getEmbeddingFor(tokens);
        vectors.push(unit(Float32Array.from(vector)));
      }
      return vectors;
    },
    async close() {
      await context.dispose();
      await close();
    },
  };
}

/** Places that llama.cpp keeps for the marks around a text, and one more. */
const marks = 3;

/** A text as tokens, cut to what fits beside the marks; one without tokens is read as a mark alone, or as a blank. */
function tokensOf(model: LlamaModel, text: string, most: number): Token[] {
  const tokens = model.tokenize(text, false).slice(0, Math.max(1, most - marks));
  if (tokens.length > 0) return tokens;
  const mark = model.tokens.bos ?? model.tokens.eos;
  return mark === null ? model.tokenize(" ", false) : [mark];
}
