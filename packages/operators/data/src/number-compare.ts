// public: numberCompare
import { flag, number, operator } from "@tessera/core";
import { z } from "zod";

const comparisons = {
  less: (left: number, right: number) => left < right,
  "at-most": (left: number, right: number) => left <= right,
  equal: (left: number, right: number) => left === right,
  "not-equal": (left: number, right: number) => left !== right,
  "at-least": (left: number, right: number) => left >= right,
  greater: (left: number, right: number) => left > right,
};

/** Whether `left` is less, at-most, equal, … `right`, as IEEE 754 compares them: nothing but "not-equal" holds for NaN. */
export const numberCompare = operator({
  name: "number.compare",
  version: 1,
  about: { module: "data", submodule: "number", summary: "Compares two numbers." },
  config: z.strictObject({ is: z.enum(Object.keys(comparisons) as (keyof typeof comparisons)[]) }),
  ports: { input: { left: number, right: number }, output: { holds: flag } },
  effects: "none",
  setup:
    ({ is }) =>
    ({ left, right }) => ({ holds: comparisons[is](left, right) }),
});
