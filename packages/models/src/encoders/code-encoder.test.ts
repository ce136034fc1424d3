import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { TesseraError } from "@tessera/core";
import { dot } from "@tessera/core/internal";
import fc from "fast-check";
import { encoderModel } from "../architectures/tessera-encoder.js";
import { cpuEngine } from "../engines/cpu.js";
import { type Engine, ragged } from "../engines/engine.js";
import { referenceEngine, referenceVectors } from "../engines/reference/engine.js";
import { readBundle } from "../formats/bundle.js";
import { TokenizerThreads } from "../tokenizer/threads.js";
import { findModel, listModels } from "../tools/catalogue.js";
import { encodeFile } from "../tools/encode-file.js";
import { inspectModel } from "../tools/inspect-model.js";
import { writeRandomEncoder } from "../tools/random-encoder.js";
import { verifyModel } from "../tools/verify-model.js";
import { type CodeEncoder, codeEncoder } from "./code-encoder.js";

const tokenizerPath = fileURLToPath(new URL("../../tokenizer/tokenizer.json", import.meta.url));

let root: string;
let folder: string;
let tokenizer: TokenizerThreads;
let encoder: CodeEncoder;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "tessera-encoder-"));
  folder = join(root, "random-tiny");
  await writeRandomEncoder(folder, { shape: "tiny", tokenizer: tokenizerPath });
  tokenizer = new TokenizerThreads({ document: await readFile(tokenizerPath, "utf8"), path: tokenizerPath });
  encoder = await codeEncoder(encoderModel(await readBundle(folder)), cpuEngine({ workers: 2 }), tokenizer);
});
afterAll(async () => {
  await encoder.close();
  await rm(root, { recursive: true, force: true });
});

