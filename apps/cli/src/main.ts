#!/usr/bin/env node
import { commandLine } from "./command-line.js";

const stop = new AbortController();
process.once("SIGINT", () => stop.abort(new Error("interrupted")));
// a reader that has had enough, as in `| head`, is no failure
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

process.exitCode = await commandLine({
  words: process.argv.slice(2),
  out: process.stdout,
  err: process.stderr,
  signal: stop.signal,
});
