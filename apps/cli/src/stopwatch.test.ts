import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "@jest/globals";
import type { Delta, LanguageModel } from "@tessera/core";
import { Stopwatch } from "./stopwatch.js";

const slow = (waits: number): LanguageModel => ({
  revision: "slow",
  capabilities: new Set(),
  async *generate(): AsyncIterable<Delta> {
    for (const text of ["one", "two"]) {
      await sleep(waits);
      yield { text };
    }
  },
});

it("keeps the model's own time apart: whole calls before the answer, and of the answer its beginning", async () => {
  const watch = new Stopwatch();
  watch.opened();
  const model = watch.watched(slow(40));
  for await (const _ of model.generate({ messages: [], maxTokens: 9 })); // a call before, of 80
  for await (const _ of model.generate({ messages: [], maxTokens: 9 })) watch.shown(); // 40 until the first part
  const { start, open, search, model: its, firstWord, ours, processor, total } = watch.times;
  expect(its).toBeGreaterThanOrEqual(115); // timers may be a millisecond early
  expect(ours).toBeCloseTo(firstWord - its, 6);
  expect(start + open + search).toBeCloseTo(ours, 6);
  expect(total - firstWord).toBeGreaterThanOrEqual(35);
  expect(processor).toBeGreaterThan(0);
});
