import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { answer, type Context, cite, type FlowDocument, type Hit, hits, operator, text } from "@tessera/core";
import { compile } from "@tessera/graph";
import { z } from "zod";
import type { Question } from "../data-sets/data-set.js";
import { temporaryFolder } from "../data-sets/folder.fixture.js";
import { evaluate } from "./evaluate.js";
import { type QuestionResult, readResults } from "./results.js";

const hitOf = (id: string, parent?: string): Hit => ({
  passage: { id, text: id, metadata: {}, ...(parent !== undefined && { parent }) },
  score: 1,
  provenance: [],
});

const about = { module: "retrieval", submodule: "test", summary: "Finds what the question names." } as const;

/** Finds the passages that the question names, "p/c" being the part c of p, and cites the first. */
function finder(work: (query: string, context: Context) => void | Promise<void> = () => {}) {
  return operator({
    name: "test.find",
    version: 1,
    about,
    config: z.strictObject({ revision: z.number().default(1) }),
    ports: { input: { query: text }, output: { hits, answer } },
    bound: () => ({ calls: 1, tokens: 10 }),
    setup: () => async (input, context) => {
      await work(input.query, context);
      context.spend({ calls: 1, tokens: 7 });
      const found = input.query.split(" ").map((word) => hitOf(word.split("/").at(-1)!, word.split("/").at(-2)));
      const refused = input.query.startsWith("none");
      const citations = refused ? [] : [cite(1, found[0]!.passage)];
      return { hits: found, answer: { text: `It is ${input.query}`, citations, refused } };
    },
  });
}

const find: FlowDocument = {
  version: 1,
  name: "find",
  input: { query: "text" },
  nodes: { find: { run: "test.find", in: { query: "input.query" } } },
  output: { hits: "find.hits", answer: "find.answer" },
};

const compiled = (work?: Parameters<typeof finder>[0], document = find) =>
  compile(document, { operators: [finder(work)] });

const questions: Question[] = Array.from({ length: 12 }, (_, i) => ({ id: `q${i}`, question: `a b${i}`, gold: ["a"] }));
const untimed = ({ measures: { milliseconds: _, ...measures }, ...result }: QuestionResult) => ({
  ...result,
  measures,
});

