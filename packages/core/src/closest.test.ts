import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { didYouMean } from "./closest.js";

/** Levenshtein's distance by its recursive definition. */
function edits(a: string, b: string): number {
  if (a === "" || b === "") return a.length + b.length;
  const [restA, restB] = [a.slice(1), b.slice(1)];
  if (a[0] === b[0]) return edits(restA, restB);
  return 1 + Math.min(edits(restA, b), edits(a, restB), edits(restA, restB));
}

describe("didYouMean", () => {
  it("names a nearest known name wherever one is near", () => {
    const word = fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(word, fc.uniqueArray(word, { minLength: 1, maxLength: 4 }), (name, known) => {
        const nearest = Math.min(...known.map((one) => edits(name, one)));
        const said = /^did you mean "(.*)"\?$/.exec(didYouMean(name, known))?.[1];
        if (nearest <= 2) expect(edits(name, said!)).toBe(nearest);
        else expect(said).toBeUndefined();
      }),
    );
  });

  it("lists what is known where nothing is near, and stays short", () => {
    expect(didYouMean("zebra", ["fuser.rrf", "data.take"])).toBe('known: "fuser.rrf", "data.take"');
    expect(didYouMean("zebra", [])).toBe("there is none");
    const many = Array.from({ length: 5000 }, (_, i) => `operator-number-${i}`);
    expect(didYouMean("zebra", many)).toMatch(/and 4988 more$/);
  });

  it("is quick on hostile names", () => {
    const start = process.cpuUsage();
    didYouMean(
      "x".repeat(1e6),
      Array.from({ length: 10_000 }, (_, i) => "y".repeat(1000) + i),
    );
    const { user, system } = process.cpuUsage(start);
    expect((user + system) / 1000).toBeLessThan(1000);
  });
});
