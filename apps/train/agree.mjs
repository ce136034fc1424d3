// compares the tokenizer of packages/models with Python's, line by line: node agree.mjs FILE (of `python tokenizer.py lines`)
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { readTokenizer } from "@tessera/models/internal";

const [file] = process.argv.slice(2);
if (!file) throw new Error("usage: node agree.mjs FILE");
const tokenizer = await readTokenizer(
  fileURLToPath(new URL("../../packages/models/tokenizer/tokenizer.json", import.meta.url)),
);
let lines = 0;
let characters = 0;
let seconds = 0;
const different = [];
for await (const line of createInterface({ input: createReadStream(file) })) {
  const { text, ids } = JSON.parse(line);
  const started = performance.now();
  const found = tokenizer.encode(text);
  seconds += (performance.now() - started) / 1000;
  lines++;
  characters += text.length;
  if (found.length !== ids.length || found.some((id, i) => id !== ids[i])) different.push(text);
}
const speed = (characters / 1e6 / seconds).toFixed(1);
console.log(`${lines - different.length} of ${lines} lines agree; ${speed} million characters a second`);
for (const text of different.slice(0, 10)) console.log(JSON.stringify(text));
if (different.length > 0 || lines === 0) process.exitCode = 1;
