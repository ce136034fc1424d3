// public: openLlamaCppModel
// internal: LlamaCppLanguageModel
import {
  type Capability,
  type Delta,
  type GenerateRequest,
  type LanguageModel,
  type Token as ScoredToken,
  TesseraError,
} from "@tessera/core";
import { messageOf, StopStrings } from "@tessera/core/internal";
import type { LlamaContext, LlamaContextSequence, LlamaModel, Token, TokenBias } from "node-llama-cpp";
import type { ChatTemplate } from "../architectures/decoder.js";
import { type ChatPrompt, chatPrompt, seams } from "../decoding/chat-template.js";
import { checkRequest } from "../decoding/text.js";
import { cutter } from "../tokenizer/added-tokens.js";
import { type OpenedLlamaCpp, openLlamaCpp } from "./llama-cpp.js";
import { LlamaCppSequences } from "./llama-cpp-sequences.js";
import type { LlamaCppFile } from "./settings.js";

/** A language model of a GGUF file that llama.cpp computes. */
interface LlamaCppSettings extends LlamaCppFile {
  /** Tokens of a prompt and its answer together; by default those of the model, at most 4,096. */
  readonly context?: number | undefined;
  /** Answers that grow at the same time, each with a cache of `context` tokens; 2 by default. Others wait. */
  readonly sequences?: number | undefined;
}

/** The same, opened. */
export interface LlamaCppLanguageModel extends LanguageModel {
  readonly name: string;
  /** Threads that compute. */
  readonly threads: number;
  readonly context: number;
  /** Tokens of a text, without marks. */
  count(text: string): number;
  close(): Promise<void>;
}

const capabilities: ReadonlySet<Capability> = new Set(["logprobs", "prefix", "seed", "score"]);
const mostContext = 4096;

/**
 * Opens a GGUF file with llama.cpp (node-llama-cpp, which has to be installed) as a resource for flows. Messages are framed
 * by the file's own chat template; without one their texts stand one after another. Marks that a message spells stay text.
 * @throws TesseraError BAD_ARGUMENT; BAD_BUNDLE for a damaged file; DEPENDENCY_MISSING without node-llama-cpp; MODEL_FAILED
 */
export async function openLlamaCppModel(settings: LlamaCppSettings): Promise<LlamaCppLanguageModel> {
  const { sequences = 2 } = settings;
  for (const name of ["context", "sequences"] as const) {
    const value = settings[name];
    if (value !== undefined && !(Number.isSafeInteger(value) && value > 0))
      throw new TesseraError("BAD_ARGUMENT", `${name} is ${value}`, {
        path: settings.file,
        hint: "use a whole number of 1 or more",
      });
  }
  const opened = await openLlamaCpp(settings);
  const { model, threads } = opened;
  const contextSize = Math.min(settings.context ?? mostContext, model.trainContextSize);
  let context: LlamaContext;
  try {
    context = await model.createContext({ contextSize, sequences, threads, batchSize: Math.min(512, contextSize) });
  } catch (cause) {
    await opened.close();
    throw new TesseraError("MODEL_FAILED", `there is no memory for the cache: ${messageOf(cause)}`, {
      path: settings.file,
      hint: `it is of ${sequences} × ${contextSize} tokens: set context or sequences lower`,
      cause,
    });
  }
  const computed = new LlamaCpp(opened, context, contextSize);
  // a plain object, as the other models are: whoever wraps one copies its fields
  return {
    name: opened.name,
    revision: opened.revision,
    capabilities,
    threads,
    context: contextSize,
    count: (text) => computed.count(text),
    generate: (request, signal) => computed.generate(request, signal),
    score: (request, signal) => computed.score(request, signal),
    close: () => computed.close(),
  };
}

class LlamaCpp {
  readonly name: string;
  private readonly model: LlamaModel;
  private readonly sequences: LlamaCppSequences;
  private readonly marks: ReadonlyMap<string, Token>;
  /** Marks that do not end an answer are never drawn: they have no text. */
  private readonly tokenBias: TokenBias;
  private readonly chat: ChatTemplate | undefined;
  private prompt: Promise<ChatPrompt> | undefined;

  constructor(
    private readonly opened: OpenedLlamaCpp,
    cache: LlamaContext,
    readonly context: number,
  ) {
    this.model = opened.model;
    this.name = opened.name;
    this.sequences = new LlamaCppSequences(cache, this.name);
    this.marks = marksOf(this.model);
    this.tokenBias = opened.never([...this.marks.values()].filter((mark) => !this.model.isEogToken(mark)));
    this.chat = templateOf(opened);
  }

  count(text: string): number {
    return this.model.tokenize(text, false).length;
  }

