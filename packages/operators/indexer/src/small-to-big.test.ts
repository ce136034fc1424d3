import { describe, expect, it } from "@jest/globals";
import { type Hit, type Passage, type Principal, rank, type Store } from "@tessera/core";
import { permits } from "@tessera/core/internal";
import { contextOf, hostOf, runOperator, testOperator } from "@tessera/testkit";
import fc from "fast-check";
import { expand } from "./expand.js";
import { parentScore } from "./parent-score.js";
import { smallToBig } from "./small-to-big.js";
import { chunkWindows } from "./window.js";

const page: Passage = {
  id: "d",
  title: "T",
  text: "First one here.\nSecond is\nlong. Third! Fourth?\n\nFifth.",
  source: { path: "d.md", lines: [11, 15] },
  metadata: { year: 2020 },
};

testOperator(smallToBig, {
  cases: [
    {
      name: "cuts windows whose parent is the passage",
      config: { size: 4 },
      input: { passages: [page] },
      output: ({ children, parents }) => {
        expect(parents).toEqual([page]);
        expect((children as Passage[]).map(({ text }) => text).join("")).toBe(page.text);
        for (const child of children as Passage[])
          expect(child).toMatchObject({ parent: "d", title: "T", source: { path: "d.md" }, metadata: { year: 2020 } });
        expect((children as Passage[])[0]!.source!.lines).toEqual([11, 12]);
      },
    },
    {
      name: "cuts sentences",
      config: { by: "sentence" },
      input: { passages: [page] },
      output: ({ children }) =>
        expect((children as Passage[]).map(({ id, text, source }) => [id, text.trim(), source!.lines])).toEqual([
          ["d/s0", "First one here.", [11, 11]],
          ["d/s1", "Second is\nlong.", [12, 13]],
          ["d/s2", "Third!", [13, 13]],
          ["d/s3", "Fourth?", [13, 13]],
          ["d/s4", "Fifth.", [15, 15]],
        ]),
    },
  ],
});

/** A store that holds passages and shows each to whom its access list admits. */
const storeOf = (held: Passage[]): Store => ({
  revision: "1",
  search: async () => [],
  upsert: async () => {},
  delete: async () => {},
  get: async (ids: readonly string[], principal?: Principal) =>
    ids.map((id) => held.find((passage) => passage.id === id && permits(passage, principal))),
});
const hitsOf = (list: Passage[]): Hit[] =>
  rank(
    "store",
    list.map((passage, index) => ({ hit: { passage, score: 0, provenance: [] }, score: 10 - index })),
  );

async function cut(by: "window" | "sentence", parent: Passage) {
  const { children } = await runOperator(smallToBig, { by, size: 4 }, { passages: [parent] });
  return children as Passage[];
}
async function overlapping(parent: Passage, size: number, overlap: number) {
  const { children } = await runOperator(smallToBig, { size, overlap }, { passages: [parent] });
  return children as Passage[];
}
const children = await cut("window", page);
const sentences = await cut("sentence", page);
const store = storeOf([page, ...children, ...sentences]);
const host = () => hostOf({ "store/docs": store });
const run = async (list: Passage[], config: object = {}, from = store) =>
  (
    await runOperator(
      expand,
      { store: "docs", ...config },
      { hits: hitsOf(list) },
      { host: hostOf({ "store/docs": from }) },
    )
  ).hits as Hit[];

testOperator(expand, {
  host,
  cases: [
    {
      name: "row 8: two children of a parent give it once, with the better score",
      config: { store: "docs" },
      input: { hits: hitsOf([children[1]!, children[0]!]) },
      output: {
        hits: [
          {
            passage: page,
            score: 10,
            provenance: [
              { operator: "store", rank: 1, score: 10 },
              { operator: "indexer.expand", rank: 1, score: 10 },
            ],
          },
        ],
      },
    },
  ],
});

