// public: superviseByModel
import { type Encoder, number, operator } from "@tessera/core";
import { softmax } from "@tessera/core/internal";
import { z } from "zod";
import { adapter, trainAdapter } from "./adapter.js";
import { encodeOnce, training } from "./settings.js";

/** What a language model thinks of passages: log P_LM(y | d, q) / |y| of each. `generator.dual` makes such records. */
const record = z.object({ query: z.string(), docs: z.array(z.string()).min(1), lmScore: z.array(z.number()).min(1) });

/**
 * Tuning of a retriever under the supervision of a language model (LSR): the shares that the retriever gives to passages,
 * P_R(d | q) = softmax(q′·d / γ) (equation 15), are drawn to those by which they help the model to say the right answer,
 * P_LSR(d | q, y) = exp(lmScore_d / β) / Σ_d′ exp(lmScore_d′ / β) (equation 11), by the mean of KL(P_R ‖ P_LSR)
 * (equation 16). `losses` has that mean for each epoch, in nats, `validation` that of the
 * records held back, before the first epoch and after each; the epoch that is best there is kept.
 */
export const superviseByModel = operator({
  name: "retriever.supervise-by-model",
  version: 2,
  about: {
    module: "retrieval",
    submodule: "retriever fine-tuning",
    paper: "Modular RAG, operator 19, equations 11, 15 and 16; REPLUG (Shi et al. 2023)",
    summary: "Learns an adapter of query vectors from what a language model makes of passages.",
  },
  config: z.strictObject({
    ...training,
    /** β of equation 11: the lower, the more the best passage takes all. */
    sharpness: z.number().positive().default(0.1),
  }),
  ports: {
    input: { records: z.array(record) },
    output: { adapter, losses: z.array(number), validation: z.array(number) },
  },
  async setup({ encoder: name, sharpness, ...settings }, host) {
    const encoder = await host.resource<Encoder>("encoder", name);
    return async ({ records }, { random, signal }) => {
      const queries = records.map(({ query }) => query);
      const queryOf = await encodeOnce(encoder, queries, "query", signal);
      const textOf = await encodeOnce(
        encoder,
        records.flatMap(({ docs }) => docs),
        "text",
        signal,
      );
      const examples = records.map(({ query, docs, lmScore }) => {
        const scored = docs.slice(0, lmScore.length);
        return {
          query: queryOf(query),
          documents: scored.map(textOf),
          target: softmax(lmScore.slice(0, scored.length), sharpness),
        };
      });
      return trainAdapter(examples, encoder.space({}), { ...settings, loss: "divergence", random, signal });
    };
  },
});
