// internal: indexEncoder
import { createHash } from "node:crypto";
import type { Encoder } from "@tessera/core";
import type { CodeEncoder } from "./code-encoder.js";
import { type CorpusKind, fusionOf } from "./fusion-table.js";

/** Vectors that are remembered: at 384 components 30 MB. */
const mostRemembered = 20_000;

/** Architectures whose trained models know the words of English alone. */
const english = new Set(["tessera-bert-exits"]);

/**
 * An encoder as an index of passages uses it. The index holds the vectors of one exit: the one that is named; else exit 0,
 * which costs no layer, where the model has it, and the model's default where it has not. Where deeper exits share the
 * space, `closer` is the deepest: few candidates are then looked at again, and their deep vectors are remembered.
 * @throws TesseraError BAD_ARGUMENT for an exit that the model does not have
 */
export function indexEncoder(encoder: CodeEncoder, kind: CorpusKind, named?: number): CodeEncoder {
  const { model } = encoder;
  const exits = model.exits.map(({ layer }) => layer);
  const exit = named ?? (exits.includes(0) ? 0 : model.default.index);
  encoder.space({ exit });
  const last = exits.at(-1)!;
  const shares = model.pairs.some(({ query, index }) => query === last && index === exit);
  const { words, kept } = fusionOf(model, exit, kind);
  const deeper = exits.includes(0) && exit < last && shares;
  const remembered = new Remembered();
  const encode: Encoder["encode"] = (texts, how, signal) => {
    const asked = how.kind === "query";
    const leave = how.exit ?? (asked ? undefined : exit);
    const plain = (some: readonly string[]) => encoder.encode(some, { ...how, exit: leave }, signal);
    const isDeep = deeper && (asked || leave === last);
    return isDeep ? remembered.encode(texts, JSON.stringify([how.kind, leave, how.width]), plain) : plain(texts);
  };
  return {
    ...encoder,
    words,
    languages: english.has(model.architecture) ? ["en"] : undefined,
    closer: deeper ? { exit: last, kept } : undefined,
    space: (embedding) => encoder.space({ ...embedding, exit: embedding.exit ?? exit }),
    encode,
  };
}

/** Vectors by text; the one that was not used for longest is forgotten first. */
class Remembered {
  private readonly vectors = new Map<string, Float32Array>();

  async encode(
    texts: readonly string[],
    embedding: string,
    encode: (texts: readonly string[]) => Promise<Float32Array[]>,
  ): Promise<Float32Array[]> {
    const keys = texts.map((text) => createHash("sha256").update(embedding).update("\0").update(text).digest("base64"));
    const found = keys.map((key) => this.vectors.get(key));
    const missing = [...texts.keys()].filter((index) => found[index] === undefined);
    const fresh = missing.length === 0 ? [] : await encode(missing.map((index) => texts[index]!));
    for (const [at, index] of missing.entries()) found[index] = fresh[at]!;
    for (const [index, key] of keys.entries()) {
      this.vectors.delete(key);
      this.vectors.set(key, found[index]!);
    }
    for (const key of this.vectors.keys()) {
      if (this.vectors.size <= mostRemembered) break;
      this.vectors.delete(key);
    }
    return found as Float32Array[];
  }
}
