// public: ToLanguageModelOptions, toLanguageModel
import type {
  LanguageModelV4,
  LanguageModelV4CallOptions,
  LanguageModelV4FinishReason,
  LanguageModelV4StreamPart,
  LanguageModelV4Usage,
  SharedV4Warning,
} from "@ai-sdk/provider";
import { type Delta, type GenerateRequest, type LanguageModel, type Message, TesseraError } from "@tessera/core";
import { complete } from "@tessera/core/internal";

/** How a language model of ours shows itself to the AI SDK. */
export interface ToLanguageModelOptions {
  readonly provider?: string;
  /** The revision of the model by default. */
  readonly modelId?: string;
  /** The most tokens of an answer where a call names none; 2048 by default. */
  readonly maxTokens?: number;
}

const missing = (what: string): TesseraError =>
  new TesseraError("MISSING_CAPABILITY", `a model of Tessera takes no ${what}`, {
    hint: "language models of Tessera read and write text",
  });

/** The text of a message. @throws TesseraError MISSING_CAPABILITY where it holds more than text and thoughts */
function textOf({ role, content }: LanguageModelV4CallOptions["prompt"][number]): Message {
  if (role === "system") return { role, content };
  if (role === "tool") throw missing("results of tools");
  const texts = content.map((part) => {
    if (part.type === "text") return part.text;
    if (part.type === "reasoning") return ""; // thoughts are no part of an answer
    throw missing(`part of type "${part.type}"`);
  });
  return { role, content: texts.join("") };
}

function warningsOf(options: LanguageModelV4CallOptions, model: LanguageModel): SharedV4Warning[] {
  const { topK, presencePenalty, frequencyPenalty, seed, reasoning } = options;
  const ignored = {
    topK,
    presencePenalty,
    frequencyPenalty,
    seed: model.capabilities.has("seed") ? undefined : seed,
    reasoning: reasoning === "provider-default" ? undefined : reasoning,
  };
  return Object.entries(ignored)
    .filter(([, value]) => value !== undefined)
    .map(([feature]) => ({ type: "unsupported", feature }));
}

/** @throws TesseraError MISSING_CAPABILITY */
function requestOf(options: LanguageModelV4CallOptions, model: LanguageModel, longest: number): GenerateRequest {
  const { prompt, maxOutputTokens, temperature, topP, seed, stopSequences, responseFormat, tools, toolChoice } =
    options;
  if (tools && tools.length > 0 && toolChoice?.type !== "none") throw missing("tools");
  if (responseFormat?.type === "json" && !model.capabilities.has("json"))
    throw new TesseraError("MISSING_CAPABILITY", `"${model.revision}" holds no answer to a JSON Schema`, {
      hint: 'ask for text, or use a model that offers "json"',
    });
  const messages = prompt.map(textOf);
  const continues = messages.at(-1)?.role === "assistant" && model.capabilities.has("prefix");
  const prefix = continues ? messages.pop()!.content : undefined;
  return {
    messages,
    maxTokens: maxOutputTokens ?? longest,
    ...(prefix && { prefix }),
    ...(temperature !== undefined && { temperature }),
    ...(topP !== undefined && { topP }),
    ...(seed !== undefined && model.capabilities.has("seed") && { seed }),
    ...(stopSequences && stopSequences.length > 0 && { stop: stopSequences }),
    ...(responseFormat?.type === "json" && {
      schema: (responseFormat.schema ?? { type: "object" }) as NonNullable<GenerateRequest["schema"]>,
    }),
  };
}

const usageOf = (usage: Delta["usage"]): LanguageModelV4Usage => ({
  inputTokens: { total: usage?.prompt, noCache: undefined, cacheRead: undefined, cacheWrite: undefined },
  outputTokens: { total: usage?.completion, text: undefined, reasoning: undefined },
});
const reasonOf = (finish: Delta["finish"] = "stop"): LanguageModelV4FinishReason => ({ unified: finish, raw: finish });

/** Each run of text or of thoughts is a block of its own. */
async function* partsOf(
  first: IteratorResult<Delta>,
  deltas: AsyncIterator<Delta>,
  warnings: SharedV4Warning[],
  signal: AbortSignal | undefined,
): AsyncGenerator<LanguageModelV4StreamPart> {
  let open: "text" | "reasoning" | undefined;
  let blocks = 0;
  const id = () => String(blocks);
  let last: Pick<Delta, "finish" | "usage"> = {};
  try {
    yield { type: "stream-start", warnings };
    for (let next = first; !next.done; next = await deltas.next()) {
      const { text, thoughts = "", finish, usage } = next.value;
      for (const [kind, delta] of [
        ["reasoning", thoughts],
        ["text", text],
      ] as const) {
        if (delta === "") continue;
        if (open !== kind) {
          if (open) yield { type: `${open}-end`, id: id() };
          blocks++;
          yield { type: `${kind}-start`, id: id() };
          open = kind;
        }
        yield { type: `${kind}-delta`, id: id(), delta };
      }
      last = { ...last, ...(finish && { finish }), ...(usage && { usage }) };
    }
    if (open) yield { type: `${open}-end`, id: id() };
    yield { type: "finish", finishReason: reasonOf(last.finish), usage: usageOf(last.usage) };
  } catch (error) {
    signal?.throwIfAborted();
    yield { type: "error", error };
  } finally {
    await deltas.return?.();
  }
}

/**
 * A language model of ours as one of the AI SDK (version 7), for `generateText`, `streamText` and what is built on them.
 * Thoughts become reasoning parts. A setting that the model does not know is named in the warnings of the call. An error
 * before the first word rejects the call; a later one is a part of the stream.
 * @throws TesseraError from a call: MISSING_CAPABILITY for tools, files, or JSON where the model does not offer it; what the model throws.
 */
export function toLanguageModel(model: LanguageModel, options: ToLanguageModelOptions = {}): LanguageModelV4 {
  const { provider = "tessera", modelId = model.revision, maxTokens = 2048 } = options;
  return {
    specificationVersion: "v4",
    provider,
    modelId,
    supportedUrls: {},
    async doGenerate(call) {
      const request = requestOf(call, model, maxTokens);
      const { text, thoughts = [], finish, usage } = await complete(model, request, call.abortSignal);
      return {
        content: [
          ...thoughts.map((thought) => ({ type: "reasoning", text: thought }) as const),
          ...(text === "" ? [] : [{ type: "text", text } as const]),
        ],
        finishReason: reasonOf(finish),
        usage: usageOf(usage),
        warnings: warningsOf(call, model),
      };
    },
    async doStream(call) {
      const signal = call.abortSignal;
      const deltas = model.generate(requestOf(call, model, maxTokens), signal)[Symbol.asyncIterator]();
      const first = await deltas.next();
      return { stream: ReadableStream.from(partsOf(first, deltas, warningsOf(call, model), signal)) };
    },
  };
}
