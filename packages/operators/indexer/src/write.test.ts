import { describe, expect, it } from "@jest/globals";
import type { Encoder, Passage, Store } from "@tessera/core";
import { hostOf, runOperator, scriptedEncoder, testOperator } from "@tessera/testkit";
import { write } from "./write.js";

const list: Passage[] = [
  { id: "a", title: "A", text: "alpha", source: { path: "a.ts" }, metadata: {} },
  { id: "b", text: "beta", metadata: {} },
  { id: "c", text: "gamma", source: { path: "c.py" }, metadata: {} },
];

function recording(space?: string) {
  const upserts: { passages: readonly Passage[]; vectors: readonly Float32Array[] | undefined }[] = [];
  const store: Store = {
    revision: "1",
    ...(space !== undefined && { space }),
    search: async () => [],
    delete: async () => {},
    upsert: async (passages, vectors) => void upserts.push({ passages, vectors }),
  };
  return { store, upserts };
}

testOperator(write, {
  host: () => hostOf({ "store/docs": recording().store }),
  cases: [
    {
      name: "counts what it wrote",
      config: { store: "docs" },
      input: { passages: list },
      output: {
        written: 3,
        documents: [
          { path: "a.ts", ids: ["a"] },
          { path: "", ids: ["b"] },
          { path: "c.py", ids: ["c"] },
        ],
      },
    },
  ],
});

describe("indexer.write", () => {
  it("says that it writes", () => expect(write.effects).toBe("write"));

  it("encodes code as code and prose as prose, in batches, and keeps the order", async () => {
    const inner = scriptedEncoder(8);
    const calls: [string, number][] = [];
    const encoder: Encoder = {
      ...inner,
      encode: (texts, how, signal) => {
        calls.push([how.kind, texts.length]);
        return inner.encode(texts, how, signal);
      },
    };
    const { store, upserts } = recording("scripted:8");
    const host = hostOf({ "store/docs": store, "encoder/e": encoder });
    await runOperator(write, { store: "docs", encoder: "e", batch: 1, width: 8 }, { passages: list }, { host });
    expect(calls).toEqual([
      ["code", 1],
      ["code", 1],
      ["text", 1],
    ]);
    const expected = await inner.encode(["A\nalpha", "beta", "gamma"], { kind: "text", width: 8 });
    expect(upserts).toEqual([{ passages: list, vectors: expected }]);
  });

  it("refuses a store of another space", async () => {
    const host = hostOf({ "store/docs": recording("other").store, "encoder/e": scriptedEncoder() });
    await expect(
      runOperator(write, { store: "docs", encoder: "e" }, { passages: list }, { host }),
    ).rejects.toMatchObject({ code: "SPACE_MISMATCH" });
  });
});