describe("evaluate", () => {
  it("measures rankings, answers, and what was spent", async () => {
    const flow = await compiled();
    const [first, part, refusal, open] = await evaluate(
      flow,
      [
        { id: "1", question: "x a y b", gold: ["a", "b"], answers: ["x a y b"] },
        { id: "2", question: "doc/part", gold: ["doc"] },
        { id: "3", question: "none a", gold: ["a"], answers: ["None"] },
        { id: "4", question: "z" },
      ],
      { revision: "r", corpusHas: (id) => id !== "part" },
    );
    expect(first!.measures).toMatchObject({
      "recall@1": 0,
      "recall@5": 1,
      "all-gold@5": 1,
      "precision@5": 2 / 5,
      MRR: 1 / 2,
      MAP: (1 / 2 + 2 / 4) / 2,
      // "it is x y b", the article dropped, against "x y b": three common words of five
      EM: 0,
      F1: (2 * (3 / 5)) / (3 / 5 + 1),
      accuracy: 1,
      // the article kept: four words of six in their order
      "ROUGE-L": (2 * (4 / 6)) / (4 / 6 + 1),
      "cites gold first": 0,
      "citation precision": 0,
      refuses: 0,
      calls: 1,
      tokens: 7,
    });
    expect(part).toMatchObject({ found: ["doc"], measures: { "recall@1": 1 } });
    expect(refusal!.measures).toMatchObject({ refuses: 1, EM: 0, F1: 0, "cites gold": 0 });
    expect(refusal!.measures).not.toHaveProperty("citation precision");
    expect(Object.keys(open!.measures)).toEqual([
      ...["retrieval rate", "refuses", "retrievals", "calls", "tokens", "milliseconds"],
    ]);
  });

  it("row 54, row 61: counts how often a run searched, apart from whether it found anything", async () => {
    const twice: FlowDocument = {
      ...find,
      nodes: { ...find.nodes, again: { run: "test.find", in: { query: "input.query" } } },
      output: { ...find.output, again: "again.hits" },
    };
    const flow = await compiled(undefined, twice);
    const retrieves = (operator: string) => operator === "test.find";
    const [result] = await evaluate(flow, questions.slice(0, 1), { revision: "r", retrieves });
    expect(result!.measures).toMatchObject({ retrievals: 2, "retrieval rate": 1 });
    const [other] = await evaluate(flow, questions.slice(0, 1), { revision: "r" });
    expect(other!.measures.retrievals).toBe(0);
  });

  it("counts a question whose run fails, says why, and goes on", async () => {
    const flow = await compiled((query) => {
      if (query.endsWith("b3")) throw new Error("no luck");
    });
    const seen: { done: number; failed: number }[] = [];
    const results = await evaluate(flow, questions, { revision: "r", progress: (progress) => seen.push(progress) });
    expect(results.map(({ id }) => id)).toEqual(questions.map(({ id }) => id));
    expect(results.filter(({ error }) => error)).toMatchObject([
      { id: "q3", measures: {}, error: { code: "NODE_FAILED", message: "no luck", path: "find/find" } },
    ]);
    expect(seen.at(-1)).toEqual({ done: 12, failed: 1 });
  });

  it("runs as many at a time as it may, and gives results in order whatever their times", async () => {
    let [running, most] = [0, 0];
    const flow = await compiled(async (query) => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, query.endsWith("0") ? 30 : 1));
      running--;
    });
    async function* streamed() {
      yield* questions;
    }
    const results = await evaluate(flow, streamed(), { revision: "r", concurrency: 3 });
    expect(most).toBe(3);
    expect(results.map(({ id }) => id)).toEqual(questions.map(({ id }) => id));
  });

  it("after an abort, takes up what is left, and ends with what one run would have given", async () => {
    const out = join(await temporaryFolder(), "deep", "results.jsonl");
    const stop = new AbortController();
    const asked: string[] = [];
    const work = (query: string) => {
      asked.push(query);
      if (asked.length === 5) stop.abort(new Error("enough"));
    };
    const broken = evaluate(await compiled(work), questions, {
      revision: "r",
      out,
      concurrency: 2,
      signal: stop.signal,
    });
    await expect(broken).rejects.toMatchObject({ code: "ABORTED", message: "enough" });
    const kept = (await readResults(out)).map(({ question }) => question);
    expect(kept.length).toBeGreaterThanOrEqual(3);
    expect(kept.length).toBeLessThanOrEqual(5);

    const again: string[] = [];
    const results = await evaluate(await compiled((query) => void again.push(query)), questions, {
      revision: "r",
      out,
    });
    expect([...kept, ...again].sort()).toEqual(questions.map(({ question }) => question).sort());
    const whole = await evaluate(await compiled(), questions, { revision: "r" });
    expect(results.map(untimed)).toEqual(whole.map(untimed));
    expect((await readResults(out)).map(({ id }) => id).sort()).toEqual(questions.map(({ id }) => id).sort());
  });

  it("cuts off a line that a kill tore, and runs its question again", async () => {
    const out = join(await temporaryFolder(), "results.jsonl");
    await evaluate(await compiled(), questions, { revision: "r", out });
    const text = await readFile(out, "utf8");
    await writeFile(out, text.slice(0, -9));
    expect(await readResults(out)).toHaveLength(11);
    const again: string[] = [];
    await evaluate(await compiled((query) => void again.push(query)), questions, { revision: "r", out });
    expect(again).toEqual(["a b11"]);
    expect(await readResults(out)).toHaveLength(12);
    expect((await readFile(out, "utf8")).trimEnd().split("\n")).toHaveLength(12);
  });

  it("tries a failed question again; the last result counts", async () => {
    const out = join(await temporaryFolder(), "results.jsonl");
    const failing = await compiled((query) => {
      if (query.endsWith("b3")) throw new Error("no luck");
    });
    await evaluate(failing, questions, { revision: "r", out });
    const again: string[] = [];
    await evaluate(await compiled((query) => void again.push(query)), questions, { revision: "r", out });
    expect(again).toEqual(["a b3"]);
    expect((await readResults(out)).filter(({ error }) => error)).toEqual([]);
  });

  it("runs everything again for another flow, and for another revision", async () => {
    const out = join(await temporaryFolder(), "results.jsonl");
    await evaluate(await compiled(), questions, { revision: "r", out });
    const again: string[] = [];
    const note = (query: string) => void again.push(query);
    await evaluate(await compiled(note), questions, { revision: "s", out });
    expect(again).toHaveLength(12);
    const other = structuredClone(find);
    other.nodes.find!.with = { revision: 2 };
    await evaluate(await compiled(note, other), questions, { revision: "r", out });
    expect(again).toHaveLength(24);
  });

  it("refuses a file that holds something else, and leaves it alone", async () => {
    const out = join(await temporaryFolder(), "results.jsonl");
    await writeFile(out, '{"id":"p","text":"a passage"}\n');
    const running = evaluate(await compiled(), questions, { revision: "r", out });
    await expect(running).rejects.toMatchObject({ code: "BAD_SOURCE", path: `${out}:1` });
    expect(await readFile(out, "utf8")).toBe('{"id":"p","text":"a passage"}\n');
    const blocked = evaluate(await compiled(), questions, { revision: "r", out: join(out, "below") });
    await expect(blocked).rejects.toMatchObject({ code: "STORE_FAILED" });
  });

  it("ends with the error of the questions themselves", async () => {
    async function* broken() {
      yield questions[0]!;
      throw new Error("line 2");
    }
    await expect(evaluate(await compiled(), broken(), { revision: "r", concurrency: 3 })).rejects.toThrow("line 2");
  });

  it("feeds other inputs from the metadata of the question, and fails those that lack it", async () => {
    const document = structuredClone(find);
    document.input = { query: "text", hint: "text" };
    document.nodes.find!.in.query = "input.hint";
    document.output.question = "input.query";
    const [given, lacking] = await evaluate(
      await compiled(undefined, document),
      [
        { id: "1", question: "a", metadata: { hint: "z", other: 1 } },
        { id: "2", question: "a" },
      ],
      { revision: "r", input: "query" },
    );
    expect(given!.found).toEqual(["z"]);
    expect(lacking!.error).toMatchObject({ code: "BAD_INPUT" });
  });

  it("refuses flows that take no question, or give nothing to measure", async () => {
    const refused = async (change: (document: FlowDocument) => void, input?: string) => {
      const document = structuredClone(find);
      change(document);
      return expect(evaluate(await compiled(undefined, document), questions, { revision: "r", input })).rejects;
    };
    await (
      await refused((document) => {
        document.output = { found: "find.hits" };
      })
    ).toMatchObject({ code: "BAD_ARGUMENT", message: expect.stringContaining("no output") });
    await (
      await refused((document) => {
        document.input = { words: { list: "text" } };
        document.nodes.find!.in.query = { value: "a" };
        document.output.words = "input.words";
      })
    ).toMatchObject({ code: "BAD_ARGUMENT", hint: expect.stringContaining("its inputs are words") });
    await (await refused(() => {}, "qury")).toMatchObject({
      code: "BAD_ARGUMENT",
      hint: expect.stringContaining("query"),
    });
  });

  it("fails a question whose outputs are of another kind", async () => {
    const document = structuredClone(find);
    document.output = { hits: "find.answer" };
    const [result] = await evaluate(await compiled(undefined, document), questions.slice(0, 1), { revision: "r" });
    expect(result!.error).toMatchObject({ code: "BAD_OUTPUT", path: "hits" });
  });
});
