import { workerData } from "node:worker_threads";
import type { Reading } from "./reading.js";
import { answerJobs } from "./thread.js";

// A parser for the tests, which fails on demand: it loops, throws, ends, takes all memory, or is damaged for good.

await answerJobs<string, Reading<string>>(() => {
  let damaged = false;
  return (text) => {
    if (text === "loop") for (;;);
    if (text === "throw") throw new Error("out of bounds");
    if (text === "end") process.exit(3);
    if (text === "fill") for (const kept: string[][] = []; ; ) kept.push(Array.from({ length: 100_000 }, String));
    if (text === "damage") {
      damaged = true;
      return { unread: "broken", detail: "its stack ran out" };
    }
    return { value: damaged ? "nonsense" : `${workerData} ${text}` };
  };
});
