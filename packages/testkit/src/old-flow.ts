// public: oldFlow
import { type AnyOperator, flow, operator, text } from "@tessera/core";
import { z } from "zod";

/**
 * The flow whose runs lie in the folder `packages/graph/src/records/fixtures/cf1deb2`, as the records of that commit left
 * them: "whole" has ended, "cut" was killed before its last step had a record. `started` hears of each step that starts.
 */
export function oldFlow(started: (path: string) => void) {
  const add = operator({
    name: "test.add",
    version: 1,
    about: { module: "data", submodule: "test", summary: "Adds a letter." },
    config: z.strictObject({ add: z.string() }),
    ports: { input: { value: text }, output: { value: text } },
    effects: "write",
    bound: () => ({ calls: 1, tokens: 5 }),
    setup:
      ({ add }) =>
      async ({ value }, { path, spend, random }) => {
        started(path);
        spend({ calls: 1, tokens: 2 });
        return { value: `${value}${add}${Math.floor(random() * 10)}` };
      },
  });
  const { document } = flow("old", { value: "text", values: { list: "text" } }, (f, { value, values }) => {
    const a = f.node("a", add({ add: "ä\n\t" }), { value });
    const each = f.each("each", add({ add: "e" }), { over: "value", max: 3 }, { value: values });
    return { each: each.value, value: f.node("last", add({ add: "l" }), { value: a.value }).value };
  });
  return { document, operators: [add] as unknown as AnyOperator[], input: { value: "v", values: ["1", "2"] } };
}
