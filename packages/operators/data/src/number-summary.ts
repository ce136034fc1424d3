// public: numberSummary
import { number, operator } from "@tessera/core";
import { z } from "zod";

/** The mean, the least and the most of a list of numbers, and how many there are; of none all are 0. */
export const numberSummary = operator({
  name: "number.summary",
  version: 1,
  about: { module: "data", submodule: "number", summary: "Gives the mean, the least and the most of numbers." },
  config: z.strictObject({}),
  ports: { input: { list: z.array(number) }, output: { mean: number, least: number, most: number, count: number } },
  effects: "none",
  setup:
    () =>
    ({ list }) => {
      const count = list.length;
      if (count === 0) return { mean: 0, least: 0, most: 0, count };
      const sum = list.reduce((total, value) => total + value, 0);
      return { mean: sum / count, least: Math.min(...list), most: Math.max(...list), count };
    },
});
