import { workerData } from "node:worker_threads";
import { answerJobs, messageOf, type Reading } from "@tessera/core/internal";
import { type FunctionDefinition, functionsOf, openParser } from "./syntax.js";

// One thread that takes programs of one language apart.

await answerJobs<string, Reading<FunctionDefinition[]>>(async () => {
  const parser = await openParser(workerData);
  return (text) => {
    try {
      return { value: functionsOf(parser, text) };
    } catch (error) {
      return { unread: "broken", detail: messageOf(error) };
    }
  };
});
