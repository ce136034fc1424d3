import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { writeRandomDecoder } from "@tessera/models/internal";
import { root, tessera } from "../program.fixture.js";
import { exitCodeOf, Terminal } from "../terminal.js";
import * as languageModels from "./language-models.js";
import * as models from "./models.js";

const dense = join(root, "packages/models/src/fixtures/dense-toy");
let folder: string;
const at = (name: string): string => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tessera-language-models-"));
  const tokenizer = join(root, "packages/models/tokenizer/tokenizer.json");
  await writeRandomDecoder(at("random"), { shape: "tiny", golden: 1, tokenizer });
  const lines = [
    { language: "python", text: "def add(first, second):\n    return first + second\n" },
    {
      task: "judge",
      messages: [
        { role: "user", content: "Is it?" },
        { role: "assistant", content: "yes" },
      ],
    },
  ];
  await writeFile(at("text.jsonl"), lines.map((line) => JSON.stringify(line)).join("\n"));
  await writeFile(at("schema.json"), '{ "type": "array", "items": { "enum": ["a", "b"] }, "minItems": 2 }');
  await writeFile(at("impossible.json"), '{ "enum": [] }');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** What a command prints, and its exit code; of one that fails, its error. */
async function ran(json: boolean, work: (terminal: Terminal) => Promise<number>) {
  const out = new PassThrough();
  const terminal = new Terminal({ json, stack: false }, out, new PassThrough());
  try {
    const code = await work(terminal);
    return { code, out: String(out.read() ?? "") };
  } catch (error) {
    return { code: exitCodeOf(error), out: "", error };
  }
}
async function shown(work: (terminal: Terminal) => Promise<number>) {
  const { code, out, error } = await ran(true, work);
  expect([code, error]).toEqual([0, undefined]);
  return JSON.parse(out);
}
async function refused(code: string, exit: number, work: (terminal: Terminal) => Promise<number>, message = /./) {
  const failed = await ran(true, work);
  expect(failed).toMatchObject({ code: exit, error: { message: expect.stringMatching(message) } });
  expect((failed.error as { code?: string; name: string }).code ?? (failed.error as Error).name).toBe(code);
}

describe("tessera models inspect", () => {
  it("says which modules serve which operator and language, with a picture", async () => {
    const options = { on: at("text.jsonl"), svg: at("map.svg") };
    const found = await shown((terminal) => models.inspect(terminal, at("random"), options));
    expect(found.layers).toBe(2);
    expect(found.modules.feedforward[0]).toEqual({ count: 5, top: 2 });
    expect(Object.keys(found.frequencies)).toEqual(["judge", "python"]);
    for (const shares of found.frequencies.judge.attention)
      expect(shares.reduce((sum: number, share: number) => sum + share, 0)).toBeCloseTo(1, 6);
    const picture = await readFile(at("map.svg"), "utf8");
    // two domains, and in each of two layers three modules of attention and five of feedforward
    expect(picture.match(/<rect x/g)).toHaveLength(2 * 2 * (3 + 5));
    const { out } = await ran(false, (terminal) => models.inspect(terminal, at("random"), options));
    expect(out).toMatch(/layer 1 feedforward\n {2}judge {2}│.{5}│\n {2}python │.{5}│/);
  });

  it("refuses text without text, and a picture of nothing", async () => {
    const on = (name: string) => (terminal: Terminal) => models.inspect(terminal, at("random"), { on: at(name) });
    await refused("BAD_SOURCE", 2, on("none.jsonl"));
    await refused("BAD_INPUT", 2, on("schema.json"), /neither text nor messages/);
    await writeFile(at("empty.jsonl"), "\n");
    await refused("BAD_INPUT", 2, on("empty.jsonl"), /no text/);
    await refused("UsageError", 2, (terminal) => models.inspect(terminal, at("random"), { svg: at("no.svg") }));
    await refused("UsageError", 2, (terminal) => models.inspect(terminal, "code-encoder", { on: at("text.jsonl") }));
  });
});

describe("tessera models verify", () => {
  it("compares every engine of this machine with a language model's golden cases", async () => {
    const verdicts = await shown((terminal) => models.verify(terminal, at("random")));
    const passed = verdicts.map((one: { engine: { kind: string }; passed: boolean }) => [one.engine.kind, one.passed]);
    expect(passed).toEqual([
      ["reference", true],
      ["cpu", true],
      ["cpu", true],
      ["gpu", true],
    ]);
  });
});

