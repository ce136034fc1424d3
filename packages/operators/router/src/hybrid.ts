// public: hybrid
import { type Encoder, operator } from "@tessera/core";
import { type Piece, softmax, typed } from "@tessera/core/internal";
import { z } from "zod";
import { keywordPorts, routesOf } from "./choices.js";
import { embedIntents, intentSettings, routeScores, similarity } from "./intents.js";
import { highest, keywordScores, keywordSet, keywordsOf } from "./keywords.js";

const route = z.strictObject({
  keywords: z.array(z.string()).default([]),
  /** Examples of what belongs here, or several intents by name with their examples. */
  intents: intentSettings.intents,
});

const specification = operator({
  name: "router.hybrid",
  version: 1,
  about: {
    module: "orchestration",
    submodule: "routing",
    paper: "Modular RAG, operator 33, equations 19-22 and errata E8, E9",
    summary: "Chooses a route by the keywords and the meaning of the query.",
  },
  config: z.strictObject({
    encoder: intentSettings.encoder,
    routes: routesOf(route),
    temperature: intentSettings.temperature,
    neighbours: intentSettings.neighbours,
    /** The weight a of the keywords: 1 is metadata routing, 0 is semantic routing. */
    weight: z.number().min(0).max(1).default(0.5),
    /** A score α below this goes `otherwise`. */
    least: z.number().min(0).max(1).default(0),
    otherwise: z.string().min(1),
  }),
  ports: keywordPorts,
  setup: async ({ encoder: name, routes, temperature, neighbours, weight, least, otherwise }, host) => {
    const encoder = await host.resource<Encoder>("encoder", name);
    const examples = Object.entries(routes).map(([route, { intents }]) => [route, intents] as const);
    const intents = await embedIntents(encoder, Object.fromEntries(examples));
    const own = new Map(Object.entries(routes).map(([route, { keywords }]) => [route, keywordSet(keywords)]));
    return async ({ query, keywords }, { signal }) => {
      const byKey = keywordScores(own, keywords ? keywordSet(keywords) : keywordsOf(query, own));
      const [vector] = await encoder.encode([query], { kind: "query" }, signal);
      const near = intents.map((intent) => similarity(intent, vector!, neighbours));
      const byMeaning = routeScores(intents, softmax(near, temperature));
      const scores = new Map(
        [...own.keys()].map((route) => [route, weight * byKey.get(route)! + (1 - weight) * byMeaning.get(route)!]),
      );
      const [choice, score] = highest(scores);
      return { choice: score > 0 && score >= least ? choice : otherwise, score, scores: Object.fromEntries(scores) };
    };
  },
});

type Examples = readonly string[] | Readonly<Record<string, readonly string[]>>;

/**
 * Hybrid routing: α(F) = a · score_key(F) + (1 − a) · max over θ with δ(θ) = F of P(θ | q) (equation 22 under errata E8
 * and E9), argmax over F. With a = 1 it is `router.metadata`, with a = 0 `router.semantic`.
 */
export const hybrid =
  typed<
    <const R extends string, const E extends string>(config: {
      encoder: string;
      routes: { readonly [route in R]: { keywords?: readonly string[]; intents: Examples } };
      temperature?: number;
      neighbours?: number;
      weight?: number;
      least?: number;
      otherwise: E;
    }) => Piece<
      { query: string; keywords?: string[] },
      { choice: R | E; score: number; scores: Record<string, number> }
    >
  >(specification);
