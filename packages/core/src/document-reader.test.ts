import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { broken, documents, naiveRead } from "./document.fixture.js";
import { parseDocument } from "./document.js";
import { TesseraError } from "./errors.js";
import { parsingJson } from "./json-text.js";
import { limits } from "./limits.js";
import { atOnce } from "./slices.js";

/** What the reader gives, in the words of its twin. */
function read(value: unknown): ReturnType<typeof naiveRead> {
  try {
    return { document: parseDocument(value) };
  } catch (error) {
    if (!TesseraError.is(error) || error.code !== "BAD_DOCUMENT") throw error;
    return { told: error.findings.map(({ path, message }) => ({ path: path!, message })) };
  }
}

const inOrder = (outcome: ReturnType<typeof naiveRead>) =>
  "told" in outcome ? { told: outcome.told.map((one) => `${one.path}: ${one.message}`).sort() } : outcome;

describe("the reader of documents and the schema", () => {
  it("take the same documents, and read the same out of them", () => {
    fc.assert(
      fc.property(documents, (value) => {
        expect(naiveRead(value)).toHaveProperty("document");
        expect(JSON.stringify(read(value))).toBe(JSON.stringify(naiveRead(value)));
      }),
      { numRuns: 200 },
    );
  });

  it("say the same of broken ones", () => {
    let wrong = 0;
    fc.assert(
      fc.property(broken, (value) => {
        const naive = naiveRead(value);
        if ("told" in naive) wrong++;
        expect(inOrder(read(value))).toEqual(inOrder(naive));
      }),
      { numRuns: 600 },
    );
    expect(wrong).toBeGreaterThan(200);
  });

  it("a right document is not shown to the schema node by node", () => {
    const nodes = Object.fromEntries(
      Array.from({ length: limits.nodes }, (_, i) => [`n${i}`, { run: "a.b", in: { x: "input.x" }, with: { i } }]),
    );
    const document = { version: 1, name: "wide", input: { x: "text" }, nodes, output: { x: "n1.x" } };
    const began = process.cpuUsage();
    expect(parseDocument(document)).toEqual(document);
    const { user, system } = process.cpuUsage(began);
    expect((user + system) / 1000).toBeLessThan(500); // milliseconds; the schema takes several times as long
  });

  it.each<[string, object, RegExp]>([
    ["an object with too many members", { x: { value: {} } }, /one list or object/],
    [
      "a constant with too many values",
      { x: { value: [new Array(15_000).fill(0), new Array(15_000).fill(0)] } },
      /one setting/,
    ],
  ])("%s is too large", (_, output, message) => {
    const many = Object.fromEntries(Array.from({ length: limits.members + 1 }, (_, i) => [`k${i}`, 0]));
    const given = JSON.parse(JSON.stringify(output).replace("{}", JSON.stringify(many)));
    const document = { version: 1, name: "large", input: {}, nodes: {}, output: given };
    expect(() => parseDocument(document)).toThrow(message);
  });
});

describe("the reader of JSON texts", () => {
  const parse = (text: string) => {
    try {
      return { value: JSON.parse(text) };
    } catch {
      return "no JSON";
    }
  };
  const own = (text: string) => {
    try {
      return { value: atOnce(parsingJson(text)) };
    } catch (error) {
      expect(error).toMatchObject({ code: "BAD_JSON" });
      return "no JSON";
    }
  };

  it("reads what JSON.parse reads, and refuses what it refuses", () => {
    const texts = fc.oneof(
      fc.json({ maxDepth: 5 }),
      fc.jsonValue({ maxDepth: 4 }).map((value) => JSON.stringify(value, undefined, "\t\n \r")),
      fc
        .tuple(
          fc.json(),
          fc.nat(),
          fc.constantFrom("", '"', "\\", "{", "}", "[", "]", ",", ":", "0", "-", "e", "\u0001", "\ufeff", " ", "nul"),
        )
        .map(
          ([text, at, put]) => text.slice(0, at % (text.length + 1)) + put + text.slice((at % (text.length + 1)) + 1),
        ),
      fc.string(),
    );
    fc.assert(
      fc.property(texts, (text) => expect(own(text)).toEqual(parse(text))),
      { numRuns: 3000 },
    );
    for (const text of [
      '{"__proto__":{"a":1}}',
      '{"a":1,"a":2}',
      "-0",
      "1e400",
      '"\\ud800"',
      '"\\"\\\\"',
      "01",
      "1.",
      "+1",
      "[1,]",
      '{"a":1,}',
      "",
      " ",
    ])
      expect(own(text)).toEqual(parse(text));
    expect(({} as Record<string, unknown>).a).toBeUndefined();
  });

  it("has no recursion, and refuses what is nested deeper than a document may be", () => {
    expect(own("[".repeat(1_000_000))).toBe("no JSON");
    expect(() => atOnce(parsingJson(`[${"0,".repeat(limits.members)}0]`))).toThrow(/one list or object/);
  });
});
