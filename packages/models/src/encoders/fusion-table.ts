import type { EncoderModel } from "../architectures/encoder.js";

/** What a corpus is made of. */
export type CorpusKind = "code" | "text";

/** How scores of an encoder's vectors are fused. */
interface Fusion {
  /** The share of words beside the vectors of an index. */
  readonly words: number;
  /** The share of the score so far where a closer look follows. */
  readonly kept: number;
}

/**
 * Measured on the development sets, CoSQA for code and Natural Questions for prose (docs/models/encoder.md), by what the
 * index holds: "static" vectors of no layer, or the states of the last layer of an encoder that was trained to retrieve.
 */
const table: Readonly<Record<"static" | "deep", Readonly<Record<CorpusKind, Fusion>>>> = {
  static: { code: { words: 0.4, kept: 0.2 }, text: { words: 0.5, kept: 0.1 } },
  deep: { code: { words: 0, kept: 0 }, text: { words: 0.3, kept: 0 } },
};

/** Architectures whose deep vectors are as good as those of the table; others are fused half and half. */
const measured = new Set(["bert", "tessera-bert-exits"]);

/** How the vectors of an index at `exit` are fused on a corpus of some kind. */
export function fusionOf({ architecture }: EncoderModel, exit: number, kind: CorpusKind): Fusion {
  if (exit > 0 && !measured.has(architecture)) return { words: 0.5, kept: 0 };
  return table[exit === 0 ? "static" : "deep"][kind];
}