describe("the code encoder", () => {
  it("gives the reference's vectors for [cls] [kind] and the tokens of the text", async () => {
    const text = "function add(a, b) { return a + b; }";
    const tokens = [...(await tokenizer.encode([text], 100)).ids];
    for (const [kind, id] of [
      ["query", 4],
      ["code", 5],
      ["text", 6],
    ] as const)
      for (const exit of [1, 2, 4]) {
        const [vector] = await encoder.encode([text], { kind, exit });
        const expected = referenceVectors(encoder.model, Int32Array.from([1, id, ...tokens]), exit).get(exit)!;
        expect(dot(vector!, expected)).toBeGreaterThan(0.99);
      }
  });

  it("leaves by the default exits: queries by the shallow one, the rest by the last", async () => {
    const [shallow, query] = await Promise.all([
      encoder.encode(["sort a list"], { kind: "query", exit: encoder.model.default.query }),
      encoder.encode(["sort a list"], { kind: "query" }),
    ]);
    expect(dot(shallow[0]!, query[0]!)).toBeCloseTo(1, 5);
    const [deep, code] = await Promise.all([
      encoder.encode(["sort(list)"], { kind: "code", exit: 4 }),
      encoder.encode(["sort(list)"], { kind: "code" }),
    ]);
    expect(dot(deep[0]!, code[0]!)).toBeCloseTo(1, 5);
    expect(encoder.space({})).toBe(encoder.space({ exit: 4, width: 32 }));
  });

  it("lets a query search its own exit and those it is paired with, at its own width", () => {
    expect(encoder.searches({})).toContain(encoder.space({}));
    expect(encoder.searches({ exit: 1, width: 8 })).toEqual([
      encoder.space({ exit: 1, width: 8 }),
      encoder.space({ exit: 4, width: 8 }),
    ]);
    expect(encoder.searches({ exit: 4 })).toEqual([encoder.space({ exit: 4 })]);
    const spaces = [1, 2, 4].flatMap((exit) => [8, 16, 32].map((width) => encoder.space({ exit, width })));
    expect(new Set(spaces).size).toBe(9);
  });

  it("gives narrow vectors that are the normalised prefix of the whole", async () => {
    const [whole] = await encoder.encode(["const x = 1"], { kind: "code" });
    const [narrow] = await encoder.encode(["const x = 1"], { kind: "code", width: 8 });
    expect(narrow).toHaveLength(8);
    const norm = Math.hypot(...whole!.slice(0, 8));
    for (let i = 0; i < 8; i++) expect(narrow![i]).toBeCloseTo(whole![i]! / norm, 5);
  });

  it("keeps the order of more texts than fit a slice, and answers none with none", async () => {
    expect(await encoder.encode([], { kind: "text" })).toEqual([]);
    const texts = Array.from({ length: 600 }, (_, i) => `value ${i % 7} ${"x ".repeat(i % 5)}`);
    const vectors = await encoder.encode(texts, { kind: "text" });
    expect(vectors).toHaveLength(600);
    const alone = new Map<string, Float32Array>();
    for (const text of new Set(texts)) alone.set(text, (await encoder.encode([text], { kind: "text" }))[0]!);
    for (const [i, text] of texts.entries()) expect(dot(vectors[i]!, alone.get(text)!)).toBeCloseTo(1, 5);
  });

  it("has a defined result for the empty text, a megabyte, lone surrogates, and any other string", async () => {
    const long = "lorem ipsum dolor ".repeat(60_000);
    const [empty, whole, start, unbroken, lone, replaced] = await encoder.encode(
      ["", long, long.slice(0, 20_000), "a".repeat(1_000_000), "a\uD800b", "a\uFFFDb"],
      { kind: "code" },
    );
    expect(dot(empty!, referenceVectors(encoder.model, Int32Array.of(1, 5)).get(4)!)).toBeGreaterThan(0.995);
    expect([...whole!]).toEqual([...start!]);
    expect(Math.hypot(...unbroken!)).toBeCloseTo(1, 5);
    expect([...lone!]).toEqual([...replaced!]);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.string({ unit: "binary" }), { maxLength: 5 }), async (texts) => {
        for (const vector of await encoder.encode(texts, { kind: "text" }))
          expect(Math.hypot(...vector)).toBeCloseTo(1, 4);
      }),
      { numRuns: 30 },
    );
  });

  it("refuses exits and widths that the model does not have", async () => {
    expect(() => encoder.space({ exit: 3 })).toThrow(expect.objectContaining({ code: "BAD_ARGUMENT" }));
    expect(() => encoder.searches({ width: 9 })).toThrow(expect.objectContaining({ code: "BAD_ARGUMENT" }));
    await expect(encoder.encode(["a"], { kind: "code", exit: 0 })).rejects.toMatchObject({
      code: "BAD_ARGUMENT",
      hint: "exits: 1, 2, 4",
    });
  });

  it("honours its signal", async () => {
    const stop = new AbortController();
    const texts = Array.from({ length: 2000 }, (_, i) => `text number ${i}`.repeat(20));
    const call = encoder.encode(texts, { kind: "text" }, stop.signal);
    setTimeout(() => stop.abort(), 30);
    await expect(call).rejects.toMatchObject({ code: "ABORTED" });
    expect(await encoder.encode(["still here"], { kind: "text" })).toHaveLength(1);
  });

  it("settles with the engine's error where a slice fails, and nothing is left unhandled", async () => {
    const engine: Engine = {
      ...referenceEngine(),
      info: { kind: "cpu", device: "none", dtype: "fp32" },
      loadEncoder: async () => ({
        exits: [4],
        hidden: 32,
        encode: async () => {
          throw new TesseraError("MODEL_FAILED", "no");
        },
        close: async () => {},
      }),
    };
    const tokens = { encode: async (texts: readonly string[]) => ragged(texts.map(() => [130])) };
    const broken = await codeEncoder(encoder.model, engine, tokens);
    const texts = Array.from({ length: 1000 }, () => "a");
    await expect(broken.encode(texts, { kind: "code" })).rejects.toMatchObject({ code: "MODEL_FAILED" });
  });
});

