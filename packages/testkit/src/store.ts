// public: StoreSuite, testStore, closingChecks
import { describe, expect, it } from "@jest/globals";
import type { Filter, Passage, Store, StoreQuery } from "@tessera/core";
import type { ContractCheck } from "./operator.js";

export interface StoreSuite {
  /** Opens an empty store. Vector stores are given 4 dimensions. */
  readonly open: () => Promise<Store>;
  /** What the store searches by. */
  readonly by: "text" | "vector";
}

const words = ["alpha", "beta", "gamma", "delta"] as const;

const passageOf = (id: string, word: (typeof words)[number], metadata: Passage["metadata"] = {}): Passage => ({
  id,
  text: `${word} ${word} ${id}`,
  metadata,
});

const axis = (word: (typeof words)[number], tilt = 0): Float32Array => {
  const vector = new Float32Array(4).fill(tilt);
  vector[words.indexOf(word)] = 1;
  const norm = Math.hypot(...vector);
  return vector.map((component) => component / norm);
};

/** The conformance suite of the store contract. */
export function testStore(name: string, { open, by }: StoreSuite): void {
  const query = (word: (typeof words)[number], rest: Partial<StoreQuery> = {}): StoreQuery => ({
    ...(by === "text" ? { text: word } : { vector: axis(word) }),
    top: 10,
    ...rest,
  });
  const add = (store: Store, list: [Passage, (typeof words)[number], number?][]) =>
    store.upsert(
      list.map(([passage]) => passage),
      by === "vector" ? list.map(([, word, tilt]) => axis(word, tilt)) : undefined,
    );
  const ids = async (store: Store, asked: StoreQuery) => (await store.search(asked)).map((hit) => hit.passage.id);

  describe(`${name} meets the store contract`, () => {
    it("an empty store finds nothing", async () => {
      expect(await (await open()).search(query("alpha"))).toEqual([]);
    });

    it("finds the nearest first, with scores that fall and a provenance", async () => {
      const store = await open();
      await add(store, [
        [passageOf("a", "alpha"), "alpha"],
        [passageOf("b", "beta"), "beta"],
        [{ id: "c", text: "alpha beta beta beta gamma delta words", metadata: {} }, "alpha", 0.6],
      ]);
      const hits = await store.search(query("alpha"));
      expect(hits[0]!.passage.id).toBe("a");
      expect(hits.map(({ score }) => score)).toEqual([...hits.map(({ score }) => score)].sort((x, y) => y - x));
      expect(hits[0]!.provenance).toHaveLength(1);
      expect(hits[0]!.provenance[0]).toMatchObject({ rank: 1, score: hits[0]!.score });
    });

    it("an upsert replaces the passage of the same id", async () => {
      const store = await open();
      await add(store, [[passageOf("a", "alpha"), "alpha"]]);
      await add(store, [[passageOf("a", "beta", { new: true }), "beta"]]);
      const hits = await store.search(query("beta"));
      expect(hits.map((hit) => hit.passage.metadata)).toEqual([{ new: true }]);
    });

    it("a deleted passage is never found again, and unknown ids are no error", async () => {
      const store = await open();
      await add(store, [
        [passageOf("a", "alpha"), "alpha"],
        [passageOf("b", "alpha"), "alpha"],
      ]);
      await store.delete(["a", "nobody"]);
      expect(await ids(store, query("alpha"))).toEqual(["b"]);
    });

    it("filters before it takes the best", async () => {
      const store = await open();
      const many = Array.from({ length: 60 }, (_, i): [Passage, "alpha"] => [
        passageOf(`n${i}`, "alpha", { kind: "noise" }),
        "alpha",
      ]);
      await add(store, [...many, [passageOf("wanted", "alpha", { kind: "rare" }), "alpha", 0.3]]);
      expect(await ids(store, query("alpha", { top: 1, filter: { field: "kind", equals: "rare" } }))).toEqual([
        "wanted",
      ]);
    });

    it("filters by a name with dots inside objects, and refuses a range whose bounds are no numbers", async () => {
      const store = await open();
      await add(store, [
        [passageOf("ferry", "alpha", { ship: { decks: 3, kind: "ferry" } }), "alpha"],
        [passageOf("tug", "alpha", { ship: { decks: 1, kind: "tug" } }), "alpha"],
        [passageOf("key", "alpha", { "ship.kind": "ferry", ship: { kind: "tug" } }), "alpha"],
        [passageOf("dated", "alpha", { date: "2026-11-30" }), "alpha"],
      ]);
      const found = async (filter: Filter) => (await ids(store, query("alpha", { filter }))).sort();
      expect(await found({ field: "ship.kind", equals: "ferry" })).toEqual(["ferry", "key"]);
      expect(await found({ field: "ship.decks", least: 2 })).toEqual(["ferry"]);
      expect(await found({ field: "date", equals: "2026-11-30" })).toEqual(["dated"]);
      const dates = { field: "date", least: "2026-01-01" } as unknown as Filter;
      await expect(found(dates)).rejects.toMatchObject({ code: "BAD_ARGUMENT", path: "date" });
    });

    it("shows restricted passages only to whom they are open, and to nobody where nobody asks", async () => {
      const store = await open();
      await add(store, [
        [passageOf("public", "alpha"), "alpha"],
        [passageOf("ann", "alpha", { access: ["ann"] }), "alpha"],
        [passageOf("team", "alpha", { access: ["team"] }), "alpha"],
        [passageOf("broken", "alpha", { access: "ann" }), "alpha"],
      ]);
      const sorted = async (asked: StoreQuery) => (await ids(store, asked)).sort();
      expect(await sorted(query("alpha"))).toEqual(["public"]);
      expect(await sorted(query("alpha", { principal: { id: "ann" } }))).toEqual(["ann", "public"]);
      expect(await sorted(query("alpha", { principal: { id: "bob", groups: ["team"] } }))).toEqual(["public", "team"]);
    });

    it("gives `top` hits at most, and ties in the order of ids", async () => {
      const store = await open();
      await add(
        store,
        ["d", "a", "c", "b"].map((id): [Passage, "alpha"] => [{ id, text: "alpha", metadata: {} }, "alpha"]),
      );
      expect(await ids(store, query("alpha", { top: 3 }))).toEqual(["a", "b", "c"]);
    });

    it("makes a change with an idempotency key once", async () => {
      const store = await open();
      const vectors = (word: (typeof words)[number]) => (by === "vector" ? [axis(word)] : undefined);
      const put = (word: (typeof words)[number], idempotencyKey?: string) =>
        store.upsert([passageOf("a", word)], vectors(word), { idempotencyKey });
      await put("alpha", "run:f/a");
      await put("beta"); // somebody else
      const { revision } = store;
      await put("alpha", "run:f/a"); // the same step again
      expect((await ids(store, query("beta"))).includes("a")).toBe(true);
      expect((await store.search(query("beta")))[0]?.passage.text).toBe("beta beta a");
      expect(store.revision).toBe(revision);
      await put("alpha", "run:f/b");
      expect((await store.search(query("alpha")))[0]?.passage.text).toBe("alpha alpha a");
      await store.delete(["a"], { idempotencyKey: "run:f/c" });
      await put("alpha");
      await store.delete(["a"], { idempotencyKey: "run:f/c" });
      expect(await ids(store, query("alpha"))).toEqual(["a"]);
    });

    it("its revision changes when its content does", async () => {
      const store = await open();
      const before = store.revision;
      await add(store, [[passageOf("a", "alpha"), "alpha"]]);
      expect(store.revision).not.toBe(before);
    });

    for (const { name, check } of closingChecks({ open, by })) it(name, check);
  });
}