  async *generate(request: GenerateRequest, signal?: AbortSignal): AsyncGenerator<Delta> {
    checkRequest(request, this);
    if (request.schema)
      throw new TesseraError("MISSING_CAPABILITY", "llama.cpp is not asked for JSON by a schema here", {
        path: this.name,
        hint: "use our own engine for this file, which has the capability json",
      });
    const prompt = await this.read(request);
    if (prompt.length >= this.context) throw this.tooLong("the prompt has", prompt.length);
    const most = Math.min(request.maxTokens, this.context - prompt.length);
    const deltas = new Handover<Delta>();
    const left = new AbortController();
    const ended = signal ? AbortSignal.any([signal, left.signal]) : left.signal;
    const work = this.sequences
      .use(prompt, ended, (sequence, rest) => this.answer({ request, sequence, rest, most, signal: ended }, deltas))
      .then((last) => deltas.end({ ...last, usage: { prompt: prompt.length, completion: last.completion } }))
      .catch((error: unknown) => deltas.fail(error));
    try {
      for await (const { completion: _, ...delta } of deltas as AsyncIterable<Delta & { completion?: number }>)
        yield delta;
    } finally {
      left.abort();
      await work;
    }
  }

  async score(
    { messages, text, plain = false }: Parameters<NonNullable<LanguageModel["score"]>>[0],
    signal?: AbortSignal,
  ): Promise<{ tokens: ScoredToken[]; usage: { prompt: number; completion: number } }> {
    checkRequest({ messages, prefix: text, maxTokens: 1 }, this);
    const before = messages.map(({ content }) => content).join("\n\n");
    const read = (prefix: string): Token[] | Promise<Token[]> =>
      plain ? this.begun(this.model.tokenize(before + prefix, false)) : this.read({ messages, prefix });
    const from = (await read("")).length;
    const ids = await read(text);
    if (text === "" || from === 0)
      throw new TesseraError("BAD_ARGUMENT", "a text is scored behind another, and both have tokens", {
        path: this.name,
      });
    if (ids.length >= this.context) throw this.tooLong("prompt and text have", ids.length);
    const behind = ids.slice(from);
    if (behind.length === 0) return { tokens: [], usage: { prompt: from, completion: 0 } };
    const logprobs = await this.sequences.use(ids.slice(0, from), signal, async (sequence, rest) => {
      await sequence.evaluateWithoutGeneratingNewTokens(rest.slice(0, -1));
      const given = [rest.at(-1)!, ...behind.slice(0, -1)];
      const found: number[] = [];
      await sequence.controlledEvaluate(
        given.map((token) => [token, { generateNext: { probabilities: true } }]),
        {
          // the whole vocabulary of a place is let go before the next comes
          onTokenResult: (place, { next }) => {
            found[place] = logprobOf(next.probabilities!, behind[place]!, 1);
            next.probabilities!.clear();
          },
        },
      );
      return found;
    });
    const tokens = behind.map((token, place) => ({ text: this.model.detokenize([token]), logprob: logprobs[place]! }));
    return { tokens, usage: { prompt: from, completion: behind.length } };
  }

  async close(): Promise<void> {
    this.sequences.close();
    await this.opened.close();
  }

  private tooLong(what: string, length: number): TesseraError {
    return new TesseraError("BAD_ARGUMENT", `${what} ${length} tokens; the context has ${this.context}`, {
      path: this.name,
      hint: "give the model fewer or shorter passages, or set a larger context",
    });
  }

  /** With the mark of a beginning, where the model wants one and there is none. */
  private begun(tokens: Token[]): Token[] {
    const { bos, shouldPrependBosToken } = this.model.tokens;
    return shouldPrependBosToken && bos !== null && tokens[0] !== bos ? [bos, ...tokens] : tokens;
  }

  /** A prompt as tokens: marks of the template are marks, those that a message spells stay text. */
  private async read({ messages, prefix = "" }: Pick<GenerateRequest, "messages" | "prefix">): Promise<Token[]> {
    if (!this.chat)
      return this.begun(this.model.tokenize(messages.map(({ content }) => content).join("\n\n") + prefix, false));
    this.prompt ??= chatPrompt(this.chat, this.name);
    const render = await this.prompt;
    const { seam, seamed } = seams(messages.map(({ content }) => content).concat(prefix), [...this.marks.keys()]);
    const rendered = render(messages.map((message, index) => ({ ...message, content: seamed[index]! })));
    const plain = { single_word: false, lstrip: false, rstrip: false, normalized: false };
    const cut = cutter([...this.marks].map(([content, id]) => ({ ...plain, content, id })));
    return this.begun(
      cut(`${rendered}${seamed.at(-1)}`).flatMap((section) =>
        typeof section === "number" ? [section as Token] : this.model.tokenize(section.replaceAll(seam, ""), false),
      ),
    );
  }

