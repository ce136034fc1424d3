// public: ChunkLike, ChatModelLike, ChatModelOptions, fromChatModel
import {
  type Capability,
  type Delta,
  type GenerateRequest,
  type LanguageModel,
  type Message,
  TesseraError,
} from "@tessera/core";
import { countTokens, messageOf, StopStrings } from "@tessera/core/internal";

/** A message chunk of a LangChain chat model, by its shape. */
export interface ChunkLike {
  /** A text, or blocks; of blocks only those of the type "text" are read. */
  readonly content: string | readonly unknown[];
  readonly usage_metadata?: { readonly input_tokens: number; readonly output_tokens: number } | undefined;
  readonly response_metadata?: Readonly<Record<string, unknown>> | undefined;
}

/** The part of a LangChain BaseChatModel that is used. */
export interface ChatModelLike {
  stream(
    messages: [role: Message["role"], content: string][],
    options?: Record<string, unknown>,
  ): Promise<AsyncIterable<ChunkLike>>;
  _llmType?(): string;
}

/** What a LangChain chat model does not say about itself: its revision and abilities. */
export interface ChatModelOptions {
  /** A text that changes whenever the answers of the model may change: its name and settings. */
  readonly revision?: string;
  /**
   * Makes the call options of this provider for a request, such as its names for temperature, seed or a response
   * format.
   */
  readonly options?: (request: GenerateRequest) => Record<string, unknown>;
  /** The abilities that `options` adds: "json", "seed". */
  readonly capabilities?: readonly Extract<Capability, "json" | "seed">[];
}

const textOf = (content: ChunkLike["content"]): string =>
  typeof content === "string"
    ? content
    : content
        .map((block) => {
          const { type, text } = block as { type?: unknown; text?: unknown };
          return type === "text" && typeof text === "string" ? text : "";
        })
        .join("");

const isCut = (metadata: ChunkLike["response_metadata"]): boolean =>
  [metadata?.finish_reason, metadata?.stop_reason, metadata?.finishReason].some(
    (reason) => typeof reason === "string" && /^(?:length|max_tokens)$/i.test(reason),
  );

/**
 * A LangChain chat model as a language model.
 *
 * It streams, aborts with the signal, and closes the model's stream when it is left early. Stop strings and `maxTokens`
 * go to the model as `stop` and by `options`, and are enforced here as well, because many chat models take neither with
 * a call; tokens are then estimated. Usage is what the model reports, or else an estimate. Chat models continue no
 * prefix and give no log-probabilities in a common form, so that it claims neither.
 * @throws TesseraError MISSING_CAPABILITY where a request needs what it does not claim; MODEL_FAILED with the cause.
 */
export function fromChatModel(model: ChatModelLike, options: ChatModelOptions = {}): LanguageModel {
  const capabilities: ReadonlySet<Capability> = new Set(options.capabilities);
  return {
    revision: options.revision ?? `langchain:${model._llmType?.() ?? "chat"}`,
    capabilities,
    async *generate(request, signal): AsyncIterable<Delta> {
      signal?.throwIfAborted();
      if (request.prefix) throw missing("prefix");
      if (request.schema && !capabilities.has("json")) throw missing("json");
      const stops = (request.stop ?? []).filter((stop) => stop !== "");
      const scan = new StopStrings(stops);
      let text = "";
      let recount = request.maxTokens; // a token has a character at least, so that no count is needed before
      let finish: "stop" | "length" = "stop";
      let reported: { prompt: number; completion: number } | undefined;
      try {
        const chunks = await model.stream(
          request.messages.map(({ role, content }) => [role, content]),
          { ...(signal && { signal }), ...(stops.length > 0 && { stop: stops }), ...options.options?.(request) },
        );
        for await (const chunk of chunks) {
          signal?.throwIfAborted();
          if (chunk.usage_metadata) {
            const { input_tokens, output_tokens } = chunk.usage_metadata;
            reported = {
              prompt: (reported?.prompt ?? 0) + input_tokens,
              completion: (reported?.completion ?? 0) + output_tokens,
            };
          }
          if (isCut(chunk.response_metadata)) finish = "length";
          const part = textOf(chunk.content);
          if (part === "") continue;
          const ready = scan.take(part);
          text += ready;
          if (ready !== "") yield { text: ready };
          if (scan.stopped) break;
          if (text.length >= recount) {
            const left = request.maxTokens - countTokens(text);
            recount = text.length + left;
            if (left <= 0) {
              finish = "length";
              break;
            }
          }
        }
      } catch (cause) {
        signal?.throwIfAborted();
        if (TesseraError.is(cause)) throw cause;
        throw new TesseraError("MODEL_FAILED", `the chat model failed: ${messageOf(cause)}`, { cause });
      }
      signal?.throwIfAborted();
      const rest = scan.rest();
      yield {
        text: rest,
        finish,
        usage: reported ?? {
          prompt: request.messages.reduce((sum, { content }) => sum + countTokens(content), 0),
          completion: countTokens(text + rest),
        },
      };
    },
  };
}

const missing = (capability: Capability): TesseraError =>
  new TesseraError("MISSING_CAPABILITY", `a LangChain chat model does not offer "${capability}"`, {
    ...(capability === "json" && { hint: 'give fromChatModel `options` and the capability "json"' }),
  });
