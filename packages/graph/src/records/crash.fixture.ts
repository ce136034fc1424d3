// the child process of records.test.ts; runs a slow flow with records on disk until it is killed
import { appendFileSync } from "node:fs";
import { flow, operator, text } from "@tessera/core";
import { z } from "zod";
import { compile } from "../compile.js";
import type { CompiledFlow } from "../compiled.js";
import { diskRecords } from "./disk.js";

/** A flow with a step, an `each`, a `repeat` and a nested flow; every step that runs is noted in a file. */
export async function crashFlow(folder: string, ms: number): Promise<CompiledFlow> {
  const slow = operator({
    name: "test.slow",
    version: 1,
    about: { module: "data", submodule: "test", summary: "Takes its time." },
    config: z.strictObject({ add: z.string() }),
    ports: { input: { value: text }, output: { value: text } },
    effects: "write",
    setup:
      ({ add }) =>
      async ({ value }, { path, random }) => {
        await new Promise((resolve) => setTimeout(resolve, ms));
        appendFileSync(`${folder}/ran`, `${path}\n`);
        return { value: `${value}${add}${Math.floor(random() * 10)}` };
      },
  });
  const join = operator({
    name: "test.join",
    version: 1,
    about: { module: "data", submodule: "test", summary: "Joins." },
    config: z.strictObject({}),
    ports: { input: { values: z.array(text) }, output: { value: text } },
    setup:
      () =>
      ({ values }) => ({ value: values.join("") }),
  });
  const inner = flow("inner", { value: "text" }, (f, input) => {
    const a = f.node("a", slow({ add: "a" }), input);
    return { value: f.node("b", slow({ add: "b" }), { value: a.value }).value };
  });
  const graph = flow("crash", { value: "text", values: { list: "text" } }, (f, { value, values }) => {
    const step = f.node("step", slow({ add: "s" }), { value });
    const each = f.each("each", slow({ add: "e" }), { over: "value", max: 9, concurrency: 2 }, { value: values });
    const repeat = f.repeat("repeat", slow({ add: "r" }), { carry: { value: "value" }, max: 3 }, { value: step.value });
    const nested = f.node("nested", inner, { value: step.value });
    const elements = f.node("elements", join(), { values: each.value });
    return { value: f.node("end", join(), { values: [elements.value, repeat.value, nested.value] }).value };
  });
  return compile(graph.document, { operators: [slow, join], records: diskRecords(`${folder}/records`) });
}

export const crashInput = { value: "v", values: ["1", "2", "3", "4"] };

if (process.argv[2] === "crash") {
  const ready = await crashFlow(process.argv[3]!, 15);
  await ready.run(crashInput, { id: "run", seed: 7 });
}
