// public: EndpointEncoderOptions, endpointEncoder
// internal: EncoderShape
import { type Encoder, TesseraError } from "@tessera/core";
import { z } from "zod";
import { Client, type Endpoint, isOfThisMachine } from "./openai-endpoint.js";

type Kind = Parameters<Encoder["encode"]>[1]["kind"];

/** Whose form of embeddings a service speaks. */
export type EncoderShape = "openai" | "tei" | "ollama" | "cohere" | "voyage" | "jina";

/** Where an encoder is, and how it is asked. */
export interface EndpointEncoderOptions extends Endpoint {
  /** Whose form the service speaks; "openai" by default. */
  readonly shape?: EncoderShape;
  /** The most texts of one request; what the service's reference allows, or 64, by default. */
  readonly batch?: number;
  /** Whether the service can shorten vectors to a width that a call names. */
  readonly shortens?: boolean;
  /** The width of every vector, where the service can shorten them and no call names another. */
  readonly dimensions?: number;
  /** Whether calls cost money; by default where the address is not of this machine. */
  readonly paid?: boolean;
  /** What the model wants before each kind of text, as in "query: ". */
  readonly prefixes?: Partial<Record<Kind, string>>;
  /** What the service calls each kind, where it is not what its reference names for search. */
  readonly kinds?: Partial<Record<Kind, string>>;
}

interface Asked {
  readonly model: string;
  readonly input: readonly string[];
  readonly width: number | undefined;
  /** What the service calls the kind of the texts. */
  readonly kind: string | undefined;
}

interface Shape {
  readonly path: string;
  /** The most texts of one request. */
  readonly batch: number;
  readonly kinds?: Readonly<Record<Kind, string>>;
  body(asked: Asked): Record<string, unknown>;
  /** Reads the vectors, in the order of the texts; what it throws is told with the answer's fault. */
  vectors(answer: unknown): readonly (readonly number[])[];
}

const rows = z.array(z.array(z.number()).min(1));
const indexed = z.object({
  data: z.array(z.object({ index: z.int(), embedding: z.array(z.number()).min(1) })),
});
const byName = z.object({ embeddings: rows });
const byType = z.object({ embeddings: z.object({ float: rows }) });

/** Vectors that carry the place of their text. */
function inOrder(answer: unknown): number[][] {
  const { data } = indexed.parse(answer);
  data.sort((a, b) => a.index - b.index);
  if (data.some(({ index }, at) => index !== at)) throw new TypeError("the indices of the vectors are not 0, 1, 2, …");
  return data.map(({ embedding }) => embedding);
}

const shapes: Readonly<Record<EncoderShape, Shape>> = {
  // platform.openai.com/docs/api-reference/embeddings; vLLM, llama.cpp, LM Studio and our own /v1 speak it too
  openai: {
    path: "embeddings",
    batch: 64,
    body: ({ model, input, width }) => ({
      model,
      input,
      encoding_format: "float",
      ...(width !== undefined && { dimensions: width }),
    }),
    vectors: inOrder,
  },
  // huggingface.github.io/text-embeddings-inference: it serves one model; 32 texts are its default limit
  tei: {
    path: "embed",
    batch: 32,
    body: ({ input, width }) => ({
      inputs: input,
      normalize: true,
      truncate: true,
      ...(width !== undefined && { dimensions: width }),
    }),
    vectors: (answer) => rows.parse(answer),
  },
  // docs.ollama.com/api/embed; the address ends before /api
  ollama: {
    path: "api/embed",
    batch: 64,
    body: ({ model, input, width }) => ({ model, input, ...(width !== undefined && { dimensions: width }) }),
    vectors: (answer) => byName.parse(answer).embeddings,
  },
  // docs.cohere.com/reference/embed; the address ends before /v2
  cohere: {
    path: "v2/embed",
    batch: 96,
    kinds: { query: "search_query", text: "search_document", code: "search_document" },
    body: ({ model, input, width, kind }) => ({
      model,
      texts: input,
      input_type: kind,
      embedding_types: ["float"],
      ...(width !== undefined && { output_dimension: width }),
    }),
    vectors: (answer) => byType.parse(answer).embeddings.float,
  },
  // docs.voyageai.com/reference/embeddings-api
  voyage: {
    path: "embeddings",
    batch: 128,
    kinds: { query: "query", text: "document", code: "document" },
    body: ({ model, input, width, kind }) => ({
      model,
      input,
      input_type: kind,
      ...(width !== undefined && { output_dimension: width }),
    }),
    vectors: inOrder,
  },
  // api.jina.ai/openapi.json; models for code have other tasks, see `kinds`
  jina: {
    path: "embeddings",
    batch: 64,
    kinds: { query: "retrieval.query", text: "retrieval.passage", code: "retrieval.passage" },
    body: ({ model, input, width, kind }) => ({
      model,
      input,
      task: kind,
      embedding_type: "float",
      ...(width !== undefined && { dimensions: width }),
    }),
    vectors: inOrder,
  },
};

