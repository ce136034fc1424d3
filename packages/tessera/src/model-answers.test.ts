import { describe, expect, it } from "@jest/globals";
import { type AnyOperator, type Hit, type LanguageModel, TesseraError } from "@tessera/core";
import { hostOf, runOperator } from "@tessera/testkit";
import { catalogue } from "./catalogue.js";

// Answers as models give them: chatty, thinking, refusing, in other languages, malformed. Every operator that reads the answer
// of a model stands in the table, or the test fails.

interface Row {
  readonly config?: object;
  readonly input: Record<string, unknown>;
  /** What a model says that does as it is told. */
  readonly plain: string;
  /** What of the output the answer decides. */
  readonly read: (output: Record<string, unknown>) => unknown;
  /** What is read of an answer that says nothing of use, or the code of its error; undefined where any text is an answer. */
  readonly nothing?: unknown;
  /** Whether words around the answer are part of it: there, the answer is a text. */
  readonly isText?: boolean;
}

const passage = (id: string, text: string) => ({ id, text, metadata: {} });
const hit = (id: string, text: string): Hit => ({ passage: passage(id, text), score: 1, provenance: [] });
const hits = [hit("a", "Cats sleep for hours."), hit("b", "Dogs bark at night.")];
const query = "How long do cats sleep?";
const ids = (given: unknown) => (given as Hit[]).map(({ passage: { id } }) => id);
const problem = {
  id: "p",
  text: "Return the argument.",
  language: "javascript",
  entry: "f",
  tests: [],
  publicTests: [],
};
const program = "```javascript\nfunction f(a) {\n  return a;\n}\n```";
const codes = ({ samples }: Record<string, unknown>) => (samples as { code: string }[]).map(({ code }) => code);
const answerOf = (text: string) => ({ text, citations: [{ marker: 1, passage: "a" }], refused: false });
const database = {
  revision: "1",
  dialect: "sqlite",
  describe: async () => "CREATE TABLE cats (name TEXT)",
  read: async (statement: string) => [{ name: statement }],
};

