import type { Encoder } from "@tessera/core";
import { dot, mean } from "@tessera/core/internal";
import { z } from "zod";
import { routesOf } from "./choices.js";

const examples = z.array(z.string().min(1)).min(1);

/** Settings of routing by meaning. */
export const intentSettings = {
  /** The name of an "encoder" resource. */
  encoder: z.string().min(1),
  /** The examples of a route, or several intents by name with their examples. */
  intents: z.union([examples, routesOf(examples)]),
  /** What similarities are divided by before the softmax. */
  temperature: z.number().positive().default(0.05),
  /** An intent is as near as the mean of this many nearest of its examples. */
  neighbours: z.int().positive().default(3),
};

export type Routes = Readonly<Record<string, readonly string[] | Readonly<Record<string, readonly string[]>>>>;

interface Intent {
  readonly route: string;
  readonly name: string;
  readonly vectors: readonly Float32Array[];
}

/** Embeds the examples of all intents. */
export async function embedIntents(encoder: Encoder, routes: Routes): Promise<Intent[]> {
  const intents = Object.entries(routes).flatMap(([route, value]) =>
    Array.isArray(value)
      ? [{ route, name: route, examples: value as readonly string[] }]
      : Object.entries(value as Record<string, readonly string[]>).map(([name, examples]) => ({
          route,
          name,
          examples,
        })),
  );
  const vectors = await encoder.encode(
    intents.flatMap(({ examples }) => examples),
    { kind: "query" },
  );
  const rest = vectors[Symbol.iterator]();
  return intents.map(({ route, name, examples }) => ({
    route,
    name,
    vectors: examples.map(() => rest.next().value as Float32Array),
  }));
}

/** sim(θ, q): the mean cosine of the query and the nearest examples of an intent. */
export function similarity(intent: Intent, query: Float32Array, neighbours: number): number {
  const nearest = intent.vectors
    .map((vector) => dot(vector, query))
    .sort((a, b) => b - a)
    .slice(0, neighbours);
  return mean(nearest);
}

/** Erratum E9: score_semantic(q, F) = max over intents θ with δ(θ) = F of P(θ | q). */
export function routeScores(intents: readonly Intent[], chances: readonly number[]): Map<string, number> {
  const scores = new Map<string, number>();
  for (const [index, { route }] of intents.entries())
    scores.set(route, Math.max(scores.get(route) ?? 0, chances[index]!));
  return scores;
}
