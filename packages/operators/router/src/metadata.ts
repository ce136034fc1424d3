// public: metadata
import { operator } from "@tessera/core";
import { type Piece, typed } from "@tessera/core/internal";
import { z } from "zod";
import { keywordPorts, routesOf } from "./choices.js";
import { highest, keywordScores, keywordSet, keywordsOf } from "./keywords.js";

const specification = operator({
  name: "router.metadata",
  version: 1,
  about: {
    module: "orchestration",
    submodule: "routing",
    paper: "Modular RAG, operator 31, equations 18-20 and erratum E8",
    summary: "Chooses a route by the keywords of the query.",
  },
  config: z.strictObject({ routes: routesOf(z.array(z.string())), otherwise: z.string().min(1) }),
  ports: keywordPorts,
  effects: "none",
  setup: ({ routes, otherwise }) => {
    const own = new Map(Object.entries(routes).map(([route, keywords]) => [route, keywordSet(keywords)]));
    return ({ query, keywords }) => {
      const scores = keywordScores(own, keywords ? keywordSet(keywords) : keywordsOf(query, own));
      const [route, score] = highest(scores);
      return { choice: score > 0 ? route : otherwise, score, scores: Object.fromEntries(scores) };
    };
  },
});

/**
 * Keyword routing: score(F) = |K_F ∩ K_query| / |K_query|, argmax over F, the first declared on a tie. K_query are the
 * given keywords, or else the keywords of any route that stand in the query (words are compared as the sparse index
 * compares them; a keyword may have several). Where none is found, the choice is `otherwise`, which may be a route.
 */
export const metadata =
  typed<
    <const R extends string, const E extends string>(config: {
      routes: { readonly [route in R]: readonly string[] };
      otherwise: E;
    }) => Piece<
      { query: string; keywords?: string[] },
      { choice: R | E; score: number; scores: Record<string, number> }
    >
  >(specification);