describe("indexer.expand", () => {
  it("row 9: gives a sentence its neighbours, clipped at the ends", async () => {
    expect((await run([sentences[2]!]))[0]!.passage).toMatchObject({
      id: "d/s1-3",
      text: "Second is\nlong. Third! Fourth?\n\n",
      source: { path: "d.md", lines: [12, 13] },
      metadata: { year: 2020, sentences: [1, 3] },
    });
    expect((await run([sentences[0]!]))[0]!.passage.metadata.sentences).toEqual([0, 1]);
    expect((await run([sentences[4]!]))[0]!.passage.metadata.sentences).toEqual([3, 4]);
    expect((await run([sentences[2]!], { sentences: 0 }))[0]!.passage.text.trim()).toBe("Third!");
  });

  it("makes one of windows that overlap, also through a third", async () => {
    const hits = await run([sentences[0]!, sentences[4]!, sentences[2]!]);
    expect(hits.map(({ passage, score }) => [passage.text, score])).toEqual([[page.text, 10]]);
    expect((await run([sentences[0]!, sentences[4]!], { sentences: 0 })).map(({ score }) => score)).toEqual([10, 9]);
  });

  it("keeps a hit whose parent the store does not have, or does not show to who asks", async () => {
    const secret = { ...page, metadata: { access: ["ann"] } };
    const hidden = storeOf([secret, ...children]);
    expect((await run([children[0]!], {}, hidden))[0]!.passage.id).toBe(children[0]!.id);
    const context = contextOf({ principal: { id: "ann" } });
    const asked = await runOperator(
      expand,
      { store: "docs" },
      { hits: hitsOf([children[0]!]) },
      { host: hostOf({ "store/docs": hidden }), context },
    );
    expect((asked.hits as Hit[])[0]!.passage.id).toBe("d");
    const { get: _, ...without } = store;
    expect((await run([children[0]!], {}, without))[0]!.passage.id).toBe(children[0]!.id);
  });

  it("sentences of any text are the text, and each window is what stands there", async () => {
    const text = fc.array(fc.constantFrom("One.", "Two! ", "e.g. three", "\n", "  ", "...", "四。", "x?"), {
      minLength: 1,
      maxLength: 20,
    });
    await fc.assert(
      fc.asyncProperty(
        text.map((parts) => parts.join("")),
        fc.nat(20),
        fc.nat(3),
        async (whole, pick, around) => {
          const parent: Passage = { id: "p", text: whole, source: { path: "p" }, metadata: {} };
          const parts = await cut("sentence", parent);
          expect(parts.map((part) => part.text).join("")).toBe(whole);
          const lines = whole.split("\n");
          for (const part of parts) {
            const [from, to] = part.source!.lines!;
            expect(lines.slice(from - 1, to).join("\n")).toContain(part.text.trim());
          }
          const at = pick % parts.length;
          const [hit] = await run([parts[at]!], { sentences: around }, storeOf(parts));
          const window = parts.slice(Math.max(0, at - around), at + around + 1);
          expect(hit!.passage.text).toBe(window.map((part) => part.text).join(""));
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe("windows with their neighbours", () => {
  it("gives a window what stands around it, and what two share once", async () => {
    const parts = await overlapping(page, 4, 2);
    const from = storeOf(parts);
    const [hit] = await run([parts[2]!], { windows: 1 }, from);
    const [start, end] = hit!.passage.metadata.span as [number, number];
    expect(hit!.passage.text).toBe(page.text.slice(start, end));
    expect(hit!.passage.metadata).toMatchObject({ windows: [1, 3], year: 2020 });
    expect([start, end]).toEqual([(parts[1]!.metadata.span as number[])[0], (parts[3]!.metadata.span as number[])[1]]);
    expect((await run([parts[0]!], { windows: 1 }, from))[0]!.passage.metadata.windows).toEqual([0, 1]);
  });

  it("windows of any text and any overlap put together are the stretch of text that they span", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom("one ", "two\n", "three  ", "四", "five. "), { minLength: 1, maxLength: 30 }),
        fc.integer({ min: 1, max: 6 }),
        fc.nat(5),
        fc.array(fc.nat(30), { minLength: 1, maxLength: 4 }),
        fc.nat(3),
        async (words, size, shared, picks, around) => {
          const parent: Passage = { id: "p", text: words.join(""), source: { path: "p" }, metadata: {} };
          const parts = await overlapping(parent, size, Math.min(shared, size - 1));
          const picked = [...new Set(picks.map((pick) => parts[pick % parts.length]!))];
          const hits = await run(picked, { windows: around }, storeOf(parts));
          for (const { passage } of hits) {
            const [start, end] = passage.metadata.span as [number, number];
            expect(passage.text).toBe(parent.text.slice(start, end));
          }
          // every window that was found stands in one of them
          for (const { text } of picked) expect(hits.some(({ passage }) => passage.text.includes(text))).toBe(true);
        },
      ),
      { numRuns: 200 },
    );
  });
});

const scoredHits = (list: readonly (readonly [Passage, number])[]): Hit[] =>
  list.map(([passage, score]) => ({ passage, score, provenance: [] }));

testOperator(parentScore, {
  cases: [
    {
      name: "weighs a child's share of the best score with that of its parent",
      config: { weight: 0.25 },
      input: {
        children: scoredHits([
          [children[0]!, 8],
          [{ ...children[1]!, parent: "other" }, 4],
        ]),
        parents: scoredHits([
          [page, 3],
          [{ ...page, id: "other" }, 6],
        ]),
      },
      output: ({ hits }) =>
        expect((hits as Hit[]).map(({ passage, score }) => [passage.id, score])).toEqual([
          ["d/w1", 0.25 * (4 / 8) + 0.75 * (6 / 6)],
          ["d/w0", 0.25 * (8 / 8) + 0.75 * (3 / 6)],
        ]),
    },
  ],
});

describe("indexer.parent-score", () => {
  it("takes the mean over the larger stretches of the same document that hold the child", async () => {
    const words = Array.from({ length: 12 }, (_, i) => `w${i}`).join(" ");
    const document: Passage = { id: "d", text: words, source: { path: "d.txt" }, metadata: {} };
    const small = await overlapping(document, 2, 0);
    const large = chunkWindows(document, { unit: "words", size: 6, overlap: 3 }); // 0–5, 3–8, 6–11
    const elsewhere = { ...large[0]!, id: "x", source: { path: "other.txt" } };
    const { hits } = await runOperator(
      parentScore,
      { weight: 0 },
      {
        children: scoredHits(small.map((child) => [child, 1])),
        parents: scoredHits([
          [large[0]!, 4],
          [large[1]!, 2],
          [elsewhere, 8],
        ]),
      },
    );
    const scores = new Map((hits as Hit[]).map(({ passage, score }) => [passage.id, score]));
    // by hand: the first window is 4 of 8, the second 2 of 8; words 4–5 stand in both, 2–3 in the first alone
    expect(small.map(({ id }) => scores.get(id))).toEqual([0.5, 0.5, (0.5 + 0.25) / 2, 0.25, 0, 0]);
  });

  it("a list without a score above 0 weighs nothing", async () => {
    const input = { children: scoredHits([[children[0]!, 0]]), parents: [] };
    const { hits } = await runOperator(parentScore, {}, input);
    expect((hits as Hit[])[0]!.score).toBe(0);
  });
});
