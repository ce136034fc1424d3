import { describe, expect, it } from "@jest/globals";
import { type Hit, type Passage, type Principal, permits, rank, type Store } from "@tessera/core";
import { contextOf, hostOf, runOperator, testOperator } from "@tessera/testkit";
import fc from "fast-check";
import { expand } from "./expand.js";
import { smallToBig } from "./small-to-big.js";

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
