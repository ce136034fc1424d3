import { describe, expect, it } from "@jest/globals";
import { type AnyOperator, flow, operator, text } from "@tessera/core";
import { z } from "zod";
import { compile } from "./compile.js";
import { memoryRecords } from "./records/memory.js";

describe("a principal that is called as one of its groups", () => {
  const free = operator({
    name: "test.free",
    version: 1,
    about: { module: "data", submodule: "test", summary: "Gives its input." },
    config: z.strictObject({}),
    ports: { input: { value: text }, output: { value: text } },
    setup: () => (input) => input,
  });
  const graph = flow("f", { value: "text" }, (f, input) => ({ value: f.node("a", free(), input).value }));
  const odd = Object.defineProperty({ id: "ann" }, "groups", { get: () => JSON.parse("no list") });

  it.each([
    [{ id: "staff", groups: ["all", "staff"] }, '"staff" would be a principal and a group'],
    [odd as unknown as { id: string }, expect.stringContaining("JSON")],
  ])("is refused by every way to begin a run", async (principal, message) => {
    const ready = await compile(graph.document, {
      operators: [free] as unknown as AnyOperator[],
      records: memoryRecords(),
    });
    const refused = expect.objectContaining({ name: "TesseraError", message });
    await expect(ready.run({ value: "v" }, { principal })).rejects.toEqual(refused);
    await expect(ready.stream({ value: "v" }, { principal }).result).rejects.toEqual(refused);
    await expect(ready.launch({ value: "v" }, { principal }).result).rejects.toEqual(refused);
    const { output } = await ready.run({ value: "v" }, { principal: { id: "ann", groups: ["staff", "all"] } });
    expect(output).toEqual({ value: "v" });
  });
});
