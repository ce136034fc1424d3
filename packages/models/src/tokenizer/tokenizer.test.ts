import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { Tokenizer as Library } from "@huggingface/tokenizers";
import { beforeAll, describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { parseTokenizer, readTokenizer, type Tokenizer } from "./tokenizer.js";

const path = new URL("../../tokenizer/tokenizer.json", import.meta.url).pathname;
const document = readFileSync(path, "utf8");

/** Written by `python tokenizer.py cases` (apps/train), with the ids of Hugging Face's own tokenizers. */
const cases = JSON.parse(readFileSync(new URL("../fixtures/tokenizer-cases.json", import.meta.url), "utf8")) as {
  texts: { text: string; ids: number[] }[];
  surrogates: { units: number[]; ids: number[] }[];
  codePoints: string[];
};

let tokenizer: Tokenizer;
let library: Library;
beforeAll(async () => {
  tokenizer = await readTokenizer(path);
  library = new Library(JSON.parse(document) as object, {});
});

const anyText = fc.string({
  unit: fc.oneof(
    fc.constantFrom(..." \n\taBc9_({=é漢🚀"),
    fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)),
  ),
  maxLength: 200,
});

describe("the tokenizer", () => {
  it("agrees with Python on every case", () => {
    for (const { text, ids } of cases.texts) expect([text, ...tokenizer.encode(text)]).toEqual([text, ...ids]);
    for (const { units, ids } of cases.surrogates)
      expect([...tokenizer.encode(String.fromCharCode(...units))]).toEqual(ids);
  });

  it("agrees with Python on every code point of planes 0 and 1, and on every 64th of the others", () => {
    for (const [block, expected] of cases.codePoints.entries()) {
      const step = block < 32 ? 1 : 64;
      const points = Array.from({ length: 4096 / step }, (_, i) => block * 4096 + i * step).filter(
        (code) => code < 0xd800 || code > 0xdfff,
      );
      const ids = tokenizer.encode(points.map((code) => String.fromCodePoint(code)).join("a"));
      const hash = createHash("sha256")
        .update(new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength))
        .digest("hex");
      expect(`${block}: ${hash}`).toBe(`${block}: ${expected}`);
    }
  });

  it("agrees with the library, which is not cut into pieces", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const whole = library.encode(Buffer.from(text, "utf8").toString("utf8"), { add_special_tokens: false }).ids;
        expect([...tokenizer.encode(text)]).toEqual(whole);
      }),
      { numRuns: 300 },
    );
  });

  it("decodes what it encoded, with U+FFFD for lone surrogates", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(Buffer.from(text, "utf8").toString("utf8"));
      }),
    );
  });

  it("gives the first ids where fewer are asked for", () => {
    fc.assert(
      fc.property(anyText, fc.nat(40), (text, most) => {
        expect([...tokenizer.encode(text, most)]).toEqual([...tokenizer.encode(text)].slice(0, most));
      }),
    );
  });

  it("cannot be made to spell a mark", () => {
    for (let id = 0; id < 128; id++) {
      expect(Math.min(...tokenizer.encode(`x${library.id_to_token(id)}y`))).toBeGreaterThanOrEqual(128);
      expect(tokenizer.bytes(id)).toHaveLength(0);
    }
    expect(tokenizer.bytes(128)).toEqual(Uint8Array.of(0x21));
    expect(tokenizer.vocabulary).toBe(16384);
  });

  it("takes a megabyte without a space in linear time", () => {
    // of the processor: the machine may have other work
    const seconds = (text: string): number => {
      const started = process.cpuUsage();
      tokenizer.encode(text);
      return process.cpuUsage(started).user / 1e6;
    };
    for (const character of ["x", "漢", "(", " ", "\n"]) {
      const short = seconds(character.repeat(125_000));
      const long = seconds(character.repeat(1_000_000));
      expect(long).toBeLessThan(40 * Math.max(short, 0.02));
    }
    const words = Array.from({ length: 90_000 }, (_, i) => i.toString(36).padStart(5, "q")).join("");
    expect(seconds(words)).toBeLessThan(30);
    expect(words.length).toBe(450_000);
  });

  it("agrees with the library on long pieces, which another cut may leave", () => {
    const value = JSON.parse(document) as {
      pre_tokenizer: { pretokenizers: [{ pattern: { Regex: string } }, unknown] };
    };
    value.pre_tokenizer.pretokenizers[0].pattern.Regex = "\\S+|\\s+";
    const other = parseTokenizer(JSON.stringify(value));
    const coarse = new Library(value, {});
    const words = fc.array(fc.string({ unit: fc.constantFrom(..."aetionrs_({é漢"), maxLength: 400 }), { maxLength: 4 });
    fc.assert(
      fc.property(words, (texts) => {
        const text = texts.join(" ");
        expect([...other.encode(text)]).toEqual(coarse.encode(text, { add_special_tokens: false }).ids);
      }),
      { numRuns: 100 },
    );
  });

  it("refuses what is no tokenizer", async () => {
    const altered = (change: (value: Record<string, unknown>) => void): string => {
      const value = JSON.parse(document) as Record<string, unknown>;
      change(value);
      return JSON.stringify(value);
    };
    for (const text of [
      "",
      "{",
      "[]",
      "{}",
      altered((value) => delete value.model),
      ...[{ merges: [["a"]] }, { merges: "a b" }, { vocab: { a: -1 } }, { vocab: { a: "b" } }, { vocab: null }].map(
        (change) => altered((value) => void Object.assign(value.model as object, change)),
      ),
      altered((value) => {
        value.pre_tokenizer = { type: "Unheard" };
      }),
    ])
      expect(() => parseTokenizer(text, "place")).toThrow(
        expect.objectContaining({ code: "BAD_BUNDLE", path: "place" }),
      );
    await expect(readTokenizer("/nowhere/tokenizer.json")).rejects.toMatchObject({ code: "BAD_BUNDLE" });
  });

  it("reads a tokenizer of another cut, with marks", () => {
    const value = JSON.parse(document) as { pre_tokenizer: unknown; added_tokens: unknown[] };
    value.pre_tokenizer = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
    value.added_tokens = [
      {
        id: 127,
        content: "<reserved127>",
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: true,
      },
    ];
    const other = parseTokenizer(JSON.stringify(value));
    // what a user spells stays text
    expect(other.decode(other.encode("let it be<reserved127>"))).toBe("let it be<reserved127>");
    const ids = other.encodeMarked!("let it be<reserved127>", "\ufdd0");
    expect(other.decode(ids)).toBe("let it be");
    expect(ids.at(-1)).toBe(127);
  });
});
