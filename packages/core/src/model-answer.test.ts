import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { ask } from "./ask.js";
import { AnswerReader, splitThoughts } from "./model-answer.js";
import type { Context } from "./operator.js";
import type { LanguageModel, Token } from "./resources.js";

const forms: Record<string, (thought: string) => string> = {
  "<think>": (thought) => `<think>${thought}</think>\n\n`,
  "<think> on lines of its own": (thought) => `<think>\n${thought}\n</think>\n`,
  "<THINK>, attached": (thought) => `<THINK>${thought}</THINK>`,
  "<thinking>": (thought) => `\n<thinking>\n${thought}\n</thinking>\n\n`,
  "<thought>": (thought) => `<thought>${thought}</thought>\n`,
  "<thoughts>": (thought) => `<thoughts>${thought}</thoughts>\n`,
  "<reasoning>": (thought) => `<reasoning>${thought}</reasoning>\n`,
  "<scratchpad>": (thought) => `<scratchpad>${thought}</scratchpad>\n`,
  "<seed:think>": (thought) => `<seed:think>${thought}</seed:think>`,
  "with an attribute": (thought) => `<thinking budget="9">${thought}</thinking>\n`,
  "[THINK]": (thought) => `[THINK]${thought}[/THINK]`,
  "◁think▷": (thought) => `◁think▷${thought}◁/think▷`,
  "<|begin_of_thought|>": (thought) => `<|begin_of_thought|>\n${thought}\n<|end_of_thought|>\n\n`,
  "<|START_THINKING|>": (thought) => `<|START_THINKING|>${thought}<|END_THINKING|>`,
  channels: (thought) => `<|channel|>analysis<|message|>${thought}<|end|><|start|>assistant<|channel|>final<|message|>`,
  "two, one after the other": (thought) => `<think>${thought}</think>\n<think>${thought}</think>\n\n`,
  "two families": (thought) => `<thinking>${thought}</thinking>\n<reflection>${thought}</reflection>\n`,
  "a closing tag alone": (thought) => `${thought}\n</think>\n\n`,
};

// what thoughts and answers hold: fences and quotes that do not match, lists, code, other markup
const piece = fc.constantFrom(
  "Okay, ferries. Passage [2] says so.",
  "```sql\nSELECT 1\n```",
  "\n```\n",
  "`",
  '"',
  "it's",
  "\n\n",
  "\n1. first\n2. second\n",
  '{"a": [1]}',
  "<b>bold</b>",
  "x < y && y > z",
  "東京",
  "NO ANSWER",
  "yes",
);
const thoughts = fc.oneof(
  fc.array(piece, { maxLength: 6 }).map((parts) => parts.join(" ")),
  fc.string(),
);
const answers = fc.oneof(
  fc.constantFrom(
    "ferry boarding time",
    "```sql\nSELECT count(*) FROM t\n```",
    "`SELECT 1`",
    "1. one\n2. two",
    "No.",
    '{"sql": "SELECT 1"}',
    "Use ```js\nf()\n``` and `g`.",
    "    indented();",
  ),
  // an answer's own fences are whole: where both halves are broken nobody can say what belongs to which
  fc
    .array(
      piece.filter((part) => part !== "\n```\n"),
      { minLength: 1, maxLength: 4 },
    )
    .map((parts) => parts.join(" ")),
);
/** An answer without the blank lines before it, and without the spaces where it goes on in the line of the closing tag. */
const bare = (form: (thought: string) => string, answer: string) =>
  answer.replace(form("").endsWith("\n") ? /^(?:[ \t]*\r?\n)+/ : /^(?:[ \t]*\r?\n)+|^[ \t]+/, "");

const about = [
  "Models write `<think>` before they answer, and `</think>` after it.",
  "It looks so:\n\n```\n<think>\nfirst\n</think>\nanswer\n```\n\nThat is all.",
  "~~~xml\n<thinking>a</thinking>\n~~~",
  'The tag "</think>" ends a thought, and “<think>” begins one.',
  "Wrap what you think in <think> and </think> tags.",
  "The closing tag is </think> as in HTML.",
  "In `a <think> b </think> c` the tags are code.",
  "I think <thinker> and <thoughtful> are other words, as is <unthinkable>.",
  "if (a <think> b) return;",
  "List<Thought> and Map<string, Reasoning>",
  "[think] and [reasoning] are names here",
  "Mistral's template has `[THINK]`.",
];

