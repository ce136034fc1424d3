// public: support
import { operator, type Passage } from "@tessera/core";
import { words } from "@tessera/text";
import { z } from "zod";
import { Question, weigh } from "./coverage.js";
import { sentencesOf } from "./sentences.js";
import { type Checked, evidenceFor, ports, summarise } from "./verdict.js";

const denial = /\b(?:not|never|no|none|nobody|nothing|neither|nor|without|cannot)\b|n't\b/i;
const numbers = (text: string): string[] => words(text).filter((word) => /^\d+$/.test(word));

/** The best window of two sentences of a passage for a claim: the share it covers, and its text. */
function windowOf(claim: Question, { title = "", text }: Passage): { share: number; text: string } {
  const weights = claim.weights([]);
  const sentences = sentencesOf(text);
  let best = { share: 0, text: "" };
  for (const [index, sentence] of sentences.entries()) {
    const window = `${title} ${sentence} ${sentences[index + 1] ?? ""}`;
    const share = weigh(claim.in(window), weights);
    if (share > best.share) best = { share, text: window };
  }
  return best;
}

/**
 * Verification without a model, and no more than that: a claim is "supported" where two neighbouring sentences of a
 * passage hold at least `least` of its stems, and all its numbers; "refuted" where they do but for a number, or but for
 * a denial that stands in one of the two alone; and else "insufficient". It reads words, not meanings.
 * The score is the share of stems, less half for such a contradiction.
 */
export const support = operator({
  name: "generator.support",
  version: 2,
  about: {
    module: "generation",
    submodule: "verification",
    paper: "Modular RAG, operator 29, equation 17",
    summary: "Checks claims against passages by their words, without a model.",
  },
  config: z.strictObject({
    /** The share of a claim's stems that its evidence must hold. */
    least: z.number().min(0).max(1).default(0.75),
    /** The most passages that a claim is checked against. */
    passages: z.int().positive().default(3),
  }),
  ports,
  effects: "none",
  setup:
    ({ least, passages: count }) =>
    ({ claims, hits = [], evidence }) =>
      summarise(
        claims.map((claim, index): Checked => {
          const question = new Question(claim);
          let best: Checked = { claim, verdict: "insufficient", evidence: [], score: 0 };
          for (const passage of evidenceFor(claim, evidence?.[index] ?? hits, count)) {
            const { share, text } = windowOf(question, passage);
            const known = new Set(numbers(text));
            const contradicts =
              numbers(claim).some((number) => !known.has(number)) || denial.test(claim) !== denial.test(text);
            const score = contradicts ? share / 2 : share;
            if (score <= best.score) continue;
            const verdict = share < least ? "insufficient" : contradicts ? "refuted" : "supported";
            best = { claim, verdict, evidence: verdict === "insufficient" ? [] : [passage.id], score };
          }
          return best;
        }),
      ),
});
