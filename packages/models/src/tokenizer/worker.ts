import { workerData } from "node:worker_threads";
import { answerJobs } from "@tessera/core/internal";
import { type Ragged, ragged } from "../engines/engine.js";
import type { TokenizerJob, TokenizerSettings } from "./threads.js";
import { parseTokenizer } from "./tokenizer.js";

// One thread of TokenizerThreads.

const { document, path } = workerData as TokenizerSettings;

await answerJobs<TokenizerJob, Ragged>(
  () => {
    const tokenizer = parseTokenizer(document, path);
    return ({ texts, most }) => ragged(texts.map((text) => tokenizer.encode(text, most)));
  },
  ({ ids, offsets }) => [ids.buffer, offsets.buffer] as ArrayBuffer[],
);
