import { expect, it } from "@jest/globals";
import { sharedWords } from "./shared-words.js";

it.each([
  ["how big may the payload be", "the body limit of a request", "en", []],
  ["limits of bodies", "the body limit of a request", "en", ["limits", "bodies"]],
  ["replace Ajv by joi", "Ajv is replaced here, and so is joi", "en", ["replace", "joi"]],
  ["what does maxRetries do with a-b/c.ts", "maxRetries of a-b/c.ts: max retries", "en", []],
  ["Wie baue ich einen Kern?", "den Kern übersetzen", "de", ["kern"]],
  ["更新", "更新のため", "ja", ["更新"]],
] as const)("%s | %s", (question, place, language, expected) => {
  expect(sharedWords(question, place, language)).toEqual(expected);
});
