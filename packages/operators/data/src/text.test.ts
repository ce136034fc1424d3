import { describe, expect, it } from "@jest/globals";
import { first, flow, value } from "@tessera/core";
import { processorTimer, runOperator, testOperator } from "@tessera/testkit";
import fc from "fast-check";
import { textMatch } from "./text-match.js";
import { textTemplate } from "./text-template.js";

testOperator(textTemplate, {
  cases: [
    {
      name: "fills places, more than once too",
      config: { template: "{a}-{b}-{a}" },
      input: { a: "1", b: "2" },
      output: { text: "1-2-1" },
    },
    {
      name: "joins lists",
      config: { template: "Q: {question}\n{notes[]}", separator: "; " },
      input: { question: "why", notes: ["x", "y"] },
      output: { text: "Q: why\nx; y" },
    },
    {
      name: "writes braces, and never reads a value again",
      config: { template: '{{"q": {a}}}' },
      input: { a: "{b} }} $& $1" },
      output: { text: '{"q": {b} }} $& $1}' },
    },
    { name: "needs no place", config: { template: "constant" }, input: {}, output: { text: "constant" } },
    {
      name: "has no names that objects have",
      config: { template: "{constructor} {toString}" },
      input: { constructor: "c", toString: "t" },
      output: { text: "c t" },
    },
  ],
});

testOperator(textMatch, {
  cases: [
    {
      name: "captures the rest of the line",
      config: { pattern: "the answer is {answer}" },
      input: { text: "Let me think.\nSo the Answer is  42. \nBye" },
      output: { matched: true, answer: "42." },
    },
    {
      name: "captures the shortest between two literals",
      config: { pattern: "[{kind}: {value}]" },
      input: { text: "see [a: b: c] and [d: e]" },
      output: { matched: true, kind: "a", value: "b: c" },
    },
    {
      name: "takes the first pattern that matches",
      config: { pattern: ["answer: {answer}", "answer is {answer}"] },
      input: { text: "the answer is 1\nanswer: 2" },
      output: { matched: true, answer: "2" },
    },
    {
      name: "skips the captures where nothing matches",
      config: { pattern: "Follow up: {question}" },
      input: { text: "none" },
      output: { matched: false },
    },
    {
      name: "stays in its line",
      config: { pattern: "<{a}>" },
      input: { text: "<x\n>" },
      output: { matched: false },
    },
    {
      name: "runs over lines where it may",
      config: { pattern: "```{code}```", within: "text" },
      input: { text: "a\n```\nx\ny\n```" },
      output: { matched: true, code: "x\ny" },
    },
    {
      name: "a literal alone is a test",
      config: { pattern: "STOP", caseSensitive: true },
      input: { text: "stop" },
      output: { matched: false },
    },
    {
      name: "letters whose lower case is longer keep their place",
      config: { pattern: "İx {a}." },
      input: { text: "İİx 1. 2" },
      output: { matched: true, a: "1" },
    },
  ],
});

describe("text.template", () => {
  it.each(["{", "}", "{a", "a}", "{a b}", "{}", "{1}", "{a.b}", "{a[]", "{a} {a[]}", "{{a}"])(
    "refuses %j",
    (template) => {
      expect(textTemplate.config.safeParse({ template }).success).toBe(false);
    },
  );

  it("has a port for each place, also in TypeScript", () => {
    flow("typed", { query: "text", notes: { list: "text" }, found: "hits" }, (f, { query, notes, found }) => {
      const { text } = f.node("t", textTemplate({ template: "{{x}} {query}: {notes[]}" }), { query, notes });
      // @ts-expect-error "notes" is not fed
      f.node("a", textTemplate({ template: "{query}: {notes[]}" }), { query });
      // @ts-expect-error there is no place "question"
      f.node("b", textTemplate({ template: "{query}" }), { query, question: query });
      // @ts-expect-error hits are no text
      f.node("c", textTemplate({ template: "{query}" }), { query: found });
      // @ts-expect-error one text is no list
      f.node("d", textTemplate({ template: "{notes[]}" }), { notes: query });
      return { text };
    });
  });

  it("any values come out as they went in", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string(), fc.string(), async (a, b) => {
        const { text } = await runOperator(textTemplate, { template: "<{a}|{b}>" }, { a, b });
        expect(text).toBe(`<${a}|${b}>`);
      }),
    );
  });
});

describe("text.match", () => {
  it.each(["", "{a}{b}", "{a} {a}", "{a[]}", "{matched}", "{a", []])("refuses the pattern %j", (pattern) => {
    expect(textMatch.config.safeParse({ pattern }).success).toBe(false);
  });

  it("reads what the same template wrote", async () => {
    const word = fc.stringMatching(/^[a-z0-9]([a-z0-9 ]{0,8}[a-z0-9])?$/);
    await fc.assert(
      fc.asyncProperty(word, word, word, async (a, b, before) => {
        const template = "<{a}|{b}>";
        const { text } = await runOperator(textTemplate, { template }, { a, b });
        expect(await runOperator(textMatch, { pattern: template }, { text: before + text })).toEqual({
          matched: true,
          a,
          b,
        });
      }),
    );
  });

  it("agrees with a backtracking twin on short texts", async () => {
    const escaped = (literal: string) => literal.replace(/[|]/g, "\\|");
    await fc.assert(
      fc.asyncProperty(
        fc.stringMatching(/^[ab|]{0,12}$/),
        fc.constantFrom("a{x}b", "{x}|", "b{x}", "a{x}|{y}b"),
        async (text, pattern) => {
          const twin = new RegExp(
            `${escaped(pattern)
              .replace(/\{(\w)\}(?=.)/g, "(?<$1>.*?)")
              .replace(/\{(\w)\}$/, "(?<$1>.*)")}`,
          );
          const found = twin.exec(text);
          expect(await runOperator(textMatch, { pattern, caseSensitive: true }, { text })).toEqual(
            found ? { matched: true, ...found.groups } : { matched: false },
          );
        },
      ),
      { numRuns: 500 },
    );
  });

  it("takes linear time where a regular expression would take exponential time", async () => {
    const pattern = Array.from({ length: 200 }, (_, i) => `a{c${i}}`).join("");
    const spent = processorTimer();
    const { matched } = await runOperator(
      textMatch,
      { pattern: `${pattern}b`, within: "text" },
      { text: "a".repeat(1_000_000) },
    );
    expect(matched).toBe(false);
    expect(spent()).toBeLessThan(1000);
  });

  it("its captures are optional texts, also in TypeScript", () => {
    flow("typed", { query: "text" }, (f, { query }) => {
      const found = f.node("m", textMatch({ pattern: ["{a} is {b}", "{a}: {c}"] }), { text: query });
      // @ts-expect-error there is no capture "d"
      f.node("x", textTemplate({ template: "{d}" }), { d: found.d });
      return { a: first(found.a, found.b, found.c, value("none")), matched: found.matched };
    });
  });
});
