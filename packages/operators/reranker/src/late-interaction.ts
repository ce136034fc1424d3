// public: lateInteraction
import { type Encoder, hits, operator, rank, text } from "@tessera/core";
import { dot } from "@tessera/core/internal";
import { words } from "@tessera/text";
import { z } from "zod";
import { sentencesOf } from "./sentences.js";

const unitsOf = {
  word: words,
  sentence: (text: string) =>
    sentencesOf(text)
      .map((part) => part.trim())
      .filter((part) => part !== ""),
};

/**
 * Late interaction (ColBERT, Khattab and Zaharia 2020): score(q, d) = mean over the units of q of the greatest cosine with
 * a unit of d (MaxSim, divided by their number so that it lies in [−1, 1]). The units are words, or sentences, each
 * encoded by itself: an encoder resource gives one vector a text, so that units have no context here. A passage counts
 * with its first `units` different ones. Every hit is kept (equation 12).
 */
export const lateInteraction = operator({
  name: "reranker.late-interaction",
  version: 1,
  about: {
    module: "post-retrieval",
    submodule: "rerank",
    paper: "Modular RAG, operator 22, equation 12; ColBERT (Khattab and Zaharia 2020)",
    summary: "Reranks by the greatest similarity of each unit of the query.",
  },
  config: z.strictObject({
    encoder: z.string().min(1),
    kind: z.enum(["text", "code"]).default("text"),
    unit: z.enum(["word", "sentence"]).default("word"),
    units: z.int().positive().default(256),
  }),
  ports: { input: { query: text, hits }, output: { hits } },
  setup: async ({ encoder: name, kind, unit, units }, host) => {
    const encoder = await host.resource<Encoder>("encoder", name);
    const split = (value: string) => [...new Set(unitsOf[unit](value))].slice(0, units);
    return async ({ query, hits: found }, { signal }) => {
      const asked = split(query);
      const said = found.map(({ passage }) => split(passage.text));
      const distinct = [...new Set(said.flat())];
      const queries = asked.length > 0 ? await encoder.encode(asked, { kind: "query" }, signal) : [];
      const encoded = distinct.length > 0 ? await encoder.encode(distinct, { kind }, signal) : [];
      const vectors = new Map(distinct.map((part, index) => [part, encoded[index]!]));
      const nearest = (vector: Float32Array, parts: readonly string[]) =>
        parts.reduce((most, part) => Math.max(most, dot(vector, vectors.get(part)!)), parts.length > 0 ? -1 : 0);
      const scored = found.map((hit, index) => {
        const sum = queries.reduce((total, vector) => total + nearest(vector, said[index]!), 0);
        return { hit, score: queries.length > 0 ? sum / queries.length : 0 };
      });
      return { hits: rank("reranker.late-interaction", scored) };
    };
  },
});
