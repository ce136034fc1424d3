import type { Completion } from "@tessera/core/internal";
import { complete } from "@tessera/core/internal";
import { openLlamaCppModel } from "./llama-cpp-language-model.js";

// `node answers.fixture.ts FILE REQUESTS`: the answers to a JSON list of requests, as JSON. In jest what a native library
// makes is of another realm, and node-llama-cpp tells lists by `instanceof Array`.
const [file, requests] = process.argv.slice(2) as [string, string];
const model = await openLlamaCppModel({ file, threads: 1, sequences: 1 });
const answers: Completion[] = [];
for (const request of JSON.parse(requests)) answers.push(await complete(model, request));
await model.close();
process.stdout.write(JSON.stringify(answers));
