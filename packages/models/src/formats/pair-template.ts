import { TesseraError } from "@tessera/core";
import { z } from "zod";
import type { TokenizerDocument } from "./tokenizer-document.js";

/** A part of what stands around two texts that a model reads together: marks, or one of the texts. */
type Part =
  | { readonly ids: readonly number[]; readonly type: number }
  | { readonly text: "first" | "second"; readonly type: number };

/** How a cross-encoder reads two texts as one sequence, by the tokenizer's own template. */
interface PairTemplate {
  readonly parts: readonly Part[];
  /** Tokens of the marks. */
  readonly marks: number;
}

/** A sequence of two texts: its ids, and for each the number of the segment (token type). */
export interface Pair {
  readonly ids: readonly number[];
  readonly types: readonly number[];
}

const id = z.int().nonnegative();
const mark = z.tuple([z.string(), id]);
const piece = z.union([
  z.object({ SpecialToken: z.looseObject({ id: z.string(), type_id: id.default(0) }) }),
  z.object({ Sequence: z.looseObject({ id: z.enum(["A", "B"]), type_id: id.default(0) }) }),
]);
const processor = z.discriminatedUnion("type", [
  z.looseObject({
    type: z.literal("TemplateProcessing"),
    pair: z.array(piece),
    special_tokens: z.record(z.string(), z.looseObject({ ids: z.array(id) })),
  }),
  z.looseObject({ type: z.literal("BertProcessing"), cls: mark, sep: mark }),
  z.looseObject({ type: z.literal("RobertaProcessing"), cls: mark, sep: mark }),
  z.looseObject({ type: z.literal("Sequence"), processors: z.array(z.unknown()) }),
]);

/**
 * The template of two texts in the post_processor of a tokenizer.json.
 * @throws TesseraError BAD_BUNDLE where there is none
 */
export function pairTemplate({ document, path }: TokenizerDocument): PairTemplate {
  const parsed: unknown = JSON.parse(document);
  const parts = partsOf((parsed as { post_processor?: unknown } | null)?.post_processor);
  if (!parts || !["first", "second"].every((text) => parts.some((part) => "text" in part && part.text === text)))
    throw new TesseraError("BAD_BUNDLE", "the tokenizer has no template of two texts", { path });
  return { parts, marks: parts.reduce((sum, part) => sum + ("ids" in part ? part.ids.length : 0), 0) };
}

function partsOf(document: unknown): Part[] | undefined {
  const parsed = processor.safeParse(document);
  if (!parsed.success) return undefined;
  const { data } = parsed;
  if (data.type === "Sequence") return data.processors.map(partsOf).find((parts) => parts);
  if (data.type === "TemplateProcessing")
    return data.pair.map(
      (each): Part =>
        "Sequence" in each
          ? { text: each.Sequence.id === "A" ? "first" : "second", type: each.Sequence.type_id }
          : {
              ids: data.special_tokens[each.SpecialToken.id]?.ids ?? [],
              type: each.SpecialToken.type_id,
            },
    );
  const [cls, sep] = [data.cls[1], data.sep[1]];
  const roberta = data.type === "RobertaProcessing";
  const second = roberta ? 0 : 1;
  return [
    { ids: [cls], type: 0 },
    { text: "first", type: 0 },
    { ids: roberta ? [sep, sep] : [sep], type: 0 },
    { text: "second", type: second },
    { ids: [sep], type: second },
  ];
}

/** Two texts as one sequence of at most `most` tokens; of what is too long the longer text loses its end first. */
export function pairOf(
  { parts, marks }: PairTemplate,
  first: ArrayLike<number>,
  second: ArrayLike<number>,
  most: number,
): Pair {
  const [kept, keptSecond] = keptOf(first.length, second.length, Math.max(0, most - marks));
  const texts = { first: Array.from(first).slice(0, kept), second: Array.from(second).slice(0, keptSecond) };
  const ids: number[] = [];
  const types: number[] = [];
  for (const part of parts)
    for (const token of "ids" in part ? part.ids : texts[part.text]) {
      ids.push(token);
      types.push(part.type);
    }
  return { ids, types };
}

/** Tokens that two texts keep of `room`, as "longest_first" of the Rust library has it. */
function keptOf(first: number, second: number, room: number): [number, number] {
  if (first + second <= room) return [first, second];
  const shorter = Math.min(first, second);
  const half = Math.floor(room / 2);
  const [less, more] = shorter > half ? [half, half + (room % 2)] : [shorter, room - shorter];
  return first > second ? [more, less] : [less, more];
}