describe("tessera models prune", () => {
  it("writes a smaller bundle, which answers", async () => {
    const pruned = { keep: 0.5, on: at("text.jsonl"), output: at("pruned") };
    const { kept } = await shown((terminal) => languageModels.prune(terminal, at("random"), pruned));
    expect(kept.feedforward.map((places: number[]) => places.length)).toEqual([3, 3]);
    const found = await shown((terminal) => models.inspect(terminal, at("pruned"), {}));
    expect(found.modules.attention[0]).toEqual({ count: 2, top: 2 });
    const ask = { model: at("pruned"), prompt: "Hi", maxTokens: 3 };
    expect((await shown((terminal) => languageModels.generate(terminal, ask))).usage.completion).toBe(3);
    const again = (change: object) => (terminal: Terminal) =>
      languageModels.prune(terminal, at("random"), { ...pruned, ...change });
    await refused("CONFLICT", 1, again({}));
    await refused("BAD_ARGUMENT", 2, again({ keep: 0, output: at("no") }));
    await refused("BAD_SOURCE", 2, again({ on: at("none.jsonl"), output: at("no") }));
    await refused("MISSING_CAPABILITY", 1, async (terminal) =>
      languageModels.prune(terminal, at("dense"), { ...pruned, output: at("no") }),
    );
  });

  beforeAll(async () => {
    await writeRandomDecoder(at("dense"), {
      shape: "tiny-dense",
      golden: 1,
      tokenizer: join(root, "packages/models/tokenizer/tokenizer.json"),
    });
  });
});

describe("tessera models emoe", () => {
  it("turns a dense bundle into emergent experts and back", async () => {
    const convert = { layers: "0, 1", experts: 4, top: 2, output: at("emergent") };
    await shown((terminal) => languageModels.emergent(terminal, dense, convert));
    const experts = await shown((terminal) => models.inspect(terminal, at("emergent"), {}));
    expect(experts.modules.feedforward).toEqual([
      { count: 4, top: 2 },
      { count: 4, top: 2 },
    ]);
    await shown((terminal) => languageModels.emergent(terminal, at("emergent"), { merge: true, output: at("merged") }));
    const merged = await shown((terminal) => models.inspect(terminal, at("merged"), {}));
    expect(merged.modules.feedforward[0]).toEqual({ count: 1, top: 1 });
    expect(merged.parameters.total).toBe(experts.parameters.total);
  });

  it("refuses options that contradict each other, and numbers that do not fit", async () => {
    const wrong = (code: string, options: object) =>
      refused(code, 2, (terminal) => languageModels.emergent(terminal, dense, { output: at("no"), ...options }));
    await wrong("UsageError", { merge: true, layers: "0" });
    await wrong("UsageError", { merge: true, top: 4 });
    await wrong("UsageError", {});
    await wrong("UsageError", { layers: "x" });
    await wrong("BAD_ARGUMENT", { layers: "7", experts: 4, top: 2 });
    await wrong("BAD_ARGUMENT", { layers: "0", experts: 3, top: 2 });
    await wrong("BAD_ARGUMENT", { merge: true });
  });
});

describe("tessera models generate", () => {
  const ask = (options: object) => (terminal: Terminal) =>
    languageModels.generate(terminal, { model: at("random"), prompt: "Hi", maxTokens: 20, ...options });

  it("holds an answer to a JSON Schema, also as a program", async () => {
    const { text, finish } = await shown(ask({ temperature: 1, seed: 4, jsonSchema: at("schema.json") }));
    expect(JSON.parse(text).length).toBeGreaterThan(1);
    expect(finish).toBe("stop");
    const given = ["--model", "./random", "--prompt", "Hi", "--temperature", "1", "--seed", "4", "--max-tokens", "20"];
    const program = await tessera(["models", "generate", ...given, "--json-schema", "schema.json", "--json"], folder);
    expect(JSON.parse(program.out).text).toBe(text);
  });

  it("refuses a schema that cannot be met or read", async () => {
    await refused("BAD_ARGUMENT", 2, ask({ jsonSchema: at("impossible.json") }), /no JSON meets the schema/);
    await refused("BAD_ARGUMENT", 2, ask({ jsonSchema: at("schema.json"), maxTokens: 3 }), /shortest JSON/);
    await refused("BAD_SOURCE", 2, ask({ jsonSchema: at("none.json") }));
    await refused("BAD_JSON", 2, ask({ jsonSchema: at("text.jsonl") }));
  });

  it("says what is wrong with a prompt past the context, with numbers that are none, and with damaged weights", async () => {
    await refused("BAD_ARGUMENT", 2, ask({ prompt: "word ".repeat(200) }), /together may have 96/);
    await refused("BAD_ARGUMENT", 2, ask({ prompt: "" }), /empty/);
    await refused("BAD_ARGUMENT", 2, ask({ maxTokens: Number.NaN }), /maxTokens/);
    const weights = join(at("merged"), "model.safetensors");
    const bytes = await readFile(weights);
    bytes[bytes.length - 1]! ^= 1;
    await writeFile(weights, bytes);
    await refused("BAD_BUNDLE", 1, ask({ model: at("merged") }), /SHA-256/);
    await refused("BAD_BUNDLE", 1, (terminal) => models.verify(terminal, at("merged")), /SHA-256/);
    await refused("BAD_BUNDLE", 1, (terminal) => models.inspect(terminal, at("merged"), {}), /SHA-256/);
  });
});
