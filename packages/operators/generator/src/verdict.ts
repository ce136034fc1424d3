import { flag, type Hit, hits, number, type Passage, text } from "@tessera/core";
import { z } from "zod";
import { Question, weigh } from "./coverage.js";

export const verdicts = ["supported", "refuted", "insufficient"] as const;
export type Verdict = (typeof verdicts)[number];

/** A claim with what was found about it (equation 17 and erratum E16). */
const checked = z.object({
  claim: z.string(),
  verdict: z.enum(verdicts),
  /** The ids of the passages that decide. */
  evidence: z.array(z.string()),
  /** How well the evidence supports it, from 0 to 1. */
  score: z.number(),
});
export type Checked = z.infer<typeof checked>;

/** The ports of every operator that checks claims, so that one can stand in for another. */
export const ports = {
  input: {
    claims: z.array(text),
    /** The evidence for all claims. */
    hits: hits.optional(),
    /** The evidence for each claim, in their order: what an `each` over the claims retrieved. */
    evidence: z.array(hits).optional(),
  },
  output: {
    verdict: z.enum(verdicts),
    supported: flag,
    /** The mean score of the claims; 0 where nothing is claimed. */
    score: number,
    claims: z.array(checked),
    /** The claims that are not supported, as a text for the one who writes the next answer; empty where all are. */
    feedback: text,
  },
};

/** The passages for a claim: those that cover it best, each once. */
export function evidenceFor(claim: string, given: readonly Hit[], count: number): Passage[] {
  const question = new Question(claim);
  const passages = [...new Map(given.map(({ passage }) => [passage.id, passage])).values()];
  const held = passages.map((passage) => question.in(`${passage.title ?? ""}\n${passage.text}`));
  const weights = question.weights(held);
  return passages
    .map((passage, index) => ({ passage, index, weight: weigh(held[index]!, weights) }))
    .sort((a, b) => b.weight - a.weight || a.index - b.index)
    .slice(0, count)
    .map(({ passage }) => passage);
}

/** The verdict on all: refuted where one claim is, supported where every one is. Nothing claimed is nothing supported. */
export function summarise(claims: Checked[]) {
  const verdict: Verdict = claims.some((claim) => claim.verdict === "refuted")
    ? "refuted"
    : claims.length > 0 && claims.every((claim) => claim.verdict === "supported")
      ? "supported"
      : "insufficient";
  const feedback = claims
    .filter((claim) => claim.verdict !== "supported")
    .map((claim) => `${claim.verdict === "refuted" ? "Wrong by the passages" : "Not in the passages"}: ${claim.claim}`)
    .join("\n");
  const score = claims.reduce((sum, claim) => sum + claim.score, 0) / (claims.length || 1);
  return { verdict, supported: verdict === "supported", score, claims, feedback };
}
