import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { parseTokenizer } from "./tokenizer.js";

const file = (path: string): string => readFileSync(fileURLToPath(new URL(path, import.meta.url)), "utf8");

interface Case {
  readonly texts: readonly string[];
  readonly ids: readonly (readonly number[])[];
}

/** Written by `python checkpoints.py word-pieces` (apps/train), with the ids of the Rust library. */
const golden = JSON.parse(file("../fixtures/word-pieces.json")) as {
  kinds: (Case & { tokenizer: object })[];
  shipped: Case;
};
const shipped = file("../../../weights/bundles/code-encoder-2/tokenizer.json");

describe("WordPiece", () => {
  it("gives the Rust library's ids with the published vocabulary, for strings of 23 scripts", () => {
    const tokenizer = parseTokenizer(shipped);
    for (const [i, text] of golden.shipped.texts.entries())
      expect([text, ...tokenizer.encode(text)]).toEqual([text, ...golden.shipped.ids[i]!]);
  });

  it("does so with every setting of the normalizer and every kind of added token", () => {
    expect(golden.kinds.length).toBeGreaterThan(5);
    for (const { tokenizer: document, texts, ids } of golden.kinds) {
      const tokenizer = parseTokenizer(JSON.stringify(document));
      for (const [i, text] of texts.entries()) expect([text, ...tokenizer.encode(text)]).toEqual([text, ...ids[i]!]);
    }
  });

  it("cuts after so many ids what it would give in whole, also of a text without blanks", () => {
    const tokenizer = parseTokenizer(shipped);
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(fc.constantFrom("word ", "straße\n", "漢", "x(1)", "e\u0301", "[MASK]", "\ud800"), fc.string()),
          { maxLength: 3000, size: "max" },
        ),
        fc.nat(300),
        (parts, most) => {
          const whole = tokenizer.encode(parts.join(""));
          expect(tokenizer.encode(parts.join(""), most)).toEqual(whole.slice(0, most));
        },
      ),
      { numRuns: 20 },
    );
    expect(tokenizer.encode("ab".repeat(500_000), 5)).toEqual(Int32Array.of(100));
  });

  it("reads a long text only as far as it is kept", () => {
    const tokenizer = parseTokenizer(shipped);
    const long = "lorem ipsum dolor ".repeat(200_000);
    const used = (most: number): number => {
      const start = process.cpuUsage();
      tokenizer.encode(long, most);
      const { user, system } = process.cpuUsage(start);
      return user + system;
    };
    used(100);
    expect(used(100)).toBeLessThan(used(Number.POSITIVE_INFINITY) / 4);
  });

  it("gives the text of ids back, marks left out", () => {
    const tokenizer = parseTokenizer(shipped);
    expect(tokenizer.decode([101, ...tokenizer.encode("the quick tokenizers"), 102])).toBe("the quick tokenizers");
    expect(tokenizer.vocabulary).toBe(30522);
  });

  it("refuses another normalizer and a vocabulary without its unknown token, by name", () => {
    const document = JSON.parse(shipped) as { model: { vocab: Record<string, number> } };
    const refused = (change: object): unknown => {
      try {
        return parseTokenizer(JSON.stringify({ ...document, ...change }), "here");
      } catch (error) {
        return error;
      }
    };
    expect(refused({ normalizer: { type: "NFKC" } })).toMatchObject({ code: "BAD_BUNDLE", path: "here" });
    expect(refused({ model: { ...document.model, unk_token: "<unk>" } })).toMatchObject({ code: "BAD_BUNDLE" });
    expect(refused({ model: { ...document.model, vocab: { "[UNK]": "one" } } })).toMatchObject({ code: "BAD_BUNDLE" });
  });
});
