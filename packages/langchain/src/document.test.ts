import { expect, it } from "@jest/globals";
import { Document } from "@langchain/core/documents";
import type { Passage } from "@tessera/core";
import { permits } from "@tessera/core/internal";
import fc from "fast-check";
import { toDocument, toPassage } from "./document.js";

const word = fc.string({ minLength: 1, maxLength: 8 });
const place = fc.record(
  { unit: fc.constantFrom("page", "slide", "row"), from: fc.nat(), to: fc.nat(), inside: fc.array(word) },
  { requiredKeys: ["unit", "from", "to"] },
);
const passage: fc.Arbitrary<Passage> = fc.record(
  {
    id: word,
    text: fc.string(),
    title: word,
    parent: word,
    source: fc.record(
      { path: word, lines: fc.tuple(fc.nat(), fc.nat()), place, symbol: word },
      { requiredKeys: ["path"] },
    ),
    metadata: fc.dictionary(
      word.filter((key) => key !== "__proto__" && key !== "tessera"),
      fc.jsonValue({ noUnicodeString: false } as never) as fc.Arbitrary<Passage["metadata"][string]>,
    ),
  },
  { requiredKeys: ["id", "text", "metadata"] },
);

it("a passage comes back from its document whole", () => {
  fc.assert(
    fc.property(passage, (original) => {
      const json = JSON.parse(JSON.stringify(original)) as Passage; // −0 and such
      const back = toPassage(new Document(toDocument(json)));
      const added = new Set(["title", "source", "loc"].filter((key) => !Object.hasOwn(json.metadata, key)));
      const metadata = Object.fromEntries(Object.entries(back.metadata).filter(([key]) => !added.has(key)));
      expect({ ...back, metadata }).toEqual(json);
    }),
  );
});

it("reads what LangChain's loaders and splitters write", () => {
  const document = new Document({
    pageContent: "text",
    metadata: { source: "docs/a.md", title: "A", loc: { lines: { from: 3, to: 9 } }, pages: 2 },
  });
  expect(toPassage(document)).toMatchObject({
    text: "text",
    title: "A",
    source: { path: "docs/a.md", lines: [3, 9] },
    metadata: { pages: 2 },
  });
});

it("a document without an id gets the same one each time, and another for another text", () => {
  const idOf = (pageContent: string) => toPassage({ pageContent, metadata: {} }).id;
  expect(idOf("a")).toBe(idOf("a"));
  expect(idOf("a")).not.toBe(idOf("b"));
  expect(toPassage({ pageContent: "a", id: "own" }).id).toBe("own");
});

it("metadata that is no JSON is dropped, but an access list that is none admits nobody", () => {
  const circular: Record<string, unknown> = {};
  circular.self = circular;
  const { metadata } = toPassage({ pageContent: "a", metadata: { circular, call: () => 1, when: new Date(0) } });
  expect(metadata).toEqual({ when: "1970-01-01T00:00:00.000Z" });
  for (const access of [circular, () => ["ann"], undefined, "ann"])
    expect(permits(toPassage({ pageContent: "a", metadata: { access } }), { id: "ann" })).toBe(false);
});
