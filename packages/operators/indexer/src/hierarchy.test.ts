import { describe, expect, it } from "@jest/globals";
import { type Hit, type Passage, rank, type Store } from "@tessera/core";
import { admits } from "@tessera/core/internal";
import { contextOf, hostOf, runOperator, testOperator } from "@tessera/testkit";
import fc from "fast-check";
import { descend } from "./descend.js";
import { hierarchy } from "./hierarchy.js";
import { markdown } from "./markdown.js";

const passageOf = (id: string, path: string, text: string, metadata: Passage["metadata"] = {}): Passage => ({
  id,
  text,
  source: { path },
  metadata,
});

testOperator(hierarchy, {
  cases: [
    {
      name: "hangs passages from their headings, below their document",
      input: {
        passages: [
          passageOf("a", "d.md", "About waiting.", { headings: ["Guide"] }),
          passageOf("b", "d.md", "On retries.", { headings: ["Guide", "Retry"] }),
        ],
      },
      output: ({ passages, nodes }) => {
        expect((passages as Passage[]).map(({ id, parent }) => [id, parent])).toEqual([
          ["a", "tree:d.md > Guide"],
          ["b", "tree:d.md > Guide > Retry"],
        ]);
        expect(nodes).toEqual([
          {
            id: "tree:d.md",
            title: "d.md",
            text: "d.md\nGuide\nAbout waiting.\nOn retries.",
            metadata: { level: 0, children: 1 },
          },
          {
            id: "tree:d.md > Guide",
            title: "d.md > Guide",
            parent: "tree:d.md",
            text: "Guide\nRetry\nAbout waiting.\nOn retries.",
            metadata: { level: 1, children: 2 },
          },
          {
            id: "tree:d.md > Guide > Retry",
            title: "d.md > Guide > Retry",
            parent: "tree:d.md > Guide",
            text: "Retry\nOn retries.",
            metadata: { level: 2, children: 1 },
          },
        ]);
      },
    },
    {
      name: "hangs passages from the folders of their path",
      config: { by: "folders" },
      input: { passages: [passageOf("x", "src/a/b.ts", "code")] },
      output: ({ nodes }) =>
        expect((nodes as Passage[]).map(({ title }) => title)).toEqual(["src", "src/a", "src/a/b.ts"]),
    },
  ],
});

/** Counts common words; the naive twin of a store. */
function wordStore(held: readonly Passage[]): Store {
  const wordsOf = (text: string) => new Set(text.toLowerCase().match(/\p{L}+/gu) ?? []);
  return {
    revision: "1",
    upsert: async () => {},
    delete: async () => {},
    async search({ text = "", top, filter, principal }) {
      const query = wordsOf(text);
      const scored = held
        .filter((passage) => admits(passage, filter, principal))
        .map((passage) => ({
          hit: { passage, score: 0, provenance: [] },
          score: [...wordsOf(passage.text)].filter((word) => query.has(word)).length,
        }));
      return rank("words", scored, top);
    },
  };
}

async function indexed(list: Passage[], config: object = {}) {
  const { passages, nodes } = await runOperator(hierarchy, config, { passages: list });
  return [...(nodes as Passage[]), ...(passages as Passage[])];
}

async function search(held: readonly Passage[], query: string, config: object = {}, context = contextOf()) {
  const host = hostOf({ "store/docs": wordStore(held) });
  const { hits, visited } = await runOperator(descend, { store: "docs", ...config }, { query }, { host, context });
  return { ids: (hits as Hit[]).map(({ passage }) => passage.id), visited: visited as number, hits: hits as Hit[] };
}

const one = await indexed([passageOf("a", "d.md", "alpha beta", { headings: ["Guide"] })]);
testOperator(descend, {
  host: () => hostOf({ "store/docs": wordStore(one) }),
  cases: [
    {
      name: "goes down to the passage",
      config: { store: "docs" },
      input: { query: "alpha" },
      output: ({ hits, visited }) => {
        expect((hits as Hit[])[0]).toMatchObject({ passage: { id: "a" }, score: 1 });
        expect(visited).toBe(3);
      },
    },
  ],
});

describe("a hierarchical index", () => {
  const topics = ["engine", "garden", "harbour", "kitchen", "library", "mountain"];
  const text = topics
    .map(
      (topic) =>
        `# ${topic}\n\n${["oil", "soil", "tide", "salt"].map((thing) => `## ${topic} ${thing}\n\nThe ${thing} of the ${topic} is number${topic}${thing}.\n`).join("\n")}`,
    )
    .join("\n");

  it("row 10: from the top down compares fewer passages than a flat search, and finds what that finds", async () => {
    const { passages } = await runOperator(markdown, {}, { documents: [{ id: "all.md", text, metadata: {} }] });
    const leaves = passages as Passage[];
    expect(leaves.length).toBe(24);
    const held = await indexed(leaves);
    for (const topic of topics) {
      const { ids, visited } = await search(held, `salt of the ${topic}`, { beam: 1, top: 1 });
      const [flat] = await wordStore(leaves).search({ text: `salt of the ${topic}`, top: 1 });
      expect(ids).toEqual([flat!.passage.id]);
      expect(visited).toBeLessThan(leaves.length);
    }
  });

  it("with a beam that opens everything gives what a flat search gives", async () => {
    const word = fc.constantFrom("alpha", "beta", "gamma", "delta");
    const leaf = fc.record({
      path: fc.constantFrom("a/b.ts", "a/c.ts", "d.ts", "a/e/f.ts"),
      words: fc.array(word, { minLength: 1, maxLength: 4 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(leaf, { minLength: 1, maxLength: 10 }), word, async (list, query) => {
        const leaves = list.map(({ path, words }, i) => passageOf(`p${i}`, path, words.join(" ")));
        const held = await indexed(leaves, { by: "folders" });
        const { ids } = await search(held, query, { beam: 100, top: 5 });
        expect(ids).toEqual((await wordStore(leaves).search({ text: query, top: 5 })).map(({ passage }) => passage.id));
      }),
      { numRuns: 100 },
    );
  });

  it("tells nobody words of a passage that not everybody may see", async () => {
    const held = await indexed(
      [
        passageOf("open", "mixed/a.txt", "public words"),
        passageOf("ann", "mixed/b.txt", "secret words", { access: ["ann"] }),
        passageOf("deep", "mixed/secret/e.txt", "secret words", { access: ["ann"] }),
        passageOf("bob", "hidden/c.txt", "hidden words", { access: ["bob"] }),
        passageOf("broken", "broken/d.txt", "broken words", { access: "bob" }),
      ],
      { by: "folders" },
    );
    for (const { text: body, metadata, id } of held)
      if (metadata.children !== undefined && metadata.access === undefined)
        expect(`${id} ${body}`).not.toMatch(/secret|hidden|broken/);
    const { ids } = await search(held, "words");
    expect(ids).toEqual(["open"]);
    const asked = (who: string) => search(held, "words", {}, contextOf({ principal: { id: who } }));
    expect((await asked("ann")).ids.sort()).toEqual(["ann", "deep", "open"]);
    expect((await asked("bob")).ids.sort()).toEqual(["bob", "open"]);
  });
});
