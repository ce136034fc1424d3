// public: vote
import { answer, hits, number, operator, TesseraError } from "@tessera/core";
import { z } from "zod";
import { lambdas } from "./lambda.js";
import { vote as count } from "./votes.js";

/**
 * Weighted ensemble of answers: each was made from one of the hits, in their order; equal answers (without case,
 * punctuation, articles and markers) add up their weights, and the heaviest wins. The weight of an answer is
 * λ(d, q) · exp(mean log-probability of its tokens), with λ = softmax of the hits' scores (equations 23 and 24), or with
 * `weights: "similarity"` the score itself, as REPLUG's own script for question answering has it. Without
 * log-probabilities λ alone counts. Refusals, and places that a failing branch left `null`, have no vote.
 * @throws TesseraError BAD_VALUE where answers, hits and log-probabilities are not equally many.
 */
export const vote = operator({
  name: "fuser.vote",
  version: 2,
  about: {
    module: "orchestration",
    submodule: "fusion",
    paper: "Modular RAG, operator 38, equations 23-24; REPLUG (Shi et al. 2023)",
    summary: "Chooses among answers by their summed weights.",
  },
  config: z.strictObject({
    weights: z.enum(["softmax", "similarity"]).default("softmax"),
    temperature: z.number().positive().default(1),
  }),
  ports: {
    input: {
      /** `null` stands where a branch failed. */
      answers: z.array(answer.nullable()),
      hits,
      /** The mean log-probability of each answer's tokens. */
      logprobs: z.array(number.nullable()).optional(),
    },
    output: { answer, share: number },
  },
  effects: "none",
  setup:
    ({ weights, temperature }) =>
    ({ answers, hits: found, logprobs }) => {
      if (answers.length !== found.length || (logprobs && logprobs.length !== answers.length))
        throw new TesseraError("BAD_VALUE", `${answers.length} answers came from ${found.length} hits`);
      const scale = weights === "softmax" ? lambdas(found, temperature) : found.map(({ score }) => Math.max(0, score));
      const votes = answers.flatMap((member, index) => {
        if (!member || member.refused) return [];
        return [{ member, weight: scale[index]! * Math.exp(logprobs?.[index] ?? 0) }];
      });
      if (votes.length === 0)
        return { answer: answers.find((member) => member) ?? { text: "", citations: [], refused: true }, share: 0 };
      const { winner, share } = count(
        votes.map(({ member }) => member.text),
        votes.map(({ weight }) => weight),
      );
      return { answer: votes[winner]!.member, share };
    },
});
