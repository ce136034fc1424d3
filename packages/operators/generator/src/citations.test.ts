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
    ["Both [1, 2; 9].", "Both [1][2].", [1, 2], [9]],
    ["All [1-3].", "All [1][2][3].", [1, 2, 3], []],
    ["Word[2] and [passage 3] and [Sources 1 and 2].", "Word[2] and [3] and [1][2].", [2, 3, 1], []],
    ["So it is【1†source】.", "So it is[1].", [1], []],
    ["It is so［1］，and【２、３】。", "It is so[1]，and[2][3]。", [1, 2, 3], []],
    ["As [1, 2, and 3] and [1 & 2] say", "As [1][2][3] and [1][2] say", [1, 2, 3], []],
    ["Read `args[7]` and `x[1]` [2]", "Read `args[7]` and `x[1]` [2]", [2], []],
    ["```ts\nlist[9] = [1];\n```\nDone [1].", "```ts\nlist[9] = [1];\n```\nDone [1].", [1], []],
    ["~~~\nrows[0] [4]\n~~~\nDone [1].", "~~~\nrows[0] [4]\n~~~\nDone [1].", [1], []],
    ["```\n[4]\n`````\nDone [1].", "```\n[4]\n`````\nDone [1].", [1], []],
    ["````\n```js\n[4]\n```\n[1]\n````\nDone [2].", "````\n```js\n[4]\n```\n[1]\n````\nDone [2].", [2], []],
    ["````\na [4]\n```\nDone [1].", "````\na [4]\n```\nDone [1].", [1], []],
    ["```\na [4]\n~~~\nDone [1].", "```\na [4]\n~~~\nDone [1].", [1], []],
    ["```\na [4]\n``` [1]\nDone.", "```\na [4]\n``` [1]\nDone.", [1], []],
    ["So:\n\n    rows[0] = [4];\n\nDone [1].", "So:\n\n    rows[0] = [4];\n\nDone [1].", [1], []],
    ["- one [1]\n\n      rows [4]\n\n  two [2]", "- one [1]\n\n      rows [4]\n\n  two [2]", [1, 2], []],
    ["- one\n\n    two [2]", "- one\n\n    two [2]", [2], []],
    ["An open ` tick\nthen [9] [1]", "An open ` tick\nthen [1]", [1], [9]],
    ["A span `over\nlines [4]` [1]", "A span `over\nlines [4]` [1]", [1], []],
    ["One ` stray.\n\nThen [1] ` [2]", "One ` stray.\n\nThen [1] ` [2]", [1, 2], []],
    ["rows[0] and rows[2]", "rows[0] and rows[2]", [], []],
    ["matrix[1][2] = f(x)[1], it.rows[1]", "matrix[1][2] = f(x)[1], it.rows[1]", [], []],
    [
      "snake_case[1] and camelCase[2], `rows` with rows[1]",
      "snake_case[1] and camelCase[2], `rows` with rows[1]",
      [],
      [],
    ],
    ["they wait[passage 4] and wait【9】【1】", "they wait and wait[1]", [1], [4, 9]],
    ["in [0, 1] for each deck [2]", "in [0, 1] for each deck [2]", [2], []],
    ["decks are numbered [1, 2] from below", "decks are numbered [1, 2] from below", [], []],
    [
      "Since [2019] cars, see [2023](https://a.b/[1]) [1]",
      "Since [2019] cars, see [2023](https://a.b/[1]) [1]",
      [1],
      [],
    ],
    [
      "[1](https://a.b) and a note[^1]\n\n[^1]: said [2].",
      "[1](https://a.b) and a note[^1]\n\n[^1]: said [2].",
      [2],
      [],
    ],
    ["[1]: https://a.b\n[1] says", "[1]: https://a.b\n[1] says", [1], []],
    [
      "For $x[1] + [4]$ it holds [2], as \\[1\\] does, for $5 [1].",
      "For $x[1] + [4]$ it holds [2], as \\[1\\] does, for $5 [1].",
      [2, 1],
      [],
    ],
    ["It costs $5 [1] and $6 [2].", "It costs $5 [1] and $6 [2].", [1, 2], []],
    ["It waits [0], then stops [3]", "It waits, then stops [3]", [3], [0]],
    ["As [7] says", "As says", [], [7]],
    ["[see below] [a1] [1.5] [1e2] [1-9999]", "[see below] [a1] [1.5] [1e2] [1-9999]", [], []],
    ["[1", "[1", [], []],
  ])("%j", (text, clean, cited, unknown) => {
    expect(read([text])).toEqual({ text: clean, cited, unknown });
  });

  it("holds back only what could become a marker", () => {
    const reader = new CitationReader(2);
    expect(reader.push("It waits")).toBe("It waits");
    expect(reader.push(" [")).toBe("");
    expect(reader.push("2")).toBe("");
    expect(reader.push("]")).toBe("");
    expect(reader.push(" and so")).toBe(" [2] and so");
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
      "~~~",
      "\n\n",
      "    ",
      "- ",
      "$",
      "\\",
      "rows",
      "(",
      ":",
      "[0]",
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

  it("cites in prose alone, whatever stands around it", () => {
    const prose = fc.constantFrom(
      ["It waits [2].", "It waits [2].", [2]],
      ["Both say so [1, 3].", "Both say so [1][3].", [1, 3]],
      ["- a list with *marks* [3]", "- a list with *marks* [3]", [3]],
      ["> It is quoted【1】.", "> It is quoted[1].", [1]],
      ["A link [2](https://a.b) and years [1999].", "A link [2](https://a.b) and years [1999].", []],
      ["It uses `rows[1]`, of [0, 1].", "It uses `rows[1]`, of [0, 1].", []],
    ) as fc.Arbitrary<[string, string, number[]]>;
    const lines = fc.array(fc.constantFrom("rows[0] = [1]", "[2]", "", "  a[1] b", "`tick` [3]", "# [1] - "), {
      minLength: 1,
      maxLength: 4,
    });
    const code = fc
      .tuple(fc.constantFrom("```", "~~~", "````", "    "), lines, fc.constantFrom("", "ts"))
      .map(([mark, inner, info]): [string, string, number[]] => {
        const block =
          mark === "    " ? `    ${inner.join(" ").trim() || "x"}` : `${mark}${info}\n${inner.join("\n")}\n${mark}`;
        return [block, block, []];
      });
    fc.assert(
      fc.property(fc.array(fc.oneof(prose, code), { minLength: 1, maxLength: 6 }), (blocks) => {
        // a paragraph between them, so that code with an indentation belongs to no list
        const parted = blocks.flatMap((block) => [block, ["So.", "So.", []] as [string, string, number[]]]);
        const { text, cited } = read([parted.map(([written]) => written).join("\n\n")]);
        expect(text).toBe(parted.map(([, shown]) => shown).join("\n\n"));
        expect(new Set(cited)).toEqual(new Set(parted.flatMap(([, , numbers]) => numbers)));
      }),
      { numRuns: 1000 },
    );
  });

  it("knows an index by what follows, where it has the whole answer", () => {
    const text = "Take rows[2], not rows[0] [1].";
    const reader = new CitationReader(2, text);
    expect(reader.push(text) + reader.end()).toBe(text);
    expect([...reader.cited]).toEqual([1]);
  });
});
