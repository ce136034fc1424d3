import { describe, expect, it } from "@jest/globals";
import { normalQuery } from "@tessera/core/internal";
import fc from "fast-check";
import { readJson, readList, readOne } from "./lines.js";

const wanted = ["how do retries back off", "where is the retry delay set"];

describe("reading lists out of answers", () => {
  it.each([
    ["1. timetable [2024]\n2. opening hours", ["timetable [2024]", "opening hours"]],
    ["Queries for [ferries]:\n\n1. timetable [2024]\n2. hours {new}", ["timetable [2024]", "hours {new}"]],
    ["* what does rows[0] hold\n* what is {a: 1}", ["what does rows[0] hold", "what is {a: 1}"]],
    ['Notes [1] and [2024], then:\n["timetable", "opening hours"]', ["timetable", "opening hours"]],
    ['```json\n{"queries": ["timetable [2024]", "hours"]}\n```', ["timetable [2024]", "hours"]],
    ['- [ ] timetable\n- [x] ["hours"]', ["timetable", '["hours"]']],
    ["timetable [2024]\nopening hours", ["timetable [2024]", "opening hours"]],
    ["1、時刻表 [2024]\n2、営業時間", ["時刻表 [2024]", "営業時間"]],
    ["1. timetable\r2. hours", ["timetable", "hours"]],
  ])("a bracket in a line is part of the line: %j", (answer, wanted) => {
    expect(readList(answer)).toEqual(wanted);
  });

  it.each([
    ["numbered", "1. how do retries back off\n2. where is the retry delay set"],
    ["in parentheses, with blank lines", "(1) how do retries back off\n\n(2) where is the retry delay set\n"],
    ["bulleted, quoted", '- "how do retries back off"\n* “where is the retry delay set”'],
    [
      "with words around it",
      "Sure! Here are two:\n1) how do retries back off\n2) where is the retry delay set\n\nHope it helps!",
    ],
    ["labelled", "Query 1: how do retries back off\nQuery 2: where is the retry delay set"],
    ["plain lines after an introduction", "Here you are:\nhow do retries back off\nwhere is the retry delay set"],
    ["JSON", '["how do retries back off", "where is the retry delay set"]'],
    ["JSON in a code fence", 'Of course:\n```json\n["how do retries back off",\n "where is the retry delay set"]\n```'],
    ["a JSON object", '{"queries": ["how do retries back off", "where is the retry delay set"]}'],
    ["JSON objects", '[{"query": "how do retries back off"}, {"query": "where is the retry delay set"}]'],
    ["repeated", "1. how do retries back off\n2. How do retries back off?\n3. where is the retry delay set"],
    ["emphasised", "1. **how do retries back off**\n2. `where is the retry delay set`"],
  ])("%s", (_, answer) => {
    expect(readList(answer)).toEqual(wanted);
  });

  it.each(["", "   \n\n", "[]", "{}", "```\n```", '"""', "1.", "- \n- "])("nothing out of %j", (answer) => {
    expect(readList(answer)).toEqual([]);
  });

  it("keeps apart what differs by a sign only", () => {
    expect(readList("- what is C++\n- what is C#\n- what is C")).toHaveLength(3);
  });

  it("drops a line that is no query but an essay", () => {
    expect(readList(`- short\n- ${"x".repeat(2000)}`)).toEqual(["short"]);
  });

  it("never throws, never repeats, and ends soon, whatever it is given", () => {
    const noise = fc.string({
      unit: fc.constantFrom("[", "]", "{", "}", '"', "'", "*", "`", "\n", "1", ".", " ", "a", ":", "-"),
    });
    fc.assert(
      fc.property(noise, (answer) => {
        const list = readList(answer);
        expect(new Set(list.map(normalQuery)).size).toBe(list.length);
        readOne(answer);
        readJson(answer);
      }),
    );
    const started = performance.now();
    readList(`${"'".repeat(20_000)}a`);
    readOne("*".repeat(20_000));
    expect(performance.now() - started).toBeLessThan(2000);
  });
});

describe("reading one text out of an answer", () => {
  it.each([
    ["plain words", "plain words"],
    ['"quoted words"', "quoted words"],
    ["Rewritten query: quoted words", "quoted words"],
    ["```\nfenced words\n```", "fenced words"],
    ["the words\n\nI chose them because …", "the words"],
    ["two\nlines", "two lines"],
    ["", ""],
  ])("%j", (answer, expected) => {
    expect(readOne(answer)).toBe(expected);
  });
});
