import { type Attributes, SpanKind } from "@opentelemetry/api";
import type { GenerateRequest, Hit, StoreQuery } from "@tessera/core";

/**
 * How what happens in a run is named in traces; the one file to change when a convention does. Names beginning with
 * `gen_ai` are those of OpenTelemetry's semantic conventions for generative AI (in development there), `openinference`
 * and `input`, `output` those of OpenInference; what neither has is under `tessera`.
 */
export interface Described {
  readonly name: string;
  readonly kind: SpanKind;
  readonly attributes: Attributes;
}

const provider = "tessera";
const inference = (kind: InferenceKind): Attributes => ({ "openinference.span.kind": kind });
type InferenceKind = "AGENT" | "CHAIN" | "RETRIEVER" | "RERANKER" | "EMBEDDING" | "LLM" | "EVALUATOR" | "TOOL";

/** By the kind of an operator, "retriever" in "retriever.hybrid", or its whole name; others are links of a chain. */
const kinds: Readonly<Record<string, InferenceKind>> = {
  retriever: "RETRIEVER",
  reranker: "RERANKER",
  "reranker.critique": "EVALUATOR",
  "generator.verify": "EVALUATOR",
  "coder.run": "TOOL",
};

/** Where in a run something happens. */
export interface Place {
  /** "ask/attempt#2/many[3]" */
  readonly path: string;
  /** The decisions that the node waits for, "route.choice=deep", where it has any. */
  readonly branch: string | undefined;
  /** Which attempt of the node this is, from 1. */
  readonly attempt: number;
}

function placeAttributes({ path, branch, attempt }: Place): Attributes {
  const turn = /.*#(\d+)/.exec(path)?.[1];
  const index = /.*\[(\d+)\]/.exec(path)?.[1];
  return {
    "tessera.path": path,
    ...(turn !== undefined && { "tessera.turn": Number(turn) }),
    ...(index !== undefined && { "tessera.index": Number(index) }),
    ...(branch !== undefined && { "tessera.branch": branch }),
    ...(attempt > 1 && { "tessera.attempt": attempt }),
  };
}

export const describeRun = (flow: string, hash: string, run: string | undefined): Described => ({
  name: `invoke_agent ${flow}`,
  kind: SpanKind.INTERNAL,
  attributes: {
    "gen_ai.operation.name": "invoke_agent",
    "gen_ai.provider.name": provider,
    "gen_ai.agent.name": flow,
    "gen_ai.agent.version": hash,
    ...inference("AGENT"),
    "tessera.path": flow,
    ...(run !== undefined && { "tessera.run.id": run }),
  },
});

export const describeFlow = (flow: string, place: Place): Described => ({
  name: `flow ${flow}`,
  kind: SpanKind.INTERNAL,
  attributes: { ...inference("CHAIN"), "tessera.flow": flow, ...placeAttributes(place) },
});

export function describeNode(operator: string, input: unknown, place: Place): Described {
  const kind = kinds[operator] ?? kinds[operator.split(".")[0]!] ?? "CHAIN";
  const candidates = kind === "RERANKER" ? hitsOf(input)?.length : undefined;
  return {
    name: operator === "each" || operator === "repeat" ? `${operator} ${nodeOf(place.path)}` : operator,
    kind: SpanKind.INTERNAL,
    attributes: {
      ...inference(kind),
      "tessera.operator": operator,
      ...(kind === "RERANKER" && { "tessera.operation.name": "rerank" }),
      ...(candidates !== undefined && { "tessera.rerank.candidates": candidates }),
      ...placeAttributes(place),
    },
  };
}

/** What a node gave, as counts; a loop says how it ended. */
export function describeOutput(operator: string, output: unknown): Attributes {
  const hits = hitsOf(output);
  const { turns, stopReason } = (output ?? {}) as { turns?: number; stopReason?: string };
  if (operator === "repeat") return { "tessera.turns": turns, "tessera.stop_reason": stopReason };
  if (!hits) return {};
  return operator.startsWith("reranker.")
    ? { "tessera.rerank.returned": hits.length, "tessera.rerank.scores": hits.map(({ score }) => score) }
    : { "tessera.hits": hits.length };
}