const rows: Readonly<Record<string, Row>> = {
  "generator.answer": {
    input: { query, hits },
    plain: "Cats sleep for hours [1].",
    read: ({ text, refused }) => (refused ? "refused" : text),
    isText: true,
  },
  "generator.continue": {
    input: { query, hits },
    plain: "Cats sleep for hours.",
    read: ({ text }) => text,
    isText: true,
  },
  "generator.claims": {
    input: { text: "Cats sleep. Dogs bark." },
    plain: "1. Cats sleep.\n2. Dogs bark.",
    read: ({ claims }) => claims,
    isText: true,
  },
  "generator.verify": {
    input: { claims: ["Cats sleep for hours."], hits },
    plain: "SUPPORTED [1]",
    read: ({ verdicts, checked, ...rest }) => JSON.stringify(verdicts ?? checked ?? rest),
  },
  "generator.structured": {
    input: { query, hits, schema: { type: "object", properties: { hours: { type: "number" } }, required: ["hours"] } },
    plain: '{"hours": 12}',
    read: ({ value, refused }) => (refused ? "refused" : value),
    nothing: "MODEL_FAILED",
  },
  "generator.confirm": {
    input: { query, answer: answerOf("Cats sleep [1]."), hits },
    plain: "A",
    read: ({ choice }) => choice,
    nothing: "unfounded",
  },
  "query.condense": {
    config: { longest: 1 },
    input: { history: "user: How long do cats sleep?\nassistant: Twelve hours." },
    plain: "Cats sleep twelve hours.",
    read: ({ summary }) => summary,
    isText: true,
  },
  "query.hyde": {
    config: { count: 1 },
    input: { query },
    plain: "Cats sleep for twelve hours a day.",
    read: ({ documents }) => documents,
    isText: true,
  },
  "query.multi-query": {
    input: { query },
    plain: "1. cat sleep duration\n2. hours of rest of a cat",
    read: ({ queries }) => queries,
  },
  "query.rewrite": { input: { query }, plain: "cat sleep duration**", read: ({ query: one }) => one },
  "query.standalone": {
    input: { query: "And dogs?", history: "user: How long do cats sleep?" },
    plain: "How long do dogs sleep?",
    read: ({ query: one }) => one,
  },
  "query.step-back": { input: { query }, plain: "How do animals rest?", read: ({ query: one }) => one },
  "query.sub-query": {
    input: { query },
    plain: "1. What is a cat?\n2. How long does #1 sleep?",
    read: ({ queries }) => queries,
  },
  "query.verify-chain": {
    input: { query, draft: "Cats sleep for hours." },
    plain: "1. When do cats sleep?\n2. Where do cats rest?",
    read: ({ queries }) => queries,
  },
  "query.text-to-sql": {
    config: { database: "database", repairs: 0 },
    input: { query },
    plain: "SELECT name FROM cats",
    read: ({ sql, valid }) => (valid ? sql : "invalid"),
    nothing: "invalid",
  },
  "query.text-to-cypher": {
    config: { schema: { nodes: { Cat: ["name"] }, relations: {} }, repairs: 0 },
    input: { query },
    plain: "MATCH (c:Cat) RETURN c.name",
    read: ({ cypher, valid }) => (valid ? cypher : "invalid"),
    nothing: "invalid",
  },
  "reranker.model": {
    input: { query, hits },
    plain: "[2] > [1]",
    read: ({ hits: found }) => ids(found),
    nothing: ["a", "b"],
  },
  "reranker.critique": {
    input: { query, hits },
    plain: "No",
    read: ({ hits: found }) => ids(found),
    nothing: ["a", "b"],
  },
  "router.model-judge": {
    config: { question: "Is it about cats?", choices: { cats: "it is", dogs: "it is not" }, otherwise: "dogs" },
    input: { query },
    plain: "cats",
    read: ({ choice }) => choice,
    nothing: "dogs",
  },
  "indexer.reverse-hyde": {
    input: { passage: hits[0]!.passage },
    plain: "1. How long do cats sleep?\n2. Who sleeps for hours?",
    read: ({ questions }) => (questions as { text: string }[]).map(({ text }) => text),
    nothing: [],
  },
  "indexer.triples": {
    input: { passage: hits[0]!.passage },
    plain: "cats | sleep for | hours",
    read: ({ passage: one }) => (one as { metadata: { triples?: unknown } }).metadata.triples,
    nothing: [],
  },
  "fuser.model": {
    input: { query, answers: [answerOf("Cats sleep [1]."), answerOf("Cats rest [1].")] },
    plain: "Cats sleep and rest [1].",
    read: ({ answer }) => (answer as { text: string }).text,
    isText: true,
  },
  "fuser.ensemble": {
    input: { query, hits },
    plain: "for hours",
    read: ({ answer }) => (answer as { text: string }).text,
    isText: true,
  },
  "coder.sample": { config: { count: 1 }, input: { problem }, plain: program, read: codes },
  "coder.revise": {
    config: { count: 1 },
    input: { problem, representatives: [] },
    plain: program,
    read: codes,
  },
  "coder.debug": {
    config: { count: 1 },
    input: {
      problem,
      samples: [
        {
          id: "s",
          text: "",
          code: "",
          headers: [],
          verdict: { passed: false, assertions: 1, reason: "failed", ms: 1, detail: "no" },
        },
      ],
    },
    plain: program,
    read: codes,
  },
};

/** They score given texts, and read no answer. */
const scoring = ["generator.dual", "reranker.compress", "reranker.likelihood", "reranker.selective-context"];

const secret = "zxq-of-the-thought";
const thought = `The user wants ${secret}. Let me see: 1. ${secret}\n2. [2] > [1] ${secret}? No, Yes, B, SELECT ${secret} | is | ${secret}`;

type Say = { readonly text: string; readonly thoughts?: string };

/** What says the same as the plain answer, whoever reads it. */
const same: Readonly<Record<string, (plain: string) => Say>> = {
  "a thought in tags": (plain) => ({ text: `<think>\n${thought}\n</think>\n\n${plain}` }),
  "a thought that the prompt had opened": (plain) => ({ text: `${thought}\n</think>\n${plain}` }),
  "thoughts in a field of their own": (plain) => ({ text: plain, thoughts: thought }),
  "channels of harmony": (plain) => ({
    text: `<|channel|>analysis<|message|>${thought}<|end|><|start|>assistant<|channel|>final<|message|>${plain}`,
  }),
  "an empty thought": (plain) => ({ text: `<think>\n\n</think>\n\n${plain}` }),
  "space around it": (plain) => ({ text: `\n\n  ${plain}\n\n` }),
  "line ends of Windows": (plain) => ({ text: plain.replaceAll("\n", "\r\n") }),
};

