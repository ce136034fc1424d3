import { describe, expect, it } from "@jest/globals";
import { type Hit, type Passage, rank } from "@tessera/core";
import { contextOf, hostOf, runOperator, scriptedModel, testOperator } from "@tessera/testkit";
import fc from "fast-check";
import { graphWalk } from "./graph-walk.js";
import { KnowledgeGraph, triplesOf } from "./knowledge-graph.js";
import { triples } from "./triples.js";

const passageOf = (id: string, facts: string[], extra: Passage["metadata"] = {}, title?: string): Passage => ({
  id,
  text: facts.join(". "),
  ...(title !== undefined && { title }),
  metadata: {
    triples: facts.map((fact) => {
      const [subject, relation, object] = fact.split(" | ");
      return { subject: subject!, relation: relation!, object: object! };
    }),
    ...extra,
  },
});

const passages = [
  passageOf("film", ["Blue Night | directed by | Ann Lee", "Blue Night | released in | 1963"], {}, "Blue Night (film)"),
  passageOf("ann", ["Ann Lee | born in | Oslo"], {}, "Ann Lee"),
  passageOf("oslo", ["Oslo | capital of | Norway"], {}, "Oslo"),
  passageOf("lima", ["Lima | capital of | Peru"], {}, "Lima"),
];
const graph = new KnowledgeGraph(passages);
const hitsOf = (...ids: string[]): Hit[] =>
  rank(
    "store",
    ids.map((id, i) => ({
      hit: { passage: passages.find((p) => p.id === id)!, score: 0, provenance: [] },
      score: 9 - i,
    })),
  );

