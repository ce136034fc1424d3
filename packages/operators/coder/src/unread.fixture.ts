import { workerData } from "node:worker_threads";
import { answerJobs, messageOf, type Reading } from "@tessera/core/internal";
import { translated } from "./sandbox/translate.js";
import { functionsOf, openParser } from "./syntax.js";

// Stands in for the threads of both parsers: it fails where a text asks for it, and reads any other as they do.

await answerJobs<string, Reading<unknown>>(async () => {
  const parser = workerData.parses ? await openParser(workerData.language) : undefined;
  let damaged = false;
  return (text) => {
    if (text.includes("stand-in: loop")) for (;;);
    if (text.includes("stand-in: throw")) throw new Error("out of bounds");
    if (text.includes("stand-in: damage")) {
      damaged = true;
      return { unread: "broken", detail: "its stack ran out" };
    }
    if (damaged) return { value: parser ? [] : { error: "nonsense" } };
    try {
      return { value: parser ? functionsOf(parser, text) : translated(text, workerData.language) };
    } catch (error) {
      return { unread: "broken", detail: messageOf(error) };
    }
  };
});