export const describeEmbeddings = (encoder: string, texts: number, width: number | undefined): Described => ({
  name: `embeddings ${encoder}`,
  kind: SpanKind.CLIENT,
  attributes: {
    "gen_ai.operation.name": "embeddings",
    "gen_ai.provider.name": provider,
    "gen_ai.request.model": encoder,
    ...(width !== undefined && { "gen_ai.embeddings.dimension.count": width }),
    ...inference("EMBEDDING"),
    "embedding.model_name": encoder,
    "tessera.texts": texts,
  },
});

export const describeRetrieval = (store: string, { top, text }: StoreQuery, content: boolean): Described => ({
  name: `retrieval ${store}`,
  kind: SpanKind.CLIENT,
  attributes: {
    "gen_ai.operation.name": "retrieval",
    "gen_ai.provider.name": provider,
    "gen_ai.data_source.id": store,
    "gen_ai.retrieval.top_k": top,
    ...(content && text !== undefined && { "gen_ai.retrieval.query.text": text }),
    ...inference("RETRIEVER"),
  },
});

export const describeHits = (hits: readonly Hit[], content: boolean): Attributes => ({
  "tessera.hits": hits.length,
  ...(content && {
    "gen_ai.retrieval.documents": JSON.stringify(hits.map(({ passage: { id }, score }) => ({ id, score }))),
  }),
});

export const describeChat = (model: string, request: Partial<GenerateRequest>, content: boolean): Described => ({
  name: `chat ${model}`,
  kind: SpanKind.CLIENT,
  attributes: {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": provider,
    "gen_ai.request.model": model,
    ...(request.maxTokens !== undefined && { "gen_ai.request.max_tokens": request.maxTokens }),
    ...(request.temperature !== undefined && { "gen_ai.request.temperature": request.temperature }),
    ...(request.seed !== undefined && { "gen_ai.request.seed": request.seed }),
    ...(request.stop && { "gen_ai.request.stop_sequences": [...request.stop] }),
    ...(content &&
      request.messages && {
        "gen_ai.input.messages": JSON.stringify(
          request.messages.map(({ role, content }) => ({ role, parts: [{ type: "text", content }] })),
        ),
      }),
    ...inference("LLM"),
    "llm.model_name": model,
  },
});

interface Answered {
  readonly text: string;
  readonly finish: string | undefined;
  readonly usage: { readonly prompt: number; readonly completion: number } | undefined;
  /** Seconds until the first part came. */
  readonly first: number | undefined;
}

export const describeAnswer = ({ text, finish, usage, first }: Answered, content: boolean): Attributes => ({
  ...(finish !== undefined && { "gen_ai.response.finish_reasons": [finish] }),
  ...(usage && {
    "gen_ai.usage.input_tokens": usage.prompt,
    "gen_ai.usage.output_tokens": usage.completion,
    "llm.token_count.prompt": usage.prompt,
    "llm.token_count.completion": usage.completion,
  }),
  ...(first !== undefined && { "gen_ai.response.time_to_first_chunk": first }),
  ...(content && {
    "gen_ai.output.messages": JSON.stringify([
      { role: "assistant", parts: [{ type: "text", content: text }], finish_reason: finish ?? "stop" },
    ]),
  }),
});

/** What went in or came out, where content is wanted. */
export function describeValue(side: "input" | "output", value: unknown): Attributes {
  try {
    const json = JSON.stringify(value, (_, member) => (ArrayBuffer.isView(member) ? undefined : member));
    return { [`${side}.value`]: json, [`${side}.mime_type`]: "application/json" };
  } catch {
    return {}; // in code, ports may carry what JSON cannot
  }
}

const nodeOf = (path: string): string => /([^/]*?)(?:\[\d+\]|#\d+)*$/.exec(path)![1]!;

const hitsOf = (ports: unknown): readonly Hit[] | undefined => {
  const hits = (ports as { hits?: unknown } | undefined)?.hits;
  return Array.isArray(hits) ? hits : undefined;
};
