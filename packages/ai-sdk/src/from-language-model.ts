// public: LanguageModelOptions, fromLanguageModel
import type {
  LanguageModelV4,
  LanguageModelV4CallOptions,
  LanguageModelV4Message,
  LanguageModelV4StreamPart,
} from "@ai-sdk/provider";
import { type Capability, type Delta, type GenerateRequest, type LanguageModel, TesseraError } from "@tessera/core";
import { abortable, StopStrings } from "@tessera/core/internal";
import { assertVersion, failure, type Patience, patiently } from "./failures.js";

/** What a language model of the AI SDK offers, and what is sent with every call. */
export interface LanguageModelOptions extends Patience {
  /** What this model offers beyond plain text; nothing is assumed, since a provider says it only in its answer. */
  readonly capabilities?: readonly Extract<Capability, "json" | "seed">[];
  /** Options of the provider, by its name, such as `{ anthropic: { effort: "low" } }`. */
  readonly providerOptions?: LanguageModelV4CallOptions["providerOptions"];
  /** How much the model thinks before it answers, where it can. */
  readonly reasoning?: LanguageModelV4CallOptions["reasoning"];
  readonly headers?: Readonly<Record<string, string>>;
  /** Changes when the model's answers may change; provider, name and options by default. */
  readonly revision?: string;
}

const messageOf = ({ role, content }: GenerateRequest["messages"][number]): LanguageModelV4Message =>
  role === "system" ? { role, content } : { role, content: [{ type: "text", text: content }] };

function callOf(
  { messages, maxTokens, stop, schema, seed, temperature, topP }: GenerateRequest,
  { capabilities = [], providerOptions, reasoning, headers }: LanguageModelOptions,
  signal: AbortSignal | undefined,
): LanguageModelV4CallOptions {
  const stopSequences = stop?.filter((one) => one !== "") ?? [];
  return {
    prompt: messages.map(messageOf),
    maxOutputTokens: maxTokens,
    ...(stopSequences.length > 0 && { stopSequences }),
    ...(temperature !== undefined && { temperature }),
    ...(topP !== undefined && { topP }),
    ...(seed !== undefined && capabilities.includes("seed") && { seed }),
    ...(schema && { responseFormat: { type: "json", schema, name: "answer" } }),
    ...(providerOptions && { providerOptions }),
    ...(reasoning && { reasoning }),
    ...(headers && { headers: { ...headers } }),
    ...(signal && { abortSignal: signal }),
  };
}

/** @throws TesseraError MISSING_CAPABILITY */
function assertOffered({ prefix, schema, logprobs }: GenerateRequest, options: LanguageModelOptions, name: string) {
  const asked = [
    [prefix, "prefix"],
    [logprobs, "logprobs"],
    [schema && !options.capabilities?.includes("json"), "json"],
  ] as const;
  for (const [wanted, capability] of asked)
    if (wanted)
      throw new TesseraError("MISSING_CAPABILITY", `"${name}" is not known to offer "${capability}"`, {
        path: name,
        hint:
          capability === "json"
            ? "name it in `capabilities` where the model offers it"
            : "the AI SDK has no such call; use a service's own address as an endpoint",
      });
}

/** The parts of a stream as they come; it is cancelled when it is left early, and left at once by an abort. */
async function* partsOf(
  stream: ReadableStream<LanguageModelV4StreamPart>,
  signal: AbortSignal | undefined,
): AsyncGenerator<LanguageModelV4StreamPart> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await abortable(reader.read(), { signal });
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => undefined); // it has ended, or failed
  }
}

type Finish = Extract<LanguageModelV4StreamPart, { type: "finish" }>;

/** @throws TesseraError MODEL_FAILED where the answer is not the model's whole one */
function lastDelta({ finishReason, usage }: Finish, name: string): Pick<Delta, "finish" | "usage"> {
  const { unified, raw } = finishReason;
  if (unified === "error" || unified === "interrupted" || unified === "content-filter")
    throw new TesseraError("MODEL_FAILED", `the model ended its answer by "${raw ?? unified}"`, {
      path: name,
      hint: unified === "content-filter" ? "the provider withheld the answer" : undefined,
    });
  const prompt = usage.inputTokens.total;
  const completion = usage.outputTokens.total;
  return {
    finish: unified === "length" ? "length" : "stop",
    ...(prompt !== undefined && completion !== undefined && { usage: { prompt, completion } }),
  };
}

/** What a part adds to the answer. @throws TesseraError MODEL_FAILED, MISSING_CAPABILITY */
function deltaOf(part: LanguageModelV4StreamPart, request: GenerateRequest, name: string): Delta | undefined {
  switch (part.type) {
    case "text-delta":
      return { text: part.delta };
    case "reasoning-delta":
      return { text: "", thoughts: part.delta };
    case "error":
      throw failure(part.error, name);
    case "stream-start":
      if (request.schema && part.warnings.some((one) => one.type === "unsupported" && one.feature === "responseFormat"))
        throw new TesseraError("MISSING_CAPABILITY", `"${name}" says that it holds no answer to a JSON Schema`, {
          path: name,
          hint: 'leave "json" out of `capabilities`',
        });
      return undefined;
    default:
      return undefined;
  }
}

/**
 * A language model of the AI SDK (version 7) as one of ours: of any provider, one import away.
 *
 * It streams; what the model thinks comes as `thoughts`; an abort ends the call, and so does leaving it early. Usage is
 * what the provider reports, and left out where it reports none. Stop strings hold also where a provider takes none. Calls that
 * the provider marks as repeatable are repeated until the answer begins. The AI SDK has no log-probabilities and no
 * beginnings of answers, so that it claims neither.
 * @throws TesseraError BAD_ARGUMENT; and from `generate` MISSING_CAPABILITY; MODEL_FAILED with the cause, also where an
 *   answer ends in the middle or is withheld.
 */
export function fromLanguageModel(model: LanguageModelV4, options: LanguageModelOptions = {}): LanguageModel {
  assertVersion(model, "LanguageModel");
  const name = `${model.provider}/${model.modelId}`;
  const { providerOptions, reasoning } = options;
  const settings = JSON.stringify({ providerOptions, reasoning });
  return {
    revision: options.revision ?? `ai-sdk:${name}${settings === "{}" ? "" : ` ${settings}`}`,
    capabilities: new Set<Capability>(options.capabilities),
    async *generate(request, signal): AsyncIterable<Delta> {
      assertOffered(request, options, name);
      const scan = new StopStrings(request.stop);
      let last: Pick<Delta, "finish" | "usage"> | undefined;
      try {
        const call = callOf(request, options, signal);
        const { stream } = await patiently(
          () => abortable(Promise.resolve(model.doStream(call)), { signal }),
          options,
          name,
          signal,
        );
        for await (const part of partsOf(stream, signal)) {
          if (part.type === "finish") last = lastDelta(part, name);
          const delta = deltaOf(part, request, name);
          if (!delta) continue;
          const text = scan.take(delta.text);
          if (text !== "" || delta.thoughts) yield { ...delta, text };
          if (scan.stopped) break;
        }
      } catch (cause) {
        signal?.throwIfAborted();
        throw failure(cause, name);
      }
      if (scan.stopped) last = { finish: "stop" };
      if (!last) throw new TesseraError("MODEL_FAILED", "the model's answer ended in the middle", { path: name });
      yield { text: scan.rest(), ...last };
    },
  };
}
