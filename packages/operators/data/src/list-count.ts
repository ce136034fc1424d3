// public: listCount
import { flag, number, operator } from "@tessera/core";
import { z } from "zod";

/** The number of elements, and whether there is none: for a comparison, a `when` or the end of a loop. */
export const listCount = operator({
  name: "list.count",
  version: 1,
  about: { module: "data", submodule: "list", summary: "Counts the elements of a list." },
  config: z.strictObject({}),
  ports: { input: { list: z.array(z.any()) }, output: { count: number, empty: flag } },
  effects: "none",
  setup:
    () =>
    ({ list }) => ({ count: list.length, empty: list.length === 0 }),
});