/** What stays open in this process, by kind: the least of several counts, so that what is just ending does not count. */
async function openResources(): Promise<Map<string, number>> {
  let least: Map<string, number> | undefined;
  for (let turn = 0; turn < 20; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    const counts = new Map<string, number>();
    for (const kind of process.getActiveResourcesInfo()) counts.set(kind, (counts.get(kind) ?? 0) + 1);
    for (const [kind, count] of least ?? []) counts.set(kind, Math.min(count, counts.get(kind) ?? 0));
    if (least) for (const kind of counts.keys()) if (!least.has(kind)) counts.delete(kind);
    least = counts;
  }
  return least!;
}

/** The rules of a store's end, and of whom it shows what by id, as checks of one store. */
export function closingChecks({ open, by }: StoreSuite): ContractCheck[] {
  const vectors = by === "vector" ? [axis("alpha")] : undefined;
  const query: StoreQuery = { ...(by === "text" ? { text: "alpha" } : { vector: axis("alpha") }), top: 10 };
  const used = async () => {
    const store = await open();
    await store.upsert([passageOf("a", "alpha")], vectors);
    await store.search(query);
    return store;
  };
  return [
    {
      name: "after close, every call fails with CLOSED, and another close is no error",
      async check() {
        const store = await used();
        expect(typeof store.close).toBe("function");
        await store.close!();
        await store.close!();
        const calls: Record<string, () => Promise<unknown>> = {
          search: () => store.search(query),
          upsert: () => store.upsert([passageOf("b", "alpha")], vectors),
          delete: () => store.delete(["a"]),
          ...(store.get && { get: () => store.get!(["a"]) }),
        };
        for (const [call, work] of Object.entries(calls)) {
          const ended = await work().then(
            () => "a result",
            (error: { code?: unknown }) => error?.code,
          );
          expect([call, ended]).toEqual([call, "CLOSED"]);
        }
      },
    },
    {
      name: "close leaves nothing open in the process",
      async check() {
        await (await used()).close?.(); // what is opened once for all stores is open now
        const before = await openResources();
        // stores of other tests come and go meanwhile; what each of these left behind would be there as often as they were
        const times = 5;
        for (let time = 0; time < times; time++) await (await used()).close?.();
        const more = async () =>
          [...(await openResources())]
            .filter(([kind, count]) => count >= (before.get(kind) ?? 0) + times)
            .map(([kind]) => kind);
        // a socket that was ended is gone some turns later; what is left open stays
        for (let tries = 0; tries < 100 && (await more()).length > 0; ) tries++;
        expect(await more()).toEqual([]);
      },
    },
    {
      name: "gives by id only what the principal may see",
      async check() {
        const store = await open();
        const passages = [passageOf("public", "alpha"), passageOf("ann", "alpha", { access: ["ann"] })];
        await store.upsert(passages, vectors && [axis("alpha"), axis("alpha")]);
        const seen = async (principal?: StoreQuery["principal"]) =>
          (await store.get!(["public", "ann", "nobody"], principal)).map((passage) => passage?.id);
        if (store.get) {
          expect(await seen()).toEqual(["public", undefined, undefined]);
          expect(await seen({ id: "bob" })).toEqual(["public", undefined, undefined]);
          expect(await seen({ id: "ann" })).toEqual(["public", "ann", undefined]);
        }
        await store.close?.();
      },
    },
  ];
}
