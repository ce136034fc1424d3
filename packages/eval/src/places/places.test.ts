import { describe, expect, it } from "@jest/globals";
import { plainBm25 } from "./measure.js";
import { isPlace, readPlaces } from "./place-set.js";

describe("the set of places", () => {
  it("names packages that are pinned, and is half for choosing in each", async () => {
    const { packages, questions } = await readPlaces();
    expect(new Set(questions.map(({ id }) => id)).size).toBe(questions.length);
    for (const { package: name } of questions) expect(packages.has(name)).toBe(true);
    for (const name of packages.keys()) {
      const own = questions.filter((one) => one.package === name);
      const choosing = own.filter(({ half }) => half === "choosing").length;
      expect(Math.abs(2 * choosing - own.length)).toBeLessThanOrEqual(1);
    }
    for (const half of ["choosing", "reporting"])
      expect(questions.filter((one) => one.half === half).length).toBeGreaterThanOrEqual(120);
    expect(questions.filter(({ language }) => language !== "en").length).toBeGreaterThanOrEqual(30);
    expect(new Set([...packages.values()].flatMap(({ kinds }) => kinds)).size).toBeGreaterThanOrEqual(5);
    expect(packages.size).toBeGreaterThanOrEqual(12);
    expect(new Set([...packages.values()].flatMap(({ languages }) => languages)).size).toBeGreaterThanOrEqual(7);
  });

  it("has a place for each question: lines or pages, in order", async () => {
    for (const { lines, pages } of (await readPlaces()).questions) {
      expect([lines, pages].filter(Boolean)).toHaveLength(1);
      const [from, to] = (lines ?? pages)!;
      expect(from).toBeLessThanOrEqual(to);
    }
  });
});

describe("isPlace", () => {
  const wanted = { path: "a.ts", lines: [10, 20] as [number, number] };
  it.each([
    [{ path: "a.ts", lines: [20, 30] }, true],
    [{ path: "a.ts", lines: [1, 10] }, true],
    [{ path: "a.ts", lines: [21, 30] }, false],
    [{ path: "a.ts", lines: [1, 60] }, true],
    [{ path: "a.ts", lines: [1, 61] }, false],
    [{ path: "b.ts", lines: [10, 20] }, false],
    [{ path: "a.ts" }, false],
    [{ path: "a.ts", place: { unit: "page", from: 10, to: 20 } }, false],
  ] as const)("%j: %s", (cited, right) => expect(isPlace(cited, wanted)).toBe(right));

  it("of pages takes three at most", () => {
    const pages = { path: "a.pdf", pages: [3, 3] as [number, number] };
    const cited = (from: number, to: number) => ({ path: "a.pdf", place: { unit: "page", from, to } });
    expect(isPlace(cited(1, 3), pages)).toBe(true);
    expect(isPlace(cited(1, 4), pages)).toBe(false);
    expect(isPlace(cited(4, 4), pages)).toBe(false);
  });
});

it("plain BM25 finds by words, the rarer first", () => {
  const passage = (id: string, text: string) => ({ id, text, metadata: {} });
  const search = plainBm25([passage("a", "red fox"), passage("b", "red deer"), passage("c", "red red owl")]);
  expect(search("a red Deer").map(({ id }) => id)).toEqual(["b", "c", "a"]);
  expect(search("whale")).toEqual([]);
});
