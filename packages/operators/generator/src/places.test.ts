import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { placesOf } from "./places.js";

interface Given {
  readonly path: string;
  readonly lines?: [number, number];
  readonly symbol?: string;
}
const member = ({ path, lines, symbol }: Given, index: number) => ({
  passage: {
    id: `${path}#${index}`,
    text: "",
    source: { path, ...(lines && { lines }), ...(symbol !== undefined && { symbol }) },
    metadata: {},
  },
});
const places = (given: readonly Given[], count = 3) =>
  placesOf(given.map(member), count).map(({ lines, members }) => [
    members[0]!.passage.source.path,
    lines && [...lines],
    members.length,
  ]);

describe("places", () => {
  it.each([
    [
      "neighbours are one",
      [
        { path: "a", lines: [10, 20] },
        { path: "a", lines: [40, 69] },
      ],
      [["a", [10, 69], 2]],
    ],
    [
      "no more than 60 lines are one",
      [
        { path: "a", lines: [10, 20] },
        { path: "a", lines: [41, 70] },
      ],
      [
        ["a", [10, 20], 1],
        ["a", [41, 70], 1],
      ],
    ],
    [
      "parts of one definition that stand far apart are one, by its best part",
      [
        { path: "a", lines: [1, 50], symbol: "f" },
        { path: "a", lines: [90, 95], symbol: "f" },
      ],
      [["a", [1, 50], 1]],
    ],
    [
      "a third of a file waits for other files",
      [
        { path: "a", lines: [1, 2] },
        { path: "a", lines: [100, 101] },
        { path: "a", lines: [200, 201] },
        { path: "b", lines: [1, 1] },
      ],
      [
        ["a", [1, 2], 1],
        ["a", [100, 101], 1],
        ["b", [1, 1], 1],
      ],
    ],
    [
      "a third of a file is taken where there is no other",
      [
        { path: "a", lines: [1, 2] },
        { path: "a", lines: [100, 101] },
        { path: "a", lines: [200, 201] },
      ],
      [
        ["a", [1, 2], 1],
        ["a", [100, 101], 1],
        ["a", [200, 201], 1],
      ],
    ],
    [
      "without lines each passage is a place",
      [{ path: "a" }, { path: "a" }],
      [
        ["a", undefined, 1],
        ["a", undefined, 1],
      ],
    ],
  ] as [string, Given[], unknown][])("%s", (_, given, expected) => expect(places(given)).toEqual(expected));

  it("of prose are never joined", () => {
    const members = [member({ path: "a", lines: [1, 2] }, 0), member({ path: "a", lines: [3, 4] }, 1)];
    expect(placesOf(members, 3, () => false).map(({ lines }) => lines)).toEqual([
      [1, 2],
      [3, 4],
    ]);
  });

  it("are never more than asked for, never longer than 60 lines, and hold what they cite", () => {
    const given = fc.record({
      path: fc.constantFrom("a", "b", "__proto__"),
      lines: fc
        .tuple(fc.integer({ min: 1, max: 300 }), fc.nat(59))
        .map(([from, more]) => [from, from + more] as [number, number]),
    });
    fc.assert(
      fc.property(fc.array(given, { maxLength: 12 }), fc.integer({ min: 1, max: 4 }), (list, count) => {
        const found = placesOf(list.map(member), count);
        expect(found.length).toBeLessThanOrEqual(count);
        expect(found.length > 0).toBe(list.length > 0);
        for (const { lines, members } of found) {
          expect(lines![1] - lines![0]).toBeLessThan(60);
          expect(lines![0]).toBe(Math.min(...members.map(({ passage }) => passage.source.lines![0])));
          expect(lines![1]).toBe(Math.max(...members.map(({ passage }) => passage.source.lines![1])));
        }
        // the first hit always stands in the first place
        if (list.length > 0) expect(found[0]!.members[0]!.passage.id).toBe(member(list[0]!, 0).passage.id);
      }),
      { numRuns: 200 },
    );
  });
});
