import { readFileSync } from "node:fs";
import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { Merger } from "./merger.js";
import { parseTokenizer } from "./tokenizer.js";

const at = (name: string): URL => new URL(`../fixtures/tokenizers/${name}.json`, import.meta.url);
/** Written by apps/train/tokenizer_families.py with the Rust library: `ids` with encode_special_tokens, `marked` without. */
const golden = JSON.parse(readFileSync(at("cases"), "utf8")) as {
  texts: string[];
  ids: Record<string, number[][]>;
  marked: Record<string, number[][]>;
};
const open = (name: string) => parseTokenizer(readFileSync(at(name), "utf8"));
const seam = "\ufdd0";

describe.each(Object.keys(golden.ids))("the tokenizer of kind %s", (name) => {
  const tokenizer = open(name);

  it("gives the ids of the Rust library, marks as text and as marks", () => {
    const found = golden.texts.map((text) => [text, ...tokenizer.encode(text)]);
    expect(found).toEqual(golden.texts.map((text, i) => [text, ...golden.ids[name]![i]!]));
    const marked = golden.texts.map((text) => [text, ...tokenizer.encodeMarked!(text, seam)]);
    expect(marked).toEqual(golden.texts.map((text, i) => [text, ...golden.marked[name]![i]!]));
  });

  it("gives the first ids of a long text as of the whole", () => {
    const text = golden.texts.join("\nsome words between ").repeat(6);
    const whole = tokenizer.encode(text);
    for (const most of [1, 100, 5000]) expect([...tokenizer.encode(text, most)]).toEqual([...whole.subarray(0, most)]);
  });

  it("gives the text back from bytes, where nothing is normalised", () => {
    if (["qwen2", "prefixed", "sentencepiece"].includes(name)) return;
    for (const text of golden.texts) expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });

  it("leaves a mark text where a seam stands in it, and gives added tokens that are text their bytes", () => {
    const broken = `a<${seam}|im_end|>b<|im_end|>`;
    const end = tokenizer.encodeMarked!("<|im_end|>", seam)[0]!;
    const ids = [...tokenizer.encodeMarked!(broken, seam)];
    expect(ids.filter((id) => id === end)).toEqual([end]);
    expect(ids.slice(0, -1)).toEqual([...tokenizer.encode("a<|im_end|>b")]);
    expect(tokenizer.bytes(end)).toHaveLength(0);
    const blanks = tokenizer.encode("x        y").find((id) => tokenizer.decode([id]) === "        ");
    expect(blanks).toBeDefined();
  });
});

describe("merging", () => {
  it("finds in a long piece what looking at all pairs finds", () => {
    const document = JSON.parse(readFileSync(at("gpt2"), "utf8"));
    const parts = Merger.of(document.model, undefined);
    let merger: Merger | undefined;
    while (!merger) {
      const { done, value } = parts.next();
      if (done) merger = value;
    }
    const ranks = new Map<string, number>();
    for (const [rank, merge] of document.model.merges.entries()) ranks.set(merge.join(" "), rank);
    const naive = (piece: string): number[] => {
      const symbols = [...piece];
      for (;;) {
        let best = Number.POSITIVE_INFINITY;
        let place = -1;
        for (let i = 0; i + 1 < symbols.length; i++) {
          const rank = ranks.get(`${symbols[i]} ${symbols[i + 1]}`) ?? Number.POSITIVE_INFINITY;
          if (rank < best) [best, place] = [rank, i];
        }
        if (place < 0) return symbols.map((symbol) => document.model.vocab[symbol]);
        symbols.splice(place, 2, `${symbols[place]}${symbols[place + 1]}`);
      }
    };
    const piece = fc.string({ unit: fc.constantFrom(..."etaoinshrdlĠ_s"), minLength: 1, maxLength: 120 });
    fc.assert(
      fc.property(piece, (text) => expect(merger!.encode(text)).toEqual(naive(text))),
      { numRuns: 100 },
    );
  });

  it("takes a piece of a hundred thousand symbols in a moment", () => {
    const tokenizer = open("gpt2");
    expect(tokenizer.decode(tokenizer.encode("a".repeat(100_000)))).toHaveLength(100_000);
  });
});
