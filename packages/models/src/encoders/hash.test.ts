import { mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { dot } from "@tessera/core/internal";
import fc from "fast-check";
import { HashEncoder } from "./hash.js";

const corpus = ["the parser reads tokens", "the lexer makes tokens", "the retry waits", "the server answers"];
const one = async (encoder: HashEncoder, text: string, width?: number) =>
  (await encoder.encode([text], { kind: "text", width }))[0]!;
const fitted = () => {
  const encoder = new HashEncoder({ width: 256 });
  encoder.fit(corpus);
  return encoder;
};

describe("HashEncoder", () => {
  it("gives vectors of length 1 for any text with words, and the zero vector for one without", async () => {
    const encoder = fitted();
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "binary", maxLength: 200 }), async (text) => {
        const vector = await one(encoder, `${text} word`);
        expect(Math.hypot(...vector)).toBeCloseTo(1, 5);
        expect(await one(encoder, `${text} word`)).toEqual(vector);
      }),
    );
    expect((await one(encoder, " -- ")).every((component) => component === 0)).toBe(true);
  });

  it("is near for shared words, other spellings of an identifier and shared stems, and far otherwise", async () => {
    const encoder = fitted();
    const near = async (a: string, b: string) => dot(await one(encoder, a), await one(encoder, b));
    expect(await near("maxRetryCount", "MAX_RETRY_COUNT")).toBeCloseTo(1, 5);
    expect(await near("count the retries", "maxRetryCount")).toBeGreaterThan(
      await near("read the file", "maxRetryCount"),
    );
    expect(await near("parsing", "parsers")).toBeGreaterThan(0.2);
    expect(Math.abs(await near("parsing", "window"))).toBeLessThan(0.2);
  });

  it("weighs what is rare in its corpus above what is common", async () => {
    const [query, common, rare] = ["the lexer", "the window", "some lexer"];
    const gap = async (encoder: HashEncoder) =>
      dot(await one(encoder, query), await one(encoder, rare)) -
      dot(await one(encoder, query), await one(encoder, common));
    expect(await gap(fitted())).toBeGreaterThan(await gap(new HashEncoder({ width: 256 })));
  });

  it("names its space after its width and what it was fitted to", async () => {
    const [plain, left, right] = [new HashEncoder({ width: 256 }), fitted(), fitted()];
    expect(plain.space()).toBe("hash:256:unfitted");
    expect(left.space()).toBe(right.space());
    expect(left.space()).toMatch(/^hash:256:[0-9a-f]{16}$/);
    expect(left.space({ width: 64 })).not.toBe(left.space());
    right.fit([...corpus, "one more"]);
    expect(right.space()).not.toBe(left.space());
    expect(await one(left, "the parser", 64)).toHaveLength(64);
    expect(Math.hypot(...(await one(left, "the parser", 64)))).toBeCloseTo(1, 5);
  });

  it("gives the published components of a text, on every platform", async () => {
    // by the formula of the docstring, with FNV-1a and the MurmurHash3 finalizer written out in Python
    const vector = await one(new HashEncoder({ width: 8 }), "ab");
    expect([...vector].map((component) => Number(component.toFixed(4)))).toEqual([
      0, -0.618, 0, 0, 0, 0, 0.486, -0.618,
    ]);
  });

  it("is saved and loaded whole, and a damaged file is found", async () => {
    const folder = await mkdtemp(join(tmpdir(), "tessera-hash-"));
    const encoder = fitted();
    await encoder.save(folder);
    await encoder.save(folder);
    expect(await readdir(folder)).toEqual(["hash-encoder.json"]);
    const loaded = await HashEncoder.load(folder);
    expect(loaded.space()).toBe(encoder.space());
    expect(await one(loaded, "the parser")).toEqual(await one(encoder, "the parser"));

    const path = join(folder, "hash-encoder.json");
    const text = await readFile(path, "utf8");
    for (const damaged of [
      "",
      text.slice(0, -9),
      text.replace('"documents":4', '"documents":5'),
      text.replace("AAA", "BAA"),
    ]) {
      await writeFile(path, damaged);
      await expect(HashEncoder.load(folder)).rejects.toMatchObject({ code: "BAD_BUNDLE", path });
    }
    await expect(HashEncoder.load(join(folder, "none"))).rejects.toMatchObject({ code: "BAD_BUNDLE" });
    await expect(encoder.save(path)).rejects.toMatchObject({ code: "STORE_FAILED" });
  });

  it("refuses exits, widths it does not have, and ends with an aborted signal", async () => {
    const encoder = fitted();
    await expect(encoder.encode(["a"], { kind: "query", exit: 4 })).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    await expect(encoder.encode(["a"], { kind: "query", width: 257 })).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    expect(() => new HashEncoder({ width: 1 })).toThrow("width");
    await expect(encoder.encode(["a"], { kind: "query" }, AbortSignal.abort())).rejects.toThrow();
  });
});
