import { describe, expect, it } from "@jest/globals";
import { answer, type FlowDocument, type Hit, hit, operator, TesseraError } from "@tessera/core";
import { compile } from "@tessera/graph";
import { z } from "zod";
import { operators } from "./operators.fixture.js";

/** Answers from one hit what the hit says, and fails at "bad". */
const reads = operator({
  name: "test.reads",
  version: 1,
  about: { module: "data", submodule: "test", summary: "A step of a test." },
  config: z.strictObject({}),
  ports: { input: { hit }, output: { answer } },
  effects: "none",
  setup:
    () =>
    ({ hit: { passage } }) => {
      if (passage.text === "bad") throw new TesseraError("NODE_FAILED", "it cannot be read");
      return { answer: { text: passage.text, citations: [], refused: false } };
    },
});
/** Takes whole lists of answers alone. */
const counts = operator({
  name: "test.counts",
  version: 1,
  about: { module: "data", submodule: "test", summary: "A step of a test." },
  config: z.strictObject({}),
  ports: { input: { answers: z.array(answer) }, output: { count: z.number() } },
  effects: "none",
  setup:
    () =>
    ({ answers }) => ({ count: answers.length }),
});

const hits: Hit[] = ["Paris", "bad", "Rome", "Rome"].map((text, index) => ({
  passage: { id: String(index), text, metadata: {} },
  score: 0,
  provenance: [],
}));
const flow = (nodes: FlowDocument["nodes"], output: FlowDocument["output"]): FlowDocument => ({
  version: 1,
  name: "skipping",
  input: { hits: "hits" },
  nodes: {
    read: {
      run: "test.reads",
      in: { hit: "input.hits" },
      each: { over: "hit", max: 8 },
      policy: { onError: "skip" },
    },
    ...nodes,
  },
  output,
});
const compiled = (document: FlowDocument) => compile(document, { operators: [...operators, reads, counts] });

describe("answers of which one was skipped", () => {
  it("vote as they are, each by the hit at its own place", async () => {
    const nodes = { vote: { run: "fuser.vote", in: { answers: "read.answer", hits: "input.hits" } } };
    const ready = await compiled(flow(nodes, { answer: "vote.answer", share: "vote.share" }));
    const { output } = await ready.run({ hits });
    // three answers of equal weight are left, two of them agree
    expect(output).toMatchObject({ answer: { text: "Rome" }, share: expect.closeTo(2 / 3, 12) });
  });

  it("reach a port that takes whole lists through list.compact alone, and the finding says so", async () => {
    const straight = flow({ count: { run: "test.counts", in: { answers: "read.answer" } } }, { count: "count.count" });
    await expect(compiled(straight)).rejects.toMatchObject({
      findings: [
        { code: "TYPE_MISMATCH", path: "skipping/count.answers", hint: expect.stringContaining("list.compact") },
      ],
    });
    const between = flow(
      {
        compact: { run: "list.compact", with: { of: "answer" }, in: { list: "read.answer" } },
        count: { run: "test.counts", in: { answers: "compact.list" } },
      },
      { count: "count.count" },
    );
    expect((await (await compiled(between)).run({ hits })).output).toEqual({ count: 3 });
  });

  it("that lost their places are refused by the vote, since no hit is theirs", async () => {
    const nodes = {
      compact: { run: "list.compact", with: { of: "answer" as const }, in: { list: "read.answer" } },
      vote: { run: "fuser.vote", in: { answers: "compact.list", hits: "input.hits" } },
    };
    const ready = await compiled(flow(nodes, { answer: "vote.answer" }));
    await expect(ready.run({ hits })).rejects.toMatchObject({
      code: "BAD_VALUE",
      message: expect.stringContaining("3 answers came from 4 hits"),
    });
  });
});
