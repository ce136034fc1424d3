// runs a small flow and prints the heap, in bytes, ten times, after so many runs each: node --expose-gc … soak.fixture.ts RUNS [keeps]
import { flow, operator, text } from "@tessera/core";
import { z } from "zod";
import { createTessera } from "./create.js";

const echo = operator({
  name: "test.echo",
  version: 1,
  about: { module: "data", submodule: "test", summary: "Gives back its text." },
  config: z.strictObject({}),
  ports: { input: { value: text }, output: { value: text } },
  setup:
    () =>
    ({ value }) => {
      if (value === "fail") throw new Error("asked to");
      return { value };
    },
});
const small = flow("small", { value: "text" }, (f, input) => {
  const once = f.node("once", echo(), input);
  const again = f.node("again", echo(), { value: once.value });
  return { value: f.node("last", echo(), { value: again.value }).value };
});

const tessera = await createTessera({ flows: { small }, operators: [echo] }).start();
const { signal } = new AbortController(); // one that outlives every run, as a service's own does

const kept: object[] | undefined = process.argv[3] === "keeps" ? [] : undefined; // a leak, for the test of the measure

/** One run in ten fails, and one is a stream that is left at once. */
async function run(number: number): Promise<unknown> {
  kept?.push({ number });
  if (number % 10 === 8) return tessera.run("small", { value: "fail" }, { signal }).catch(() => {});
  if (number % 10 !== 9) return tessera.run("small", { value: "v" }, number % 2 === 0 ? { signal } : undefined);
  const stream = await tessera.stream("small", { value: "v" }, { signal });
  for await (const _ of stream) break;
  return stream.result.catch(() => {});
}

const collect = (globalThis as { gc?: () => void }).gc!;
const each = Number(process.argv[2]) / 100;
for (let hundreds = 0; hundreds < 10 * each; hundreds++) {
  await Promise.all(Array.from({ length: 100 }, (_, index) => run(hundreds * 100 + index)));
  if ((hundreds + 1) % each !== 0) continue;
  await new Promise((resolve) => setTimeout(resolve, 5));
  for (let i = 0; i < 3; i++) collect();
  console.log(process.memoryUsage().heapUsed);
}
await tessera.close();