/** What says the same to whoever reads something else than a text. */
const chatty: Readonly<Record<string, (plain: string) => string>> = {
  "a friendly beginning": (plain) => `Sure, here you go:\n\n${plain}`,
  "a friendly end": (plain) => `${plain}\n\nLet me know if you would like anything else!`,
  "a beginning in German": (plain) => `Gerne! Hier ist das Ergebnis:\n\n${plain}`,
  "a beginning in Chinese": (plain) => `好的，结果如下：\n\n${plain}`,
};

/** What is no answer to any of the questions. */
const useless: Readonly<Record<string, string>> = {
  nothing: "",
  space: " \n\t ",
  "a refusal": "I'm sorry, but I can't help with that.",
  "a refusal in French": "Je suis désolé, mais je ne peux pas vous aider.",
  "a thought alone": `<think>${thought}</think>`,
  "a thought without an end": `<think>${thought}`,
  punctuation: "… — !!! ***",
};

/** What must do no harm. */
const malformed: Readonly<Record<string, string>> = {
  "an open fence": "```",
  "an open fence with words": "```json\n{",
  "half a surrogate": "\ud83d cats \udc31",
  "control characters": "\u0000\u001b[31m\u202e cats",
  brackets: "[".repeat(3000),
  "numbers of no passage": "[999] > [0] > [-1] > [1e9]",
  "a long line": "cats ".repeat(8000),
  "many lines": "1. cats\n".repeat(5000),
  JSON: '{"answer": "cats", "queries": ["a"]}',
  "a table": "| a | b |\n|---|---|\n| c | d |",
  "the words of the prompt": "Write nothing else. One on a line, numbered, and nothing else.",
  "a prototype": "__proto__\nconstructor\n1. __proto__",
};

function modelOf(say: Say): LanguageModel {
  return {
    revision: "said",
    scripted: true,
    capabilities: new Set(),
    async *generate() {
      if (say.thoughts) yield { text: "", thoughts: say.thoughts };
      for (let at = 0; at < say.text.length; at += 4000) yield { text: say.text.slice(at, at + 4000) };
      yield { text: "", finish: "stop", usage: { prompt: 1, completion: 1 } };
    },
  };
}

async function outputOf(operator: AnyOperator, { config, input }: Row, say: Say): Promise<Record<string, unknown>> {
  const host = hostOf({ "model/model": modelOf(say), "database/database": database as never });
  return runOperator(operator, { model: "model", ...config }, structuredClone(input), { host });
}

const readers = [...catalogue.values()]
  .map(({ operator }) => operator)
  .filter(({ config, prompts = [] }) => prompts.length > 0 || "model" in (config.shape ?? {}))
  .filter(({ name }) => !scoring.includes(name));

it("every operator that reads the answer of a model stands in the table, and nothing else", () => {
  expect(readers.map(({ name }) => name).sort()).toEqual(Object.keys(rows).sort());
});

describe.each(
  readers.filter(({ name }) => Object.hasOwn(rows, name)).map((operator) => [operator.name, operator] as const),
)("%s", (name, operator) => {
  const row = rows[name]!;
  const reading = async (say: Say): Promise<unknown> => {
    const output = await outputOf(operator, row, say);
    expect(JSON.stringify(output)).not.toContain(secret);
    return row.read(output);
  };

  it.each(Object.entries(same))("reads the plain answer behind %s", async (_, wrap) => {
    const wanted = await reading({ text: row.plain });
    if (row.nothing !== undefined) expect(wanted).not.toEqual(row.nothing);
    expect(await reading(wrap(row.plain))).toEqual(wanted);
  });

  if (!row.isText)
    it.each(Object.entries(chatty))("reads the plain answer behind %s", async (_, wrap) => {
      expect(await reading({ text: wrap(row.plain) })).toEqual(await reading({ text: row.plain }));
    });

  it.each(Object.entries(useless))("falls back on %s", async (_, text) => {
    const read = await reading({ text }).catch((error: unknown) => {
      if (!TesseraError.is(error) || error.code !== row.nothing) throw error;
      return error.code;
    });
    if (row.nothing !== undefined) expect(read).toEqual(row.nothing);
  });

  it.each(Object.entries(malformed))("does no harm on %s", async (_, text) => {
    const ended = await reading({ text }).catch((error: unknown) => {
      if (!TesseraError.is(error)) throw error;
      return error.code;
    });
    expect(JSON.stringify(ended)?.length ?? 0).toBeLessThan(60_000);
  });
});