describe("models on disk", () => {
  it("are listed, found by name or path, and inspected", async () => {
    await writeFile(join(root, "stray.txt"), "no model");
    const models = await listModels([join(root, "missing"), root]);
    expect(models.map(({ name }) => name)).toEqual(["random-tiny"]);
    expect(await findModel("random-tiny", [root])).toBe(folder);
    expect(await findModel(folder)).toBe(folder);
    await expect(findModel("random-tinny", [root])).rejects.toMatchObject({
      code: "UNKNOWN_RESOURCE",
      hint: "models: random-tiny",
    });
    const inspection = await inspectModel("random-tiny", { folders: [root] });
    if (inspection.kind !== "encoder") throw new Error("an encoder is inspected as one");
    const block = 4 * 32 * 32 + 3 * 32 * 48 + 2 * 32;
    expect(inspection).toMatchObject({ layers: 4, hidden: 32, vocabulary: inspection.vocabulary });
    const { parameters } = inspection.exits[0]!;
    expect(parameters).toBe(inspection.vocabulary * 32 + block + 32 * 32 + 32);
    const total = 4 * block + 3 * (32 * 32 + 32);
    expect(inspection.parameters).toEqual({ total, active: total, embedding: inspection.vocabulary * 32 });
    const on = { folders: [root], on: "text.jsonl" };
    await expect(inspectModel("random-tiny", on)).rejects.toMatchObject({ code: "MISSING_CAPABILITY" });
  });

  it("are verified on every engine, and altered weights fail", async () => {
    const verdicts = await verifyModel("random-tiny", undefined, [root]);
    expect(verdicts.map(({ engine, passed }) => [engine.kind, engine.dtype, passed])).toEqual([
      ["reference", "fp32", true],
      ["cpu", "int8", true],
      ["cpu", "fp32", true],
      ["gpu", expect.stringMatching(/^fp(16|32)$/), true],
    ]);
    const other: Engine = {
      ...referenceEngine(),
      info: { kind: "gpu", device: "none", dtype: "fp16" },
      loadEncoder: async () => {
        throw new TesseraError("DEPENDENCY_MISSING", "no adapter");
      },
    };
    expect(await verifyModel("random-tiny", [other], [root])).toEqual([
      { kind: "encoder", engine: other.info, passed: true, exits: [], missing: "no adapter" },
    ]);
    const session = { exits: [4], hidden: 32, close: async () => {} };
    const wrong = (value: number): Engine => ({
      ...other,
      loadEncoder: async () => ({
        ...session,
        encode: async (batch) => new Float32Array((batch.offsets.length - 1) * 32).fill(value),
      }),
    });
    for (const value of [0, 1 / Math.sqrt(32), Number.NaN])
      expect((await verifyModel("random-tiny", [wrong(value)], [root]))[0]!.passed).toBe(false);
  });

  it("encode a file of texts, whole or not at all", async () => {
    const input = join(root, "texts.jsonl");
    const output = join(root, "vectors.f32");
    const request = { model: "random-tiny", kind: "code", exit: 2, width: 16, input, output, folders: [root] } as const;
    const texts = ["let a", "", "été \uFFFD"];
    const lines = [...texts.slice(0, 2).map((text) => JSON.stringify({ text })), "", '{"text":"été '].join("\r\n");
    await writeFile(input, Buffer.concat([Buffer.from(lines), Buffer.of(0xff), Buffer.from('"}')]));
    expect(await encodeFile(request)).toEqual({ texts: 3, width: 16, space: encoder.space({ exit: 2, width: 16 }) });
    const bytes = await readFile(output);
    expect(bytes).toHaveLength(3 * 16 * 4);
    const expected = await encoder.encode(texts, { kind: "code", exit: 2, width: 16 });
    for (let i = 0; i < 48; i++)
      expect(bytes.readFloatLE(4 * i)).toBeCloseTo(expected[Math.floor(i / 16)]![i % 16]!, 5);

    await writeFile(input, '{"text":"a"}\n{"txt":"b"}\n');
    await expect(encodeFile(request)).rejects.toMatchObject({ code: "BAD_INPUT", path: `${input}:2` });
    await writeFile(input, '{"text":"a"}\nnot json\n');
    await expect(encodeFile(request)).rejects.toMatchObject({ code: "BAD_INPUT", path: `${input}:2` });
    await expect(encodeFile({ ...request, input: join(root, "none") })).rejects.toMatchObject({ code: "BAD_SOURCE" });
    expect(await readFile(output)).toEqual(bytes);
    await writeFile(input, "");
    expect((await encodeFile(request)).texts).toBe(0);
  });
});
