// internal
import { randomUUID } from "node:crypto";
import type { Delta, Token } from "@tessera/core";
import { estimateTokens, warnOfHidden } from "@tessera/core/internal";
import { asTesseraError } from "../errors.js";
import { openAiError } from "./errors.js";
import type { Caller, ChatRequest, ChatTarget } from "./target.js";

/** How one of the two routes says things. */
interface Wording {
  readonly prefix: string;
  readonly whole: string;
  readonly piece: string;
  choice(text: string, tokens: readonly Token[] | undefined, finish: string | null, offset: number): object;
  delta(
    text: string,
    tokens: readonly Token[] | undefined,
    finish: string | null,
    offset: number,
    first: boolean,
  ): object;
}

const bytesOf = (text: string): number[] => [...Buffer.from(text)];

const named = ({ text, logprob }: { text: string; logprob: number }) => ({
  token: text,
  logprob,
  bytes: bytesOf(text),
});

const chatLogprobs = (tokens: readonly Token[] | undefined) =>
  tokens
    ? {
        content: tokens.map((token) => ({ ...named(token), top_logprobs: (token.alternatives ?? []).map(named) })),
        refusal: null,
      }
    : null;

function textLogprobs(tokens: readonly Token[] | undefined, offset: number) {
  if (!tokens) return null;
  let at = offset;
  const offsets = tokens.map(({ text }) => {
    at += text.length;
    return at - text.length;
  });
  return {
    tokens: tokens.map(({ text }) => text),
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs: tokens.map(({ alternatives = [] }) =>
      Object.fromEntries(alternatives.map(({ text, logprob }) => [text, logprob])),
    ),
    text_offset: offsets,
  };
}

export const chatWording: Wording = {
  prefix: "chatcmpl",
  whole: "chat.completion",
  piece: "chat.completion.chunk",
  choice: (content, tokens, finish) => ({
    index: 0,
    message: { role: "assistant", content, refusal: null },
    logprobs: chatLogprobs(tokens),
    finish_reason: finish,
  }),
  delta: (content, tokens, finish, _, first) => ({
    index: 0,
    delta: { ...(first && { role: "assistant" }), ...((first || content !== "") && { content }) },
    logprobs: chatLogprobs(tokens),
    finish_reason: finish,
  }),
};

export const textWording: Wording = {
  prefix: "cmpl",
  whole: "text_completion",
  piece: "text_completion",
  choice: (text, tokens, finish, offset) => ({
    index: 0,
    text,
    logprobs: textLogprobs(tokens, offset),
    finish_reason: finish,
  }),
  delta: (text, tokens, finish, offset) => ({
    index: 0,
    text,
    logprobs: textLogprobs(tokens, offset),
    finish_reason: finish,
  }),
};

/** What a model reports of its tokens, or else an estimate of what it read and wrote. */
function usageOf({ messages, prefix = "" }: ChatRequest, text: string, usage: Delta["usage"]) {
  const prompt =
    usage?.prompt ?? messages.reduce((sum, { content }) => sum + estimateTokens(content), estimateTokens(prefix));
  const completion = usage?.completion ?? estimateTokens(text);
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
}

/** An answer that has begun: its first delta is there, so nothing that can be refused is left. */
export interface Answer {
  /** The whole, as the body of a response. */
  whole(): Promise<object>;
  /** The events of a stream, as they come; an error in the middle is the last event. */
  events(withUsage: boolean): AsyncGenerator<string>;
}

/** Asks a target, and waits for the first delta. */
export async function begin(
  target: ChatTarget,
  model: string,
  request: ChatRequest,
  wording: Wording,
  caller: Caller,
  signal: AbortSignal,
): Promise<Answer> {
  const deltas = target.answer(request, caller, signal)[Symbol.asyncIterator]();
  const first = await deltas.next();
  const head = {
    id: `${wording.prefix}-${randomUUID()}`,
    created: Math.floor(Date.now() / 1000),
    model,
    system_fingerprint: target.revision,
  };

  async function* all(): AsyncGenerator<Delta> {
    try {
      for (let next = first; !next.done; next = await deltas.next()) yield next.value;
    } finally {
      await deltas.return?.();
    }
  }

  return {
    async whole() {
      let text = "";
      const tokens: Token[] = [];
      let finish: Delta["finish"];
      let usage: Delta["usage"];
      for await (const delta of all()) {
        text += delta.text;
        if (delta.tokens) tokens.push(...delta.tokens);
        finish = delta.finish ?? finish;
        usage = delta.usage ?? usage;
      }
      const kept = request.logprobs ? tokens : undefined;
      return {
        ...head,
        object: wording.whole,
        choices: [wording.choice(text, kept, finish ?? "stop", 0)],
        usage: usageOf(request, text, usage),
      };
    },
    async *events(withUsage) {
      const event = (choices: object[], usage?: object): string =>
        `data: ${JSON.stringify({ ...head, object: wording.piece, choices, ...(withUsage && { usage: usage ?? null }) })}\n\n`;
      let usage: Delta["usage"];
      let said = "";
      let begins = true;
      try {
        let finish: Delta["finish"];
        for await (const delta of all()) {
          usage = delta.usage ?? usage;
          finish = delta.finish ?? finish;
          const tokens = request.logprobs ? delta.tokens : undefined;
          if (delta.text !== "" || tokens) {
            yield event([wording.delta(delta.text, tokens, null, said.length, begins)]);
            begins = false;
          }
          said += delta.text;
        }
        yield event([wording.delta("", undefined, finish ?? "stop", said.length, begins)]);
        if (withUsage) yield event([], usageOf(request, said, usage));
      } catch (thrown) {
        const error = asTesseraError(thrown);
        warnOfHidden(`the answer of "${model}" broke off`, error);
        yield `data: ${JSON.stringify(openAiError(error))}\n\n`;
      }
      yield "data: [DONE]\n\n";
    },
  };
}
