// internal
import { parentPort, workerData } from "node:worker_threads";
import { messageOf, TesseraError } from "@tessera/core";
import { ragged } from "./engine.js";
import { parseTokenizer, type Tokenizer } from "./tokenizer.js";
import type { TokenizerJob, TokenizerReply, TokenizerSettings } from "./tokenizer-threads.js";

// One thread of TokenizerThreads.

const { document, path } = workerData as TokenizerSettings;
const port = parentPort!;
let tokenizer: Tokenizer | undefined;

port.on("message", ({ texts, most }: TokenizerJob) => {
  try {
    const ready = tokenizer ?? parseTokenizer(document, path);
    tokenizer = ready;
    const batch = ragged(texts.map((text) => ready.encode(text, most)));
    const reply: TokenizerReply = { kind: "ids", batch };
    port.postMessage(reply, [batch.ids.buffer, batch.offsets.buffer] as ArrayBuffer[]);
  } catch (error) {
    const code = TesseraError.is(error) && error.code === "BAD_BUNDLE" ? "BAD_BUNDLE" : "MODEL_FAILED";
    port.postMessage({ kind: "failed", code, message: messageOf(error) } satisfies TokenizerReply);
  }
});
