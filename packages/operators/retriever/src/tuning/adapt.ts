// public: adaptQuery
import { type Encoder, number, operator, text } from "@tessera/core";
import { z } from "zod";
import { adapt, adapter } from "./adapter.js";

/**
 * Encodes a query and maps it by an adapter: q′ = q + U·V·q, at length 1, for the port `vector` of `retriever.dense`. The
 * adapter is a port, so that a flow may choose one for each question, or learn it; one that stands fixed is a `value`.
 * @throws TesseraError SPACE_MISMATCH where the adapter was made for another encoder.
 */
export const adaptQuery = operator({
  name: "retriever.adapt",
  version: 1,
  about: {
    module: "retrieval",
    submodule: "retriever fine-tuning",
    paper: "Modular RAG, operator 20; AAR (Yu et al. 2023)",
    summary: "Maps the vector of a query by a learnt adapter.",
  },
  config: z.strictObject({ encoder: z.string() }),
  ports: { input: { query: text, adapter }, output: { vector: z.array(number) } },
  async setup({ encoder: name }, host) {
    const encoder = await host.resource<Encoder>("encoder", name);
    return async ({ query, adapter }, { signal }) => {
      const [vector] = await encoder.encode([query], { kind: "query" }, signal);
      return { vector: [...adapt(adapter, vector!, encoder.space({}))] };
    };
  },
});
