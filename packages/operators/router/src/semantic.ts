// public: semantic
import { type Encoder, number, operator, text } from "@tessera/core";
import { type Piece, softmax, typed } from "@tessera/core/internal";
import { z } from "zod";
import { choiceOf, routesOf } from "./choices.js";
import { embedIntents, intentSettings, type Routes, routeScores, similarity } from "./intents.js";
import { highest } from "./keywords.js";

const specification = operator({
  name: "router.semantic",
  version: 1,
  about: {
    module: "orchestration",
    submodule: "routing",
    paper: "Modular RAG, operator 32, equation 21 and erratum E9",
    summary: "Chooses a route by the meaning of the query.",
  },
  config: z.strictObject({
    encoder: intentSettings.encoder,
    routes: routesOf(intentSettings.intents),
    temperature: intentSettings.temperature,
    neighbours: intentSettings.neighbours,
    /** Below this similarity to every intent the query is out of scope, and the choice is `otherwise`. */
    least: z.number().min(-1).max(1).default(-1),
    otherwise: z.string().min(1),
  }),
  ports: ({ routes, otherwise }) => ({
    input: { query: text },
    output: {
      choice: choiceOf(...Object.keys(routes), otherwise),
      intent: text,
      score: number,
      similarity: number,
      scores: z.record(z.string(), number),
    },
  }),
  setup: async ({ encoder: name, routes, temperature, neighbours, least, otherwise }, host) => {
    const encoder = await host.resource<Encoder>("encoder", name);
    const intents = await embedIntents(encoder, routes);
    return async ({ query }, { signal }) => {
      const [vector] = await encoder.encode([query], { kind: "query" }, signal);
      const near = intents.map((intent) => similarity(intent, vector!, neighbours));
      const chances = softmax(near, temperature);
      const scores = routeScores(intents, chances);
      const [route, score] = highest(scores);
      const best = chances.indexOf(Math.max(...chances));
      return {
        choice: near[best]! >= least ? route : otherwise,
        intent: intents[best]!.name,
        score,
        similarity: near[best]!,
        scores: Object.fromEntries(scores),
      };
    };
  },
});

/**
 * Routing by meaning: P(θ | q) = softmax of the similarities of the query to the examples of each intent θ, divided by
 * the temperature; a route's score is the highest of its intents, and the route of the highest score is chosen. A query
 * less similar than `least` to every intent is out of scope and goes `otherwise`.
 */
export const semantic =
  typed<
    <const R extends Routes, const E extends string>(config: {
      encoder: string;
      routes: R;
      temperature?: number;
      neighbours?: number;
      least?: number;
      otherwise: E;
    }) => Piece<
      { query: string },
      {
        choice: (keyof R & string) | E;
        intent: string;
        score: number;
        similarity: number;
        scores: Record<string, number>;
      }
    >
  >(specification);
