import assert from "node:assert/strict";
import { PassThrough, Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { chat } from "./chat.js";

test("each question is answered from the folder", async () => {
  const output = new PassThrough();
  const written = text(output);
  await chat("docs", Readable.from(["when does the ferry leave?\n", "how do bicycles travel?\n"]), output);
  output.end();
  assert.match(await written, /leaves at noon[\s\S]*free of charge/);
});
