// public: supervise
import { type Encoder, number, operator } from "@tessera/core";
import { z } from "zod";
import { adapter, trainAdapter } from "./adapter.js";
import { encodeOnce, training } from "./settings.js";

/** A question with a passage that answers it, and some that do not. */
const pair = z.object({ query: z.string(), positive: z.string(), negatives: z.array(z.string()).optional() });

/**
 * Supervised tuning of a retriever: L = −log exp(q′·d⁺/γ) / (exp(q′·d⁺/γ) + Σ_n exp(q′·d⁻/γ)) (equation 10), where the
 * negatives are those given and, as in DPR, the positives of `others` other questions. What is learnt is an adapter of
 * query vectors; the encoder and the index stay as they are. `losses` has the mean of each epoch, in nats,
 * `validation` that of the pairs held back, before the first epoch and after each; the epoch that is best there is kept.
 */
export const supervise = operator({
  name: "retriever.supervise",
  version: 2,
  about: {
    module: "retrieval",
    submodule: "retriever fine-tuning",
    paper: "Modular RAG, operator 18, equation 10; DPR (Karpukhin et al. 2020)",
    summary: "Learns an adapter of query vectors from questions and the passages that answer them.",
  },
  config: z.strictObject({ ...training, others: z.int().nonnegative().default(300) }),
  ports: { input: { pairs: z.array(pair) }, output: { adapter, losses: z.array(number), validation: z.array(number) } },
  async setup({ encoder: name, others, ...settings }, host) {
    const encoder = await host.resource<Encoder>("encoder", name);
    return async ({ pairs }, { random, signal }) => {
      const queries = pairs.map(({ query }) => query);
      const texts = pairs.flatMap(({ positive, negatives = [] }) => [positive, ...negatives]);
      const queryOf = await encodeOnce(encoder, queries, "query", signal);
      const textOf = await encodeOnce(encoder, texts, "text", signal);
      const examples = pairs.map(({ query, positive, negatives = [] }, index) => {
        const drawn = Array.from({ length: Math.min(others, pairs.length - 1) }, () => {
          const step = 1 + Math.floor(random() * (pairs.length - 1));
          return pairs[(index + step) % pairs.length]!.positive;
        });
        const documents = [positive, ...new Set([...negatives, ...drawn].filter((text) => text !== positive))];
        return {
          query: queryOf(query),
          documents: documents.map(textOf),
          target: documents.map((_, place) => Number(place === 0)),
        };
      });
      return trainAdapter(examples, encoder.space({}), { ...settings, loss: "contrastive", random, signal });
    };
  },
});
