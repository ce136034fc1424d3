import { workerData } from "node:worker_threads";
import { answerJobs, type Reading } from "@tessera/core/internal";
import type { Translation } from "./typescript.js";

// One thread that turns programs into JavaScript that a script can hold.

await answerJobs<string, Reading<Translation>>(async () => {
  const { translated } = await import("./translate.js");
  return (text) => ({ value: translated(text, workerData) });
});
