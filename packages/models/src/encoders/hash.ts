// public: HashEncoder
import { randomBytes } from "node:crypto";
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Embedding, type Encoder, TesseraError } from "@tessera/core";
import { messageOf, sha256 } from "@tessera/core/internal";
import { folded, WordReader } from "@tessera/text";
import { z } from "zod";

const features = 1 << 17; // buckets in which document frequencies are counted
const shortest = 3; // of the n-grams, in characters with the marks of a word's ends
const longest = 5;
const gramWeight = 2; // of a word's n-grams together, in the Euclidean norm, where the word itself weighs 1
const [startMark, endMark] = [2, 3]; // control characters, which no word holds
const wordsKept = 50_000; // whose features are kept, since texts of one source share most of their words

const fileName = "hash-encoder.json";
const saved = z.object({
  format: z.literal("tessera.hash-encoder"),
  version: z.literal(2),
  width: z.int().positive(),
  documents: z.int().nonnegative(),
  /** How many documents hold each feature: unsigned 32-bit little-endian integers as base64. */
  counts: z.string(),
  sha256: z.string(),
});

const signatureOf = ({ width, documents, counts }: { width: number; documents: number; counts: string }): string =>
  sha256(`${width} ${documents} ${counts}`);

/**
 * An encoder without a trained model: signed feature hashing (Weinberger et al. 2009) of words and their character
 * n-grams (3 to 5, as in Bojanowski et al. 2017), in folded letters. Each feature has the weight (1 + ln tf) · idf, and
 * the vector unit length. Texts with common words, parts of identifiers or stems are near to each other; texts with
 * only the same meaning are not. Results are the same on every platform: integer hashes, and sums in double precision
 * in a fixed order. idf(f) = 1 + ln((N + 1) / (df(f) + 1)), from the texts of the last `fit`; without one, 1 for every
 * feature. `fit` changes the vector space, whose name has the width and the revision of the idf. Vectors from before a
 * `fit` cannot be compared with vectors from after it.
 */
export class HashEncoder implements Encoder {
  readonly width: number;
  readonly #counts: Uint32Array; // by feature: how many documents hold it
  #documents = 0;
  #revision = "unfitted";
  readonly #reader = new WordReader();
  readonly #idf = new Float64Array(features).fill(1);
  readonly #words = new Map<string, Features>();
  // of the text that is read: its features in the order in which they came, with how much each occurs and its hash
  readonly #order: number[] = [];
  readonly #weights = new Float64Array(features);
  readonly #hashes = new Int32Array(features);

  /** @param width how many components a vector has; 768. @throws TesseraError BAD_ARGUMENT */
  constructor({ width = 768 }: { width?: number } = {}) {
    if (!Number.isInteger(width) || width < 8)
      throw new TesseraError("BAD_ARGUMENT", `a width is a whole number of at least 8, not ${width}`);
    this.width = width;
    this.#counts = new Uint32Array(features);
  }

  get revision(): string {
    return `hash:${this.width}:${this.#revision}`;
  }

  /** "hash:768:<revision of the idf>". The leading components of a wider vector are a space of their own. */
  space(embedding: Embedding = {}): string {
    const kept = this.#kept(embedding);
    return kept === this.width ? this.revision : `${this.revision}/${kept}`;
  }

