import { workerData } from "node:worker_threads";
import { answerJobs, messageOf, type Reading } from "@tessera/core/internal";
import { type Definition, definitionsIn } from "./definitions.js";
import { openParser } from "./syntax.js";

// One thread that finds what is defined in files of one language.

await answerJobs<string, Reading<Definition[]>>(async () => {
  const parser = await openParser(workerData);
  return (text) => {
    try {
      const tree = parser.parse(text)!;
      try {
        return { value: definitionsIn(tree.rootNode) };
      } finally {
        tree.delete();
      }
    } catch (error) {
      return { unread: "broken", detail: messageOf(error) };
    }
  };
});
