// public: CodeEncoder, openCodeEncoder
import { type Embedding, type Encoder, TesseraError } from "@tessera/core";
import { type EncoderModel, type Kind, unit } from "../architectures/encoder.js";
import { cpuEngine } from "../engines/cpu.js";
import { type EncoderSession, type Engine, type Ragged, ragged } from "../engines/engine.js";
import { openEncoderFiles } from "../formats/open-model.js";
import { TokenizerThreads } from "../tokenizer/threads.js";

/** Token ids without special tokens, at most `most` of each text; `TokenizerThreads` is one. */
export interface TextTokenizer {
  encode(texts: readonly string[], most: number, signal?: AbortSignal): Promise<Ragged>;
  close?(): Promise<void>;
}

/**
 * An encoder of a model on disk. Its vectors are float32, of unit length, of the exit and width that an embedding asks
 * for.
 */
export interface CodeEncoder extends Encoder {
  readonly model: EncoderModel;
  space(embedding: Embedding): string;
  searches(query: Embedding): readonly string[];
  close(): Promise<void>;
}

/** Texts that are tokenised and sent to the engine together: one slice is computed while the next is tokenised. */
const textsPerSlice = 256;

/**
 * Opens the encoder in a folder, a bundle or a published model of any supported architecture, as a resource for flows.
 * @throws TesseraError BAD_BUNDLE; DEPENDENCY_MISSING if the engine cannot run here
 */
export async function openCodeEncoder(folder: string, engine: Engine = cpuEngine()): Promise<CodeEncoder> {
  const { model, tokenizer } = await openEncoderFiles(folder);
  return codeEncoder(model, engine, new TokenizerThreads(tokenizer));
}

/**
 * A multi-exit encoder as a resource. Where an embedding names no exit, queries leave by the model's default query exit
 * and everything else by its default index exit, which is also what `space({})` names; where it names no width, vectors
 * keep all components. A text that is too long loses its end. The empty text has a vector like any other, and lone
 * surrogates count as U+FFFD.
 *
 * `space`, `searches` and `encode` throw BAD_ARGUMENT for an exit or a width that the model does not have.
 */
export async function codeEncoder(model: EncoderModel, engine: Engine, tokenizer: TextTokenizer): Promise<CodeEncoder> {
  return encoderOver(await engine.loadEncoder(model), model, engine.info, tokenizer);
}

/** The same over a session that is loaded already. */
export function encoderOver(
  session: EncoderSession,
  model: EncoderModel,
  { kind, dtype }: Engine["info"],
  tokenizer: TextTokenizer,
): CodeEncoder {
  const frames = new Map<Kind, Promise<TokenFrame>>();
  const frameOf = (kind: Kind): Promise<TokenFrame> => {
    const frame = frames.get(kind) ?? readFrame(model, kind, tokenizer);
    frames.set(kind, frame);
    return frame;
  };
  const refuse = (message: string, hint: string): TesseraError =>
    new TesseraError("BAD_ARGUMENT", message, { path: model.name, hint });
  const exitOf = (exit: number): number => {
    if (session.exits.includes(exit)) return exit;
    throw refuse(`"${model.name}" has no exit at layer ${exit}`, `exits: ${session.exits.join(", ")}`);
  };
  const widthOf = (width = model.hidden): number => {
    if (model.widths.includes(width)) return width;
    throw refuse(`"${model.name}" has no embedding of width ${width}`, `widths: ${model.widths.join(", ")}`);
  };
  const spaceOf = (exit: number, width: number): string =>
    `${model.name}@${model.revision}/exit-${exit}/width-${width}`;

  return {
    model,
    revision: `${model.revision}-${kind}-${dtype}`,
    space: ({ exit, width }) => spaceOf(exitOf(exit ?? model.default.index), widthOf(width)),
    searches({ exit, width }) {
      const query = exitOf(exit ?? model.default.query);
      const indexes = model.pairs.filter((pair) => pair.query === query).map(({ index }) => index);
      return [...new Set([query, ...indexes])].map((index) => spaceOf(index, widthOf(width)));
    },
    async encode(texts, { kind, exit, width }, signal) {
      const leave = exitOf(exit ?? (kind === "query" ? model.default.query : model.default.index));
      const kept = widthOf(width);
      const frame = await frameOf(kind);
      const vectors: Float32Array[] = [];
      const compute = async (batch: Ragged): Promise<void> => {
        const rows = await session.encode(batch, leave, signal);
        for (let at = 0; at < rows.length; at += session.hidden)
          vectors.push(unit(rows.subarray(at, at + session.hidden), kept));
      };
      let computing: Promise<void> = Promise.resolve();
      for (let from = 0; from < texts.length; from += textsPerSlice) {
        const slice = texts.slice(from, from + textsPerSlice);
        const prompted = frame.prompt === undefined ? slice : slice.map((text) => frame.prompt + text);
        const tokens = await tokenizer.encode(prompted, frame.room, signal);
        await computing;
        computing = compute(framed(tokens, frame));
        // it is awaited a little later; until then its failure is not unhandled
        computing.catch(() => {});
      }
      await computing;
      return vectors;
    },
    async close() {
      await Promise.all([session.close(), tokenizer.close?.()]);
    },
  };
}

interface TokenFrame {
  readonly prompt: string | undefined;
  readonly before: readonly number[];
  readonly after: readonly number[];
  /** Tokens that the prompt and the text may have. */
  readonly room: number;
}

async function readFrame(model: EncoderModel, kind: Kind, tokenizer: TextTokenizer): Promise<TokenFrame> {
  const ids = async (pieces: readonly (number | string)[]): Promise<number[]> => {
    const parts = pieces.map(async (piece) =>
      typeof piece === "number" ? [piece] : [...(await tokenizer.encode([piece], Number.POSITIVE_INFINITY)).ids],
    );
    return (await Promise.all(parts)).flat();
  };
  const { maxTokens, ...frame } = model.frames[kind];
  const [before, after] = await Promise.all([ids(frame.before), ids(frame.after)]);
  return { prompt: frame.prompt, before, after, room: maxTokens - before.length - after.length };
}

/** Whole inputs, special tokens included. */
const framed = ({ ids, offsets }: Ragged, { before, after }: TokenFrame): Ragged =>
  ragged(
    Array.from({ length: offsets.length - 1 }, (_, i) => [
      ...before,
      ...ids.subarray(offsets[i], offsets[i + 1]),
      ...after,
    ]),
  );