describe("KnowledgeGraph", () => {
  it("row 11: its counts are stable, and neighbours share an entity", () => {
    // 8 entities: the 4 titles, of which 3 are subjects too, and blue night, 1963, norway and peru
    expect(graph.size).toEqual({ passages: 4, entities: 8, edges: 5 + 4 + 2 + 2 + 2 });
    expect(new KnowledgeGraph(passages).size).toEqual(graph.size);
    expect(new KnowledgeGraph(passages).revision).toBe(graph.revision);
    const neighbours = { film: ["ann"], ann: ["film", "oslo"], oslo: ["ann"], lima: [], nobody: [] };
    for (const [id, expected] of Object.entries(neighbours)) expect(graph.neighbours(id)).toEqual(expected);
  });

  it("finds the names in a text, the longest of those within one another", () => {
    const more = new KnowledgeGraph([...passages, passageOf("x", ["Ann | knows | Oslo"])]);
    expect([...more.named("Was ann LEE from Oslo?")]).toEqual([
      ["ann lee", 1 / 2],
      ["oslo", 1 / 3],
    ]);
  });

  it("ranks as the equation p = (1 − d) s + d A p says, by a naive twin that inverts the matrix", () => {
    const name = fc.constantFrom("a", "b", "c", "d", "e");
    const list = fc.array(fc.array(fc.tuple(name, name), { maxLength: 3 }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(list, name, fc.constantFrom(0.3, 0.85), (facts, start, damping) => {
        const all = facts.map((pairs, i) =>
          passageOf(
            `p${i}`,
            pairs.map(([a, b]) => `${a} | to | ${b}`),
          ),
        );
        const walked = new KnowledgeGraph(all).walk({
          passages: new Map([["p0", 1]]),
          entities: new Map([[start, 1]]),
          damping,
        });
        // nodes are p0… and names; adjacency counts edges
        const nodes = [...all.map(({ id }) => id), "a", "b", "c", "d", "e"];
        const at = (node: string) => nodes.indexOf(node);
        const adjacency = nodes.map(() => nodes.map(() => 0));
        const join = (x: number, y: number) => {
          adjacency[x]![y]!++;
          adjacency[y]![x]!++;
        };
        for (const [i, pairs] of facts.entries()) {
          for (const [a, b] of pairs) if (a !== b) join(at(a), at(b));
          for (const entity of new Set(pairs.flat())) join(i, at(entity));
        }
        const degree = adjacency.map((row) => row.reduce((sum, value) => sum + value, 0));
        const begin = nodes.map(
          (node) => (node === "p0" || (node === start && degree[at(node)]! > 0) ? 1 : 0) as number,
        );
        const sum = begin.reduce((total, value) => total + value, 0);
        // (I − d A) p = (1 − d) s by Gauss and Jordan
        const rows = nodes.map((_, i) => [
          ...nodes.map((_, j) => (i === j ? 1 : 0) - (degree[j]! > 0 ? (damping * adjacency[j]![i]!) / degree[j]! : 0)),
          ((1 - damping) * begin[i]!) / sum,
        ]);
        for (let k = 0; k < nodes.length; k++) {
          const pivot = rows[k]![k]!;
          rows[k] = rows[k]!.map((value) => value / pivot);
          for (let i = 0; i < nodes.length; i++)
            if (i !== k) rows[i] = rows[i]!.map((value, j) => value - rows[i]![k]! * rows[k]![j]!);
        }
        const got = new Map(walked.map(({ passage, score }) => [passage.id, score]));
        for (const [i, { id }] of all.entries()) expect(got.get(id) ?? 0).toBeCloseTo(rows[i]!.at(-1)!, 4);
      }),
      { numRuns: 200 },
    );
  });

  it("walks through nothing that is not for who asks", () => {
    const secret = [
      passages[0]!,
      { ...passages[1]!, metadata: { ...passages[1]!.metadata, access: ["ann"] } },
      passages[2]!,
    ];
    const guarded = new KnowledgeGraph(secret);
    const from = { passages: new Map([["film", 1]]), entities: new Map<string, number>() };
    const idsFor = (id?: string) =>
      guarded.walk({ ...from, ...(id && { principal: { id } }) }).map(({ passage }) => passage.id);
    expect(idsFor()).toEqual(["film"]);
    expect(idsFor("ann")).toEqual(["film", "ann", "oslo"]);
    expect(guarded.neighbours("film")).toEqual([]);
    expect(guarded.neighbours("ann")).toEqual([]);
    expect(guarded.neighbours("film", { id: "ann" })).toEqual(["ann"]);
    expect([...guarded.named("Ann Lee")]).toEqual([["ann lee", 1]]);
  });

  it("leaves out what is no triple", () => {
    expect(triplesOf({ id: "a", text: "", metadata: { triples: "x" } })).toEqual([]);
    expect(new KnowledgeGraph([passageOf("a", ["! | is | ?", "A | is | A"])]).size).toEqual({
      passages: 1,
      entities: 1,
      edges: 1,
    });
  });
});

const host = () => hostOf({ "graph/facts": graph });
testOperator(graphWalk, {
  host,
  cases: [
    {
      name: "reaches a passage that shares no word with the query",
      config: { graph: "facts" },
      input: { query: "In which country was the director of Blue Night born?", hits: hitsOf("film") },
      output: ({ hits }) => {
        const found = hits as Hit[];
        expect(found.map(({ passage }) => passage.id)).toEqual(["film", "ann", "oslo"]);
        expect(found[0]!.provenance.map(({ operator }) => operator)).toEqual(["store", "indexer.graph-walk"]);
        expect(found[1]!.provenance.map(({ operator }) => operator)).toEqual(["indexer.graph-walk"]);
      },
    },
    {
      name: "finds nothing where nothing is named or found",
      config: { graph: "facts" },
      input: { query: "who?" },
      output: { hits: [] },
    },
  ],
});

it("indexer.graph-walk asks for the principal's view", async () => {
  const hidden = new KnowledgeGraph(
    passages.map((one) => ({ ...one, metadata: { ...one.metadata, access: ["ann"] } })),
  );
  const run = async (id: string) =>
    (
      await runOperator(
        graphWalk,
        { graph: "facts" },
        { query: "Oslo" },
        { host: hostOf({ "graph/facts": hidden }), context: contextOf({ principal: { id } }) },
      )
    ).hits as Hit[];
  expect(await run("bob")).toEqual([]);
  expect((await run("ann"))[0]!.passage.id).toBe("oslo");
});

const answer =
  "Facts:\n1. Ann Lee | born in | Oslo\n- Oslo | is | a city\nOslo | is\nAnn Lee | born in | Oslo\n | is | x";
testOperator(triples, {
  host: () => hostOf({ "model/main": scriptedModel(() => answer) }),
  cases: [
    {
      name: "puts what the model found after what was given",
      config: { model: "main" },
      input: { passage: passages[3]! },
      output: ({ passage }, { spent }) => {
        expect(triplesOf(passage as Passage)).toEqual([
          { subject: "Lima", relation: "capital of", object: "Peru" },
          { subject: "Ann Lee", relation: "born in", object: "Oslo" },
          { subject: "Oslo", relation: "is", object: "a city" },
        ]);
        expect(spent.calls).toBe(1);
      },
    },
  ],
});
