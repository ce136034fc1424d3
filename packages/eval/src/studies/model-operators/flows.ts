// internal: modelFlows
import type { FlowDocument } from "@tessera/core";

// Each operator that our language model runs, and what stands in its place without a model, as flows that can be measured
// beside each other. The model is trained on the prompts that these send (apps/train/prompts.json).

const about = { query: "text", hits: "hits" } as const;
const model = "model";

/** The passages that a query finds, by words and by vectors, as `npm start` finds them. */
const search = (name: string, words: string, vectors: object, before: FlowDocument["nodes"] = {}): FlowDocument => ({
  version: 1,
  name,
  input: { query: "text" },
  nodes: {
    ...before,
    sparse: { run: "retriever.sparse", with: { store: "sparse", top: 50 }, in: { query: words } },
    dense: {
      run: "retriever.dense",
      with: { store: "dense", encoder: "encoder", top: 50 },
      in: { query: words, ...vectors },
    },
    fuse: {
      run: "fuser.weighted",
      with: { top: 20 },
      in: { lists: { named: { words: "sparse.hits", vectors: "dense.hits" } } },
    },
  },
  output: { hits: "fuse.hits" },
});

const answerBy = (run: string, settings: object): FlowDocument => ({
  version: 1,
  name: run.slice(run.indexOf(".") + 1),
  input: about,
  nodes: { answer: { run, with: { ...settings }, in: { query: "input.query", hits: "input.hits" } } },
  output: { answer: "answer.answer" },
});

const verifyBy = (run: string, settings: object): FlowDocument => ({
  version: 1,
  name: run.slice(run.indexOf(".") + 1),
  input: about,
  nodes: {
    claims: { run: "generator.claims", with: { claims: 1 }, in: { text: "input.query" } },
    verify: { run, with: { ...settings }, in: { claims: "claims.claims", hits: "input.hits" } },
  },
  output: { text: "verify.verdict" },
});

/** What scores and sends no prompt, so that no training hears of it: the passages that are shown, ordered by how likely the question is after each; the first is what would be cited. */
export const likelihood: FlowDocument = {
  version: 1,
  name: "likelihood",
  input: about,
  nodes: {
    order: { run: "reranker.likelihood", with: { model }, in: { query: "input.query", hits: "input.hits" } },
  },
  output: { hits: "order.hits" },
};

/** The operators that ask a model. */
export const modelFlows = {
  answer: answerBy("generator.answer", { model, maxTokens: 96 }),
  judge: {
    version: 1,
    name: "model-judge",
    input: about,
    nodes: {
      judge: {
        run: "router.model-judge",
        with: {
          model,
          maxTokens: 4,
          question: "Do the passages answer the question?",
          choices: { yes: "one of them does", no: "none of them does" },
          otherwise: "no",
        },
        in: { query: "input.query", hits: "input.hits" },
      },
    },
    output: { text: "judge.choice" },
  },
  verify: verifyBy("generator.verify", { model, maxTokens: 16 }),
  rewrite: search(
    "rewrite",
    "rewrite.query",
    {},
    {
      rewrite: { run: "query.rewrite", with: { model, maxTokens: 32 }, in: { query: "input.query" } },
    },
  ),
  hyde: search(
    "hyde",
    "imagine.query",
    { vector: "imagine.vector" },
    {
      imagine: {
        run: "query.hyde",
        with: { model, maxTokens: 160, count: 1, kind: "code", encoder: "encoder" },
        in: { query: "input.query" },
      },
    },
  ),
} as const satisfies Record<string, FlowDocument>;

/** What stands in their place without one. */
export const ruleFlows = {
  answer: answerBy("generator.extract", {}),
  judge: answerBy("generator.extract", {}),
  verify: verifyBy("generator.support", {}),
  rewrite: search("question", "input.query", {}),
  hyde: search("question", "input.query", {}),
} as const satisfies Record<keyof typeof modelFlows, FlowDocument>;
