import assert from "node:assert/strict";
import { test } from "node:test";
import { answer } from "./flow.js";

test("the flow answers from passages with the label alone", async () => {
  const passages = [
    { id: "a", text: "The ferry leaves at noon.", metadata: { label: "public" } },
    { id: "b", text: "The ferry leaves at dawn for the crew.", metadata: { label: "internal" } },
  ];
  const text = await answer(passages, "when does the ferry leave?");
  assert.match(text, /noon/);
  assert.doesNotMatch(text, /dawn/);
});