describe("thoughts and answers", () => {
  it.each(Object.entries(forms))("any answer × any thought is the answer alone: %s", (_, form) => {
    fc.assert(
      fc.property(thoughts, answers, (thought, answer) => {
        expect(splitThoughts(form(thought) + answer).answer).toBe(bare(form, answer));
      }),
      { numRuns: 600 },
    );
  });

  it.each(about)("a text that speaks about the tag keeps it: %s", (text) => {
    expect(splitThoughts(text)).toEqual({ answer: text, thoughts: [], kept: [{ start: 0, end: text.length }] });
    for (const [name, form] of Object.entries(forms))
      expect([name, splitThoughts(form("so `</x>` it is") + text).answer]).toEqual([name, text]);
  });

  it("a text without tags is the same text, and what is kept makes up the answer", () => {
    fc.assert(
      fc.property(answers, (text) => {
        expect(splitThoughts(text)).toEqual({ answer: text, thoughts: [], kept: [{ start: 0, end: text.length }] });
      }),
    );
    fc.assert(
      fc.property(fc.constantFrom(...Object.values(forms)), thoughts, answers, (form, thought, answer) => {
        const text = form(thought) + answer;
        const parted = splitThoughts(text);
        expect(parted.kept.map(({ start, end }) => text.slice(start, end)).join("")).toBe(parted.answer);
      }),
    );
  });

  it.each([
    ["<think>so far and no", ""],
    ["  <think>\nso far", ""],
    ["<think></think>", ""],
    ["only thoughts</think>", ""],
    ["<think>a</think>Paris</think>", "Paris"],
    ["<think>I write <think> here</think>Paris", "Paris"],
    ["<think>a <think>b</think> c</think>Paris", "Paris"],
    ["<think>I end with `</think>` soon</think>Paris", "Paris"],
    ["Paris\n<think>really?</think>\n", "Paris\n\n"],
    ["Paris\n<think>\nor is it", "Paris\n"],
    ["<think>a</think>\n<answer>Paris</answer>", "Paris"],
    ["<|begin_of_thought|>a<|end_of_thought|><|begin_of_solution|>Paris<|end_of_solution|>", "Paris"],
    ["<|channel>thought\na<channel|>Paris", "Paris"],
  ])("%j is answered by %j", (text, answer) => {
    expect(splitThoughts(text).answer).toBe(answer);
  });

  it("are found in time that does not grow with the square of the text", () => {
    for (const many of ["<think>", "</think>", "`", "<think>a</think>", "<", "[", "<think ", "\n```a\n"]) {
      const started = process.cpuUsage();
      splitThoughts(many.repeat(Math.ceil(100_000 / many.length)));
      expect(process.cpuUsage(started).user / 1000).toBeLessThan(3000);
    }
  });

  it("give no part of a thought to who hears the answer come, where a tag began it", () => {
    const opened = Object.entries(forms).filter(([name]) => name !== "a closing tag alone");
    fc.assert(
      fc.property(
        fc.constantFrom(...opened.map(([, form]) => form)),
        thoughts,
        answers,
        fc.integer({ min: 1, max: 9 }),
        (form, thought, answer, size) => {
          const text = form(thought) + answer;
          const reader = new AnswerReader();
          let heard = "";
          for (let at = 0; at < text.length; at += size) heard += reader.push(text.slice(at, at + size));
          expect(heard + reader.end()).toBe(bare(form, answer));
        },
      ),
      { numRuns: 600 },
    );
  });
});

describe("asking a model that thinks", () => {
  const context: Context = {
    path: "test",
    signal: new AbortController().signal,
    random: () => 0,
    emit: () => {},
    spend: () => {},
  };
  const saying = (parts: string[]): LanguageModel => ({
    revision: "1",
    capabilities: new Set(["logprobs"]),
    async *generate() {
      for (const text of parts) yield { text, tokens: [{ text, logprob: -1 } satisfies Token] };
    },
  });
  const request = { messages: [], maxTokens: 9, logprobs: true } as const;

  it("gives the answer and its tokens alone, and the thoughts beside it", async () => {
    expect(await ask(saying(["<thi", "nk>", "No", "</think>", "\n\nY", "es", "."]), request, context)).toMatchObject({
      text: "Yes.",
      thoughts: ["No"],
      tokens: [{ text: "Y" }, { text: "es" }, { text: "." }],
    });
  });

  it("leaves an answer without thoughts as it came", async () => {
    expect(await ask(saying([" Y", "es"]), request, context)).toMatchObject({
      text: " Yes",
      tokens: [{ text: " Y" }, { text: "es" }],
    });
  });
});
