import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { CitationReader } from "./citations.js";

function read(parts: string[], count = 3) {
  const reader = new CitationReader(count);
  const text = parts.map((part) => reader.push(part)).join("") + reader.end();
  return { text, cited: [...reader.cited], unknown: [...reader.unknown] };
}

describe("CitationReader", () => {
  it.each([
    ["It waits [1].", "It waits [1].", [1], []],
    ["It waits [4].", "It waits.", [], [4]],
    ["It waits [0], then stops [3]", "It waits, then stops [3]", [3], [0]],
    ["Both [1, 2; 9].", "Both [1][2].", [1, 2], [9]],
    ["All [1-3].", "All [1][2][3].", [1, 2, 3], []],
    ["Word[2] and [passage 3] and [^1]", "Word[2] and [3] and [1]", [2, 3, 1], []],
    ["So it is【1†source】.", "So it is[1].", [1], []],
    ["Read `args[7]` and `x[1]` [2]", "Read `args[7]` and `x[1]` [2]", [2], []],
    ["```ts\nlist[9] = [1];\n```\nDone [1].", "```ts\nlist[9] = [1];\n```\nDone [1].", [1], []],
    ["An open ` tick\nthen [9] [1]", "An open ` tick\nthen [1]", [1], [9]],
    ["[see below] [a1] [1.5]", "[see below] [a1] [1.5]", [], []],
    ["[1", "[1", [], []],
    ["[1-9999]", "[1]", [1], [9999]],
  ])("%j", (text, clean, cited, unknown) => {
    expect(read([text])).toEqual({ text: clean, cited, unknown });
  });

  it("holds back only what could become a marker", () => {
    const reader = new CitationReader(2);
    expect(reader.push("It waits")).toBe("It waits");
    expect(reader.push(" [")).toBe("");
    expect(reader.push("2")).toBe("");
    expect(reader.push("] and")).toBe(" [2] and");
    expect(reader.push(" [x")).toBe("");
    expect(reader.push("1]")).toBe(" [x1]");
  });

  it("gives the same however the answer is cut", () => {
    const piece = fc.constantFrom(
      "[1]",
      "[12]",
      " [3",
      "]",
      ", 2",
      "`",
      "``",
      "```",
      "\n",
      " ",
      "word",
      "【",
      "2】",
      "[passage ",
      "†x",
      "-",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), fc.array(fc.nat(60), { maxLength: 6 }), (pieces, cuts) => {
        const text = pieces.join("");
        const places = [0, ...cuts.filter((cut) => cut < text.length).sort((a, b) => a - b), text.length];
        const parts = places.slice(1).map((end, i) => text.slice(places[i]!, end));
        expect(read(parts)).toEqual(read([text]));
      }),
      { numRuns: 2000 },
    );
  });
});
