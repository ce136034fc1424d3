// public: threshold
import { type Hit, hits, number, operator, type Ports } from "@tessera/core";
import { type Piece, typed } from "@tessera/core/internal";
import { z } from "zod";
import { choiceOf } from "./choices.js";

const specification = operator({
  name: "router.threshold",
  version: 1,
  about: {
    module: "orchestration",
    submodule: "routing",
    paper: "Modular RAG, algorithm 2, equation 26; CRAG (Yan et al. 2024)",
    summary: "Chooses by where a number, or the best score of hits, lies between thresholds.",
  },
  config: z
    .strictObject({
      /** From the lowest values to the highest. */
      choices: z.array(z.string().min(1)).min(2),
      /** One fewer than choices, rising; a value that equals a cut belongs above it. */
      cuts: z.array(z.number()).min(1),
      of: z.enum(["value", "hits"]).default("value"),
    })
    .refine(({ choices, cuts }) => cuts.length === choices.length - 1, "one cut stands between two choices")
    .refine(({ cuts }) => cuts.every((cut, i) => i === 0 || cut > cuts[i - 1]!), "cuts must rise"),
  ports: ({ choices, of }) => ({
    input: (of === "value" ? { value: number } : { hits }) as Ports,
    output: { choice: choiceOf(...choices) },
  }),
  effects: "none",
  setup:
    ({ choices, cuts, of }) =>
    (input) => {
      const { value, hits: found } = input as { value: number; hits: Hit[] };
      const measured = of === "value" ? value : Math.max(Number.NEGATIVE_INFINITY, ...found.map(({ score }) => score));
      return { choice: choices[cuts.filter((cut) => measured >= cut).length]! };
    },
});

/**
 * Chooses by thresholds: with choices [c0, c1, …] and rising cuts [t1, …], the choice is the last c_i with t_i ≤ value.
 * `of: "hits"` takes the best score of hits; no hits are below every cut.
 */
export const threshold =
  typed<
    <const C extends string, const S extends "value" | "hits" = "value">(config: {
      choices: readonly C[];
      cuts: readonly number[];
      of?: S;
    }) => Piece<S extends "hits" ? { hits: Hit[] } : { value: number }, { choice: C }>
  >(specification);