  /** Counts in how many texts each feature occurs. It replaces the counts of an earlier call. */
  fit(texts: Iterable<string>): void {
    this.#counts.fill(0);
    this.#documents = 0;
    for (const text of texts) {
      this.#read(text);
      for (const feature of this.#order) this.#counts[feature]!++;
      this.#documents++;
    }
    this.#revise();
  }

  /** @throws TesseraError BAD_ARGUMENT for an exit, or a width beyond its own. */
  async encode(
    texts: readonly string[],
    how: Embedding & { readonly kind: "query" | "code" | "text" },
    signal?: AbortSignal,
  ): Promise<Float32Array[]> {
    const kept = this.#kept(how);
    return texts.map((text) => {
      signal?.throwIfAborted();
      return this.#vector(text, kept);
    });
  }

  /** @throws TesseraError STORE_FAILED */
  async save(folder: string): Promise<void> {
    const { width } = this;
    const documents = this.#documents;
    const counts = Buffer.from(this.#counts.buffer).toString("base64");
    const content = { format: "tessera.hash-encoder", version: 2, width, documents, counts };
    const temporary = join(folder, `${fileName}.${randomBytes(8).toString("hex")}`);
    try {
      await mkdir(folder, { recursive: true });
      const handle = await open(temporary, "w");
      try {
        await handle.writeFile(JSON.stringify({ ...content, sha256: signatureOf(content) }));
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(temporary, join(folder, fileName));
    } catch (cause) {
      await rm(temporary, { force: true }).catch(() => {});
      throw new TesseraError("STORE_FAILED", "the encoder could not be written", { path: folder, cause });
    }
  }

  /** @throws TesseraError BAD_BUNDLE */
  static async load(folder: string): Promise<HashEncoder> {
    const path = join(folder, fileName);
    try {
      const content = saved.parse(JSON.parse(await readFile(path, "utf8")));
      if (signatureOf(content) !== content.sha256) throw new Error("its signature differs");
      const counts = Buffer.from(content.counts, "base64");
      if (counts.length !== 4 * features) throw new Error(`it counts ${counts.length / 4} features, not ${features}`);
      const encoder = new HashEncoder({ width: content.width });
      encoder.#counts.set(new Uint32Array(counts.buffer.slice(counts.byteOffset, counts.byteOffset + counts.length)));
      encoder.#documents = content.documents;
      encoder.#revise();
      return encoder;
    } catch (cause) {
      throw new TesseraError(
        "BAD_BUNDLE",
        `the saved hash encoder cannot be read: ${messageOf(cause).split("\n")[0]}`,
        {
          path,
          hint: "fit it again, which makes a new space: index again too",
          cause,
        },
      );
    }
  }

  #revise(): void {
    for (let feature = 0; feature < features; feature++)
      this.#idf[feature] =
        this.#documents === 0 ? 1 : 1 + Math.log((this.#documents + 1) / (this.#counts[feature]! + 1));
    this.#revision =
      this.#documents === 0 ? "unfitted" : sha256(`${this.#documents} ${this.#counts.join(",")}`).slice(0, 16);
  }

  #kept({ exit, width = this.width }: Embedding): number {
    if (exit !== undefined) throw new TesseraError("BAD_ARGUMENT", `the hash encoder has no exit ${exit}`);
    if (!Number.isInteger(width) || width < 1 || width > this.width)
      throw new TesseraError("BAD_ARGUMENT", `the hash encoder has ${this.width} components, not ${width}`);
    return width;
  }

  /** Reads the features of a text in place of those of the last one. */
  #read(text: string): void {
    for (const feature of this.#order) this.#weights[feature] = 0;
    this.#order.length = 0;
    const count = this.#reader.read(text);
    for (let i = 0; i < count; i++) {
      const { hashes, weights } = this.#featuresOf(this.#reader.word(i));
      for (let n = 0; n < hashes.length; n++) {
        const feature = (hashes[n]! >>> 0) % features;
        if (this.#weights[feature] === 0) {
          this.#order.push(feature);
          this.#hashes[feature] = hashes[n]!;
        }
        this.#weights[feature]! += weights[n]!;
      }
    }
  }

  #featuresOf(word: string): Features {
    let found = this.#words.get(word);
    if (!found) {
      found = featuresOf(folded(word));
      if (this.#words.size >= wordsKept) this.#words.clear();
      this.#words.set(word, found);
    }
    return found;
  }

  #vector(text: string, kept: number): Float32Array {
    const sums = new Float64Array(this.width);
    this.#read(text);
    for (const feature of this.#order) {
      const mixed = mix(this.#hashes[feature]!);
      const sign = mixed & 1 ? 1 : -1;
      sums[(mixed >>> 1) % this.width]! += sign * Math.log1p(this.#weights[feature]!) * this.#idf[feature]!;
    }
    let squares = 0;
    for (let i = 0; i < kept; i++) squares += sums[i]! * sums[i]!;
    const scale = squares === 0 ? 0 : 1 / Math.sqrt(squares);
    return Float32Array.from(sums.subarray(0, kept), (sum) => sum * scale);
  }
}

/** The features of a word: its own and those of its n-grams, by hash, with how much each counts. */
interface Features {
  readonly hashes: Int32Array;
  readonly weights: Float64Array;
}

function featuresOf(text: string): Features {
  const word = [startMark, ...Array.from({ length: text.length }, (_, index) => text.charCodeAt(index)), endMark];
  const hashes = [hashOf(word, 0, word.length)];
  const most = Math.min(longest, word.length - 1);
  for (let length = shortest; length <= most; length++)
    for (let from = 0; from + length <= word.length; from++) hashes.push(hashOf(word, from, from + length));
  const grams = hashes.length - 1;
  const weights = new Float64Array(hashes.length).fill(gramWeight / Math.sqrt(grams));
  weights[0] = 1;
  return { hashes: Int32Array.from(hashes), weights };
}

/** FNV-1a over code units. */
function hashOf(codes: readonly number[], from: number, to: number): number {
  let hash = -2128831035;
  for (let i = from; i < to; i++) hash = Math.imul(hash ^ codes[i]!, 16777619);
  return mix(hash);
}

/** The finalizer of MurmurHash3: every bit of the input decides every bit of the output. */
function mix(hash: number): number {
  let mixed = hash;
  mixed = Math.imul(mixed ^ (mixed >>> 16), -2048144789);
  mixed = Math.imul(mixed ^ (mixed >>> 13), -1028477387);
  return mixed ^ (mixed >>> 16);
}
