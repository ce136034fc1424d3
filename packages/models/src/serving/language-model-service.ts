import type { Capability, Delta, GenerateRequest, LanguageModel, MaybePromise, Token } from "@tessera/core";
import type { DecoderSession, Sampling } from "../engines/engine.js";
import { DecoderScheduler, type DrawnToken, type SchedulerSettings } from "./decoder-scheduler.js";

/** One answer in the making: a request as tokens, how each next one is drawn, and what text it gives. */
export interface Answering {
  readonly prompt: Int32Array;
  readonly maxTokens: number;
  sampling(): Sampling;
  /** The text that a token completes, if any, and whether the answer ends with it. */
  take(token: DrawnToken): { readonly delta?: Delta | undefined; readonly stop: boolean };
  /** The text that was held back until the answer ended. */
  rest(): Delta | undefined;
}

/** What turns requests into tokens and tokens into text: the tokenizer, the template, stop strings, grammars. */
export interface TextGeneration {
  readonly revision: string;
  readonly capabilities: ReadonlySet<Capability>;
  /** @throws TesseraError BAD_ARGUMENT for a request that cannot be answered. */
  begin(request: GenerateRequest, signal?: AbortSignal): MaybePromise<Answering>;
  /** @throws TesseraError BAD_ARGUMENT for a text that cannot be scored. */
  score?(request: ScoreRequest): MaybePromise<Scoring>;
}

type ScoreRequest = Parameters<NonNullable<LanguageModel["score"]>>[0];

/** A given text as tokens behind a prompt. */
export interface Scoring {
  readonly ids: Int32Array;
  /** The number of tokens of the prompt. */
  readonly from: number;
  /** The text's tokens with their natural-log probabilities. */
  tokens(logprobs: Float32Array): Token[];
}

/** A language model that many callers share: their answers grow together, and each gets an equal part. */
export interface LanguageModelService extends LanguageModel {
  readonly scheduler: DecoderScheduler;
  /** The model as one caller sees it: the same answers, on his own account. */
  as(caller: string): LanguageModel;
  close(): Promise<void>;
}

/** A language model over a scheduler. What a reader has not taken yet is kept: it is bounded by `maxTokens`. */
export function languageModelService(
  session: DecoderSession,
  text: TextGeneration,
  settings: SchedulerSettings,
): LanguageModelService {
  const scheduler = new DecoderScheduler(session, settings);
  const { revision, capabilities } = text;

  async function* generate(caller: string, request: GenerateRequest, signal?: AbortSignal): AsyncGenerator<Delta> {
    const answering = await text.begin(request, signal);
    const left = new AbortController();
    const deltas: Delta[] = [];
    let wake = (): void => {};
    let failure: { readonly cause: unknown } | undefined;
    let last: Delta | undefined;
    scheduler
      .run({
        caller,
        prompt: answering.prompt,
        maxTokens: answering.maxTokens,
        signal: signal ? AbortSignal.any([signal, left.signal]) : left.signal,
        sampling: () => answering.sampling(),
        take(token) {
          const { delta, stop } = answering.take(token);
          if (delta) deltas.push(delta);
          wake();
          return stop;
        },
      })
      .then(({ finish, generated }) => {
        const rest = answering.rest();
        last = { text: "", ...rest, finish, usage: { prompt: answering.prompt.length, completion: generated } };
      })
      .catch((cause: unknown) => {
        failure = { cause };
      })
      .finally(() => wake());
    try {
      for (;;) {
        while (deltas.length > 0) yield deltas.shift()!;
        if (failure) throw failure.cause;
        if (last) {
          yield last;
          return;
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    } finally {
      left.abort();
    }
  }

  async function score(caller: string, request: ScoreRequest, signal?: AbortSignal) {
    const { ids, from, tokens } = await text.score!(request);
    const none = (): never => {
      throw new Error("a given text is not drawn");
    };
    const run = { caller, prompt: ids, maxTokens: 1, scoredFrom: from, sampling: none, take: none, signal };
    const { scores } = await scheduler.run(run);
    return { tokens: tokens(scores!), usage: { prompt: from, completion: ids.length - from } };
  }

  const as = (caller: string): LanguageModel => ({
    revision,
    capabilities,
    generate: (request, signal) => generate(caller, request, signal),
    ...(text.score && { score: (request, signal) => score(caller, request, signal) }),
  });
  return {
    ...as(""),
    scheduler,
    as,
    async close() {
      scheduler.close();
      await session.close();
    },
  };
}
