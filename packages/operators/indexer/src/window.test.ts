import { describe, expect, it } from "@jest/globals";
import { testOperator } from "@tessera/testkit";
import fc from "fast-check";
import { chunkWindows, type WindowSettings, window } from "./window.js";

testOperator(window, {
  cases: [
    {
      name: "shares words between neighbours",
      config: { size: 3, overlap: 1 },
      input: { documents: [{ id: "d", title: "T", text: "a b\nc d e", metadata: { year: 2020 } }] },
      output: ({ passages }) =>
        expect(passages).toMatchObject([
          { text: "a b\nc ", title: "T", source: { path: "d", lines: [1, 2] }, metadata: { year: 2020, span: [0, 6] } },
          { text: "c d e", source: { lines: [2, 2] }, metadata: { span: [4, 9] } },
        ]),
    },
    {
      name: "gives lines exactly",
      config: { unit: "lines", size: 2, overlap: 0 },
      input: { documents: [{ id: "d", text: "a\n\nb\n", metadata: {} }] },
      output: ({ passages }) =>
        expect(passages).toMatchObject([
          { text: "a\n", source: { lines: [1, 2] } },
          { text: "b", source: { lines: [3, 3] } },
        ]),
    },
  ],
});

describe("chunkWindows", () => {
  it("refuses an overlap that leaves no progress", () => {
    expect(window.config.safeParse({ size: 4, overlap: 4 }).success).toBe(false);
  });

  it("takes each letter of a script without spaces as a word", () => {
    const windows = chunkWindows(
      { id: "d", text: "知識検索 ok", metadata: {} },
      { unit: "words", size: 2, overlap: 0 },
    );
    expect(windows.map(({ text }) => text)).toEqual(["知識", "検索 ", "ok"]);
  });

  // the naive twin counts units by another way: it cuts the text unit by unit
  const unitsOf: Record<WindowSettings["unit"], (text: string) => string[]> = {
    words: (text) => text.split(/(?<=\s)(?=\S)/),
    tokens: (text) => text.split(/(?<=\s)(?=\S)|(?<=[^\s\w$])(?=\S)|(?<=\S)(?=[^\s\w$])/),
    characters: (text) => [...text],
    lines: (text) => text.split(/(?<=\n)/),
  };

  it("row 6: covers every character, shares exactly the overlap, and maps back to the source", () => {
    const words = fc.array(fc.constantFrom("a", "bc", "x.y", "(", "word", " ", "\n", "  "), {
      minLength: 1,
      maxLength: 60,
    });
    fc.assert(
      fc.property(
        words.map((parts) => parts.join("")).filter((text) => /^\S/.test(text)),
        fc.constantFrom("words", "tokens", "characters", "lines"),
        fc.integer({ min: 1, max: 8 }),
        fc.nat(7),
        (text, unit, size, lap) => {
          const overlap = lap % size;
          const windows = chunkWindows({ id: "d", text, metadata: {} }, { unit, size, overlap });
          const units = unitsOf[unit](text);
          const expected = [];
          for (let first = 0; ; first += size - overlap) {
            expected.push(units.slice(first, first + size).join(""));
            if (first + size >= units.length) break;
          }
          const stripped = unit === "lines" ? expected.map((part) => part.replace(/\n$/, "")) : expected;
          expect(windows.map((passage) => passage.text)).toEqual(stripped);
          const lines = text.split("\n");
          for (const { text: body, source, metadata } of windows) {
            const [from, to] = metadata.span as [number, number];
            expect(text.slice(from, to)).toBe(body);
            const [first, last] = source!.lines!;
            expect(first).toBe(text.slice(0, from).split("\n").length);
            expect(lines.slice(first - 1, last).join("\n")).toContain(unit === "lines" ? body : body.trimEnd());
            if (unit === "lines") expect(lines.slice(first - 1, last).join("\n")).toBe(body);
          }
          expect(new Set(windows.map(({ id }) => id)).size).toBe(windows.length);
        },
      ),
      { numRuns: 1000 },
    );
  });
});
