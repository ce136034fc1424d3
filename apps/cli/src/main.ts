#!/usr/bin/env node
import { fileURLToPath } from "node:url";
import { runShort, wordsOf } from "./long-words.js";

const given = process.argv.slice(2);
const elsewhere = runShort(fileURLToPath(import.meta.url), given);
if (elsewhere) process.exit(await elsewhere);

const { commandLine } = await import("./command-line.js");
const stop = new AbortController();
process.once("SIGINT", () => stop.abort(new Error("interrupted")));
// a reader that has had enough, as in `| head`, is no failure
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

process.exitCode = await commandLine({
  words: wordsOf(given),
  out: process.stdout,
  err: process.stderr,
  signal: stop.signal,
});
