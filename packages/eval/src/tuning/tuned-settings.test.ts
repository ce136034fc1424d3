import { describe, expect, it } from "@jest/globals";
import type { FlowDocument, Json } from "@tessera/core";
import fc from "fast-check";
import { combination, combinationsOf, readTunedSetting, settingOf, withSettings } from "./tuned-settings.js";

const inner: FlowDocument = {
  version: 1,
  name: "inner",
  input: { query: "text" },
  nodes: {
    "find.it": { run: "x", in: {} },
    find: { run: "retriever.sparse", with: { top: 3, weights: [1, 2] }, in: {} },
  },
  output: {},
};
const document: FlowDocument = {
  version: 1,
  name: "outer",
  input: { query: "text" },
  nodes: { search: { run: inner, in: {} }, fuse: { run: "fuser.rrf", in: {} } },
  output: {},
};

describe("a setting's place", () => {
  it("is a node's, one of a nested flow's, a member's or an element's", () => {
    expect(settingOf(document, "search/find.top")).toBe(3);
    expect(settingOf(document, "search/find.weights.1")).toBe(2);
    expect(settingOf(document, "fuse.k")).toBeUndefined();
  });

  it("takes any JSON, changes nothing else, and leaves the document as it was", () => {
    const before = JSON.stringify(document);
    fc.assert(
      fc.property(
        fc.constantFrom("fuse.k", "fuse.a.b", "fuse.__proto__", "search/find.top", "search/find.weights.0"),
        fc.jsonValue(),
        (at, to) => {
          const changed = withSettings(document, [{ at, to: to as Json }]);
          expect(settingOf(changed, at)).toEqual(to);
          for (const other of ["search/find.top", "search/find.weights.1"])
            if (other !== at) expect(settingOf(changed, other)).toEqual(settingOf(document, other));
          expect(JSON.stringify(document)).toBe(before);
          expect({}).not.toHaveProperty("b");
        },
      ),
    );
  });

  it.each([
    ["fuse", "names no setting"],
    [".k", "names no setting"],
    ["fuse.", "names no setting"],
    ["fues.k", 'no node "fues"'],
    ["search.top", "nested flow"],
    ["fuse/find.top", "no flow inside"],
    ["search/find.weights.2", "no element 2"],
  ])("%s is refused: %s", (at, message) => {
    expect(() => withSettings(document, [{ at, to: 1 }])).toThrow(
      expect.objectContaining({ code: "BAD_ARGUMENT", path: at, message: expect.stringContaining(message) }),
    );
  });
});

describe("combinations", () => {
  it("are the product of the values, each number another one", () => {
    const values = fc.uniqueArray(fc.integer(), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(fc.array(values, { minLength: 1, maxLength: 4 }), (lists) => {
        const settings = lists.map((list, index) => ({ at: `n${index}.s`, values: list }));
        const count = combinationsOf(settings);
        // the naive twin: nested loops
        const all = lists.reduce<number[][]>(
          (rows, list) => rows.flatMap((row) => list.map((value) => [...row, value])),
          [[]],
        );
        expect(count).toBe(all.length);
        expect(Array.from({ length: count }, (_, number) => combination(settings, number).map(({ to }) => to))).toEqual(
          all,
        );
      }),
    );
  });

  it.each([
    [[]],
    [[{ at: "a.b", values: [] }]],
    [
      [
        { at: "a.b", values: [1] },
        { at: "a.b", values: [2] },
      ],
    ],
  ])("%j are none", (settings) => {
    expect(() => combinationsOf(settings)).toThrow(expect.objectContaining({ code: "BAD_ARGUMENT" }));
  });
});

describe("a setting of the command line", () => {
  it.each<[string, Json[]]>([
    ["fuse.k=0,20,60", [0, 20, 60]],
    ["fuse.method=minmax,zscore", ["minmax", "zscore"]],
    [
      "fuse.weights=[1,2],[2,1]",
      [
        [1, 2],
        [2, 1],
      ],
    ],
    ['a.b="x,y",z', ["x,y", "z"]],
    ["a.b=true,null", [true, null]],
    ["sparse.top=10..50:5", [10, 20, 30, 40, 50]],
    ["a.b=0..1:3", [0, 0.5, 1]],
    ["a.b=0.0..1.5:4", [0, 0.5, 1, 1.5]],
    ["a.b=0.01..1:3 log", [0.01, 0.1, 1]],
  ])("%s", (text, values) => {
    expect(readTunedSetting(text)).toEqual({ at: text.slice(0, text.indexOf("=")), values });
  });

  it.each(["fuse.k", "fuse.k=", "=1", "fuse=1", "a.b=5..1:3", "a.b=1..5:1", "a.b=0..5:3 log"])(
    "%s is refused",
    (text) => {
      expect(() => readTunedSetting(text)).toThrow(expect.objectContaining({ code: "BAD_ARGUMENT" }));
    },
  );
});