  private async answer(
    { request, sequence, rest, most, signal }: Answering,
    deltas: Handover<Delta>,
  ): Promise<Delta & { completion: number }> {
    const { temperature = 0, topP = 1, stop, seed, logprobs = false, alternatives = 0 } = request;
    // at a temperature the probability of a token has to be brought back to temperature 1, over all tokens: top-p is left out
    const probabilities = logprobs && (alternatives > 0 || temperature > 0);
    const sampling = {
      temperature,
      topP: probabilities ? 1 : topP,
      topK: 0,
      minP: 0,
      seed: (seed ?? Math.floor(Math.random() * 2 ** 32)) % 2 ** 32,
    };
    const stops = new StopStrings(stop);
    const text = new PartsOfText(this.model, rest);
    const held: ScoredToken[] = [];
    const send = (ready: string): void => {
      if (ready === "" && (held.length === 0 || !logprobs)) return;
      deltas.put({ text: ready, ...(logprobs && { tokens: held.splice(0) }) });
    };
    let completion = 0;
    let finish: Delta["finish"] = "length";
    const metadata = { confidence: logprobs, probabilities } as { confidence: true; probabilities: true };
    const how = { ...sampling, tokenBias: this.tokenBias, yieldEogToken: true };
    for await (const drawn of sequence.evaluateWithMetadata(rest, metadata, how)) {
      signal.throwIfAborted();
      completion++;
      if (this.model.isEogToken(drawn.token)) {
        finish = "stop";
        break;
      }
      if (logprobs) held.push(this.scored(drawn, { temperature: temperature || 1, alternatives }));
      const ready = stops.take(text.take(drawn.token));
      if (ready !== "") send(ready);
      if (stops.stopped) {
        finish = "stop";
        break;
      }
      if (completion === most) break;
    }
    if (!stops.stopped) send(stops.take(text.rest()) + stops.rest());
    return { text: "", ...(logprobs && held.length > 0 && { tokens: held }), finish, completion };
  }

  private scored(
    drawn: { readonly token: Token; readonly confidence: number; readonly probabilities?: Map<Token, number> },
    { temperature, alternatives }: { readonly temperature: number; readonly alternatives: number },
  ): ScoredToken {
    const textOf = (token: Token): string => this.model.detokenize([token]);
    const { token, confidence, probabilities } = drawn;
    if (!probabilities) return { text: textOf(token), logprob: Math.log(confidence) };
    const of = (one: Token): number => logprobOf(probabilities, one, temperature);
    const likeliest = [...probabilities.keys()].slice(0, alternatives);
    return {
      text: textOf(token),
      logprob: of(token),
      ...(alternatives > 0 && {
        alternatives: likeliest.map((one) => ({ text: textOf(one), logprob: of(one) })),
      }),
    };
  }
}

interface Answering {
  readonly request: GenerateRequest;
  readonly sequence: LlamaContextSequence;
  /** Tokens of the prompt that the sequence has not read. */
  readonly rest: Token[];
  readonly most: number;
  readonly signal: AbortSignal;
}

/** The least probability that a number of 32 bits holds, for one that it does not. */
const least = 2 ** -149;

/** The log-probability at temperature 1 of a token among all, whose probabilities are at `temperature`: p₁ ∝ p^temperature. */
function logprobOf(probabilities: ReadonlyMap<Token, number>, token: Token, temperature: number): number {
  let sum = 0;
  for (const probability of probabilities.values())
    sum += temperature === 1 ? probability : Math.max(probability, 0) ** temperature;
  return temperature * Math.log(Math.max(probabilities.get(token) ?? 0, least)) - Math.log(sum);
}

/** Control tokens by their text. */
function marksOf(model: LlamaModel): Map<string, Token> {
  const marks = new Map<string, Token>();
  for (const token of model.iterateAllTokens()) {
    if (!model.getTokenAttributes(token).control) continue;
    const text = model.detokenize([token], true);
    if (text !== "") marks.set(text, token);
  }
  return marks;
}

function templateOf({ model, file: { metadata } }: OpenedLlamaCpp): ChatTemplate | undefined {
  const template = metadata.get("tokenizer.chat_template");
  if (typeof template !== "string" || template === "") return undefined;
  const { bosString, eosString } = model.tokens;
  return { template, tokens: { bos_token: bosString ?? "", eos_token: eosString ?? "" } };
}

/** Tokens of which a character may need several. */
const mostPending = 8;

/** The text of tokens one by one; a character that is not whole waits for the next token. */
class PartsOfText {
  private before: Token[];
  private pending: Token[] = [];

  constructor(
    private readonly model: LlamaModel,
    prompt: readonly Token[],
  ) {
    this.before = prompt.slice(-mostPending);
  }

  take(token: Token): string {
    this.pending.push(token);
    const text = this.model.detokenize(this.pending, false, this.before);
    return text.endsWith("\ufffd") && this.pending.length < mostPending ? "" : this.give(text);
  }

  rest(): string {
    return this.pending.length === 0 ? "" : this.give(this.model.detokenize(this.pending, false, this.before));
  }

  private give(text: string): string {
    this.before = [...this.before, ...this.pending].slice(-mostPending);
    this.pending = [];
    return text;
  }
}

/** What one side makes as the other takes it; what is not taken yet is kept. */
class Handover<T> {
  private readonly items: T[] = [];
  private state: "open" | "ended" | { readonly failure: unknown } = "open";
  private wake = (): void => {};

  put(item: T): void {
    this.items.push(item);
    this.wake();
  }

  end(item: T): void {
    this.state = "ended";
    this.put(item);
  }

  fail(failure: unknown): void {
    this.state = { failure };
    this.wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      while (this.items.length > 0) yield this.items.shift()!;
      if (typeof this.state === "object") throw this.state.failure;
      if (this.state === "ended") return;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }
}
