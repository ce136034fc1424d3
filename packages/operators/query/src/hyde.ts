// public: hyde
import {
  ask,
  boundOf,
  declarePrompt,
  type Encoder,
  type LanguageModel,
  number,
  openPrompt,
  operator,
  type Ports,
  text,
} from "@tessera/core";
import { asking, type Piece, typed } from "@tessera/core/internal";
import { z } from "zod";
import { about } from "./question.js";

/** The mean of vectors, scaled to length 1. */
export function meanOf(vectors: readonly Float32Array[]): number[] {
  const sum = new Float64Array(vectors[0]?.length ?? 0);
  for (const vector of vectors) for (let i = 0; i < sum.length; i++) sum[i]! += vector[i]!;
  const norm = Math.hypot(...sum) || 1;
  return Array.from(sum, (component) => component / norm);
}

const asked = declarePrompt({
  name: "query.hyde",
  version: "1",
  text: "Write a short passage of {kind} that answers the question, as it might stand in the corpus that is searched. Write the passage alone, even where you must invent its details.",
});

const specification = operator({
  name: "query.hyde",
  version: 2,
  about: {
    module: "pre-retrieval",
    submodule: "query transformation",
    paper: "Modular RAG, operator 10, equation 8; Gao et al. 2022 (HyDE)",
    summary: "Writes hypothetical passages that answer a query, to search with.",
  },
  config: z.strictObject({
    ...asking,
    count: z.int().min(1).max(32).default(8),
    temperature: z.number().min(0).max(2).default(0.7),
    /** Whether the query's own vector takes part in the mean. */
    withQuery: z.boolean().default(true),
    /** The name of an "encoder" resource; with it there is the port `vector`. */
    encoder: z.string().min(1).optional(),
    kind: z.enum(["text", "code"]).default("text"),
  }),
  ports: ({ encoder }) => ({
    input: { query: text },
    output: {
      documents: z.array(text),
      query: text,
      ...(encoder !== undefined && { vector: z.array(number) }),
    } as Ports,
  }),
  needs: { seed: { otherwise: "another run with the same seed may give other samples" } },
  prompts: [asked],
  bound: (config) => boundOf(config, config.count, 1),
  setup: async (config, host) => {
    const { maxTokens, characters, count, temperature, withQuery, kind } = config;
    const instructions = await openPrompt(host, asked);
    const model = await host.resource<LanguageModel>("model", config.model);
    const encoder = config.encoder === undefined ? undefined : await host.resource<Encoder>("encoder", config.encoder);
    return async ({ query }, context) => {
      const messages = about(
        instructions({ kind: kind === "code" ? "source code, with its comments," : "a reference text" }),
        query,
        characters,
      );
      const answers = await Promise.all(
        Array.from({ length: count }, () => {
          const seed = Math.floor(context.random() * 2 ** 31);
          return ask(
            model,
            { messages, maxTokens, temperature, ...(model.capabilities.has("seed") && { seed }) },
            context,
          );
        }),
      );
      const documents = answers.map((answer) => answer.text.trim()).filter((passage) => passage !== "");
      const output = { documents, query: [query, ...documents].join("\n") };
      if (!encoder) return output;
      const vectors = documents.length > 0 ? await encoder.encode(documents, { kind }, context.signal) : [];
      if (withQuery || vectors.length === 0)
        vectors.push(...(await encoder.encode([query], { kind: "query" }, context.signal)));
      return { ...output, vector: meanOf(vectors) };
    };
  },
});

type Output<E> = { documents: string[]; query: string } & (E extends string ? { vector: number[] } : unknown);

/**
 * Hypothetical document embeddings: `count` passages that might answer the query are sampled at once. A dense search
 * takes `vector`, the mean of their vectors and the query's own, scaled to length 1; a sparse one takes `query`, the
 * question followed by the passages. Where the model writes nothing, both are those of the question alone.
 */
export const hyde =
  typed<
    <const E extends string | undefined = undefined>(config: {
      model: string;
      maxTokens?: number;
      characters?: number;
      count?: number;
      temperature?: number;
      withQuery?: boolean;
      encoder?: E;
      kind?: "text" | "code";
    }) => Piece<{ query: string }, Output<E>>
  >(specification);
