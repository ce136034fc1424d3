import { workerData } from "node:worker_threads";
import { answerJobs, type Reading } from "@tessera/core/internal";
import { translated } from "./translate.js";
import type { Translation } from "./typescript.js";

// One thread that turns programs into JavaScript that a script can hold.

await answerJobs<string, Reading<Translation>>(() => (text) => ({ value: translated(text, workerData) }));
