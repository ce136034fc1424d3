import { describe, expect, it } from "@jest/globals";
import { flow, type Hit } from "@tessera/core";
import { runOperator, testOperator } from "@tessera/testkit";
import fc from "fast-check";
import { listAppend } from "./list-append.js";
import { listCompact } from "./list-compact.js";
import { listCount } from "./list-count.js";
import { listDifference } from "./list-difference.js";
import { listFlatten } from "./list-flatten.js";
import { listTake } from "./list-take.js";

const hit = (id: string, score = 1): Hit => ({ passage: { id, text: id, metadata: {} }, score, provenance: [] });

testOperator(listAppend, {
  cases: [
    { name: "adds at the end", input: { list: [1, 2], item: 3 }, output: { list: [1, 2, 3] } },
    { name: "adds at the start", config: { at: "start" }, input: { list: [1], item: 0 }, output: { list: [0, 1] } },
    { name: "a list is one element", input: { list: [[1]], item: [2] }, output: { list: [[1], [2]] } },
    { name: "typed", config: { of: "text" }, input: { list: [], item: "a" }, output: { list: ["a"] } },
  ],
});

testOperator(listFlatten, {
  cases: [
    { name: "keeps declared order", input: { lists: [[3], [], [1, 2]] }, output: { list: [3, 1, 2] } },
    { name: "takes off one level", input: { lists: [[[1]], [[2]]] }, output: { list: [[1], [2]] } },
    { name: "of hits", config: { of: "hit" }, input: { lists: [[hit("a")], []] }, output: { list: [hit("a")] } },
  ],
});

testOperator(listTake, {
  cases: [
    { name: "the first", config: { count: 2 }, input: { list: [1, 2, 3] }, output: { list: [1, 2] } },
    { name: "the last", config: { count: 2, from: "end" }, input: { list: [1, 2, 3] }, output: { list: [2, 3] } },
    { name: "none from the end", config: { count: 0, from: "end" }, input: { list: [1] }, output: { list: [] } },
    { name: "more than there are", config: { count: 9, from: "end" }, input: { list: [1] }, output: { list: [1] } },
  ],
});

testOperator(listDifference, {
  cases: [
    { name: "by value", input: { list: ["a", "b", "a"], without: ["b"] }, output: { list: ["a", "a"] } },
    {
      name: "by value, whatever the order of keys",
      input: { list: [{ x: 1, y: 2 }, { x: 2 }], without: [{ y: 2, x: 1 }] },
      output: { list: [{ x: 2 }] },
    },
    {
      name: "by the id of the passage",
      config: { by: "id", of: "hit" },
      input: { list: [hit("a", 9), hit("b")], without: [hit("a", 1)] },
      output: { list: [hit("b")] },
    },
    {
      name: "by id, values without one by value",
      config: { by: "id" },
      input: { list: [{ id: "a", n: 1 }, 5, null], without: [{ id: "a", n: 2 }, 5] },
      output: { list: [null] },
    },
  ],
});

testOperator(listCompact, {
  cases: [
    {
      name: "drops skipped places",
      input: { list: [null, 0, "", false, null, 1] },
      output: { list: [0, "", false, 1] },
    },
    { name: "typed", config: { of: "hits" }, input: { list: [null, [hit("a")]] }, output: { list: [[hit("a")]] } },
  ],
});

testOperator(listCount, {
  cases: [
    { name: "counts", input: { list: [1, null] }, output: { count: 2, empty: false } },
    { name: "nothing", input: { list: [] }, output: { count: 0, empty: true } },
  ],
});

describe("lists", () => {
  it("difference and the filter of a naive twin agree", async () => {
    const list = fc.array(fc.oneof(fc.integer({ min: 0, max: 4 }), fc.constantFrom("0", "1", null, true)));
    await fc.assert(
      fc.asyncProperty(list, list, async (left, right) => {
        const { list: result } = await runOperator(listDifference, {}, { list: left, without: right });
        expect(result).toEqual(left.filter((item) => !right.some((other) => Object.is(other, item))));
      }),
    );
  });

  it("a list has the type of its elements again", () => {
    flow("typed", { queries: { list: "text" }, found: "hits" }, (f, { queries, found }) => {
      const kept = f.node("take", listTake({ count: 2, of: "text" }), { list: queries });
      const more = f.node("append", listAppend({ of: "hit" }), { list: found, item: { value: hit("a") } });
      const parts = f.each(
        "each",
        listTake({ count: 1, of: "hit" }),
        { over: "list", max: 3 },
        {
          list: f.node("flatten", listFlatten({ of: "hits" }), {
            lists: [
              f.node("wrap", listAppend({ of: "hits" }), {
                list: { value: [] },
                item: found,
              }).list,
            ],
          }).list,
        },
      );
      const compact = f.node("compact", listCompact({ of: "hits" }), { list: parts.list });
      // @ts-expect-error texts are no hits
      f.node("a", listTake({ count: 1, of: "hit" }), { list: kept.list });
      // @ts-expect-error a text cannot be added to hits
      f.node("b", listAppend({ of: "hit" }), { list: more.list, item: queries });
      // @ts-expect-error how many must be said
      f.node("c", listTake({ of: "hit" }), { list: found });
      // @ts-expect-error lists of hits are no texts
      f.node("d", listDifference({ of: "text" }), { list: compact.list, without: queries });
      return { list: kept.list };
    });
  });

  it("refuses a type that there is not", () => {
    expect(listTake.config.safeParse({ count: 1, of: "hitz" }).success).toBe(false);
  });
});