/** @throws TypeError where a vector is not of the width or holds what is no number */
function unit(vector: readonly number[], size: number | undefined): Float32Array {
  const norm = Math.hypot(...vector);
  if (vector.length !== size || !Number.isFinite(norm))
    throw new TypeError("its vectors are of unequal width, or not finite");
  return Float32Array.from(vector, (component) => (norm === 0 ? 0 : component / norm));
}

/**
 * An encoder behind a service that speaks the form of OpenAI, Hugging Face's text-embeddings-inference, Ollama, Cohere,
 * Voyage or Jina. Vectors are brought to length 1. Texts to search by and texts to be found are told apart where the
 * service does. Requests are repeated as those of `openAiModel`.
 * @throws TesseraError BAD_ARGUMENT; and from `encode` MODEL_FAILED, MISSING_CAPABILITY, CLOSED.
 */
export function endpointEncoder(options: EndpointEncoderOptions): Encoder {
  const { model, shape: name = "openai", prefixes = {}, dimensions, shortens = false } = options;
  const shape = Object.hasOwn(shapes, name) ? shapes[name] : undefined;
  if (!shape)
    throw new TesseraError("BAD_ARGUMENT", `"${name}" is not a form of embeddings`, {
      path: "shape",
      hint: `one of ${Object.keys(shapes).join(", ")}`,
    });
  const client = new Client(options);
  const kinds = { ...shape.kinds, ...options.kinds };
  const batch = options.batch ?? shape.batch;

  async function encodeBatch(input: string[], kind: Kind, width: number | undefined, signal: AbortSignal | undefined) {
    const body = shape!.body({ model, input, width, kind: kinds[kind] });
    const read = (answer: unknown): Float32Array[] => {
      const vectors = shape!.vectors(answer);
      if (vectors.length !== input.length)
        throw new TypeError(`it gave ${vectors.length} vectors for ${input.length} texts`);
      return vectors.map((vector) => unit(vector, width ?? vectors[0]?.length));
    };
    return client.postAndRead(shape!.path, body, read, { of: "encoder", form: name, signal });
  }

  return {
    revision: client.revision,
    paid: options.paid ?? !isOfThisMachine(options.baseUrl),
    space: ({ width = dimensions }) => `${model}${width === undefined ? "" : `:${width}`}`,
    check: (signal) => client.check(signal),
    close: () => client.close(),
    async encode(texts, { kind, exit, width }, signal) {
      if (exit !== undefined || (width !== undefined && width !== dimensions && !shortens))
        throw new TesseraError("MISSING_CAPABILITY", `"${model}" has one exit${shortens ? "" : " and one width"}`, {
          path: model,
          hint: "set `shortens` where the service can shorten vectors",
        });
      signal?.throwIfAborted();
      const vectors: Float32Array[] = [];
      for (let from = 0; from < texts.length; from += batch) {
        const input = texts.slice(from, from + batch).map((text) => (prefixes[kind] ?? "") + text);
        vectors.push(...(await encodeBatch(input, kind, width ?? dimensions, signal)));
      }
      return vectors;
    },
  };
}
