// internal
import { randomUUID } from "node:crypto";
import type { Citation, Delta, Token } from "@tessera/core";
import { estimateTokens, warnOfHidden, whereOf } from "@tessera/core/internal";
import { asTesseraError } from "../errors.js";
import { openAiError } from "./errors.js";
import type { Caller, ChatDelta, ChatRequest, ChatTarget } from "./target.js";

/** A part of an answer, or the whole. */
interface Part {
  readonly text: string;
  /** Those of the text, where the request asks for them. */
  readonly tokens?: readonly Token[] | undefined;
  /** Why the answer ended; null where it goes on. */
  readonly finish: string | null;
  /** Where the text begins in the whole answer, in UTF-16 code units. */
  readonly offset: number;
  /** Whether nothing came before. */
  readonly first?: boolean;
  readonly annotations?: readonly object[];
}

/** How one of the two routes says things. */
interface Wording {
  readonly prefix: string;
  readonly whole: string;
  readonly piece: string;
  choice(part: Part): object;
  delta(part: Part): object;
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
  choice: ({ text: content, tokens, finish, annotations = [] }) => ({
    index: 0,
    message: { role: "assistant", content, refusal: null, ...(annotations.length > 0 && { annotations }) },
    logprobs: chatLogprobs(tokens),
    finish_reason: finish,
  }),
  delta: ({ text: content, tokens, finish, first, annotations = [] }) => ({
    index: 0,
    delta: {
      ...(first && { role: "assistant" }),
      ...((first || content !== "") && { content }),
      ...(annotations.length > 0 && { annotations }),
    },
    logprobs: chatLogprobs(tokens),
    finish_reason: finish,
  }),
};

export const textWording: Wording = {
  prefix: "cmpl",
  whole: "text_completion",
  piece: "text_completion",
  choice: ({ text, tokens, finish, offset }) => ({
    index: 0,
    text,
    logprobs: textLogprobs(tokens, offset),
    finish_reason: finish,
  }),
  delta: ({ text, tokens, finish, offset }) => ({
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

/** Where a cited passage stands, as an address: its path with the lines behind "#". */
const addressOf = ({ path, passage, lines }: Citation): string =>
  `${encodeURI(path ?? passage)}${lines ? `#L${lines[0]}-L${lines[1]}` : ""}`;

/**
 * The places of a text where its sources are named, as OpenAI's annotations: offsets in UTF-16 code units of each marker.
 */
function annotationsOf(text: string, citations: readonly Citation[]): object[] {
  const byMarker = new Map(citations.map((citation) => [citation.marker, citation]));
  return [...text.matchAll(/\[(\d{1,4})\]/g)].flatMap(({ 0: found, 1: digits, index }) => {
    const citation = byMarker.get(Number(digits));
    if (!citation) return [];
    const place = { start_index: index, end_index: index + found.length };
    const title = whereOf(citation);
    return [{ type: "url_citation", url_citation: { ...place, url: addressOf(citation), title } }];
  });
}

/** An answer that has begun: its first delta is there, so nothing that can be refused is left. */
export interface Answer {
  /** The whole, as the body of a response. */
  whole(): Promise<object>;
  /** The events of a stream, as they come; an error in the middle is the last event. */
  events(withUsage: boolean): AsyncGenerator<string>;
}

/** What an answer has come to so far. */
class Said {
  text = "";
  readonly tokens: Token[] = [];
  finish: Delta["finish"];
  usage: Delta["usage"];
  citations: readonly Citation[] = [];

  add(delta: ChatDelta): void {
    this.text += delta.text;
    if (delta.tokens) this.tokens.push(...delta.tokens);
    this.finish = delta.finish ?? this.finish;
    this.usage = delta.usage ?? this.usage;
    this.citations = delta.citations ?? this.citations;
  }

  get annotations(): object[] {
    return annotationsOf(this.text, this.citations);
  }

  /** The sources as a field beside those of OpenAI. */
  get sources(): { readonly sources?: readonly Citation[] } {
    return this.citations.length > 0 ? { sources: this.citations } : {};
  }
}

/** What is asked of a target, by whom, and how the answer is said. */
interface Asking {
  /** The name under which the target was asked. */
  readonly model: string;
  readonly request: ChatRequest;
  readonly wording: Wording;
  readonly caller: Caller;
  readonly signal: AbortSignal;
}

/** Asks a target, and waits for the first delta. */
export async function begin(target: ChatTarget, { model, request, wording, caller, signal }: Asking): Promise<Answer> {
  const deltas = target.answer(request, caller, signal)[Symbol.asyncIterator]();
  const beginning = await deltas.next();
  const head = {
    id: `${wording.prefix}-${randomUUID()}`,
    created: Math.floor(Date.now() / 1000),
    model,
    system_fingerprint: target.revision,
  };
  const said = new Said();

  async function* all(): AsyncGenerator<ChatDelta> {
    try {
      for (let next = beginning; !next.done; next = await deltas.next()) {
        said.add(next.value);
        yield next.value;
      }
    } finally {
      await deltas.return?.();
    }
  }

  return {
    async whole() {
      for await (const _ of all());
      const { text, finish = "stop", usage, annotations, sources } = said;
      const tokens = request.logprobs ? said.tokens : undefined;
      const choices = [wording.choice({ text, tokens, finish, offset: 0, annotations })];
      return { ...head, object: wording.whole, choices, usage: usageOf(request, text, usage), ...sources };
    },
    async *events(withUsage) {
      const event = (choices: object[], more: object = {}): string =>
        `data: ${JSON.stringify({ ...head, object: wording.piece, choices, ...(withUsage && { usage: null }), ...more })}\n\n`;
      let first = true;
      try {
        for await (const { text, tokens: given } of all()) {
          const tokens = request.logprobs ? given : undefined;
          if (text === "" && !tokens) continue;
          const offset = said.text.length - text.length;
          yield event([wording.delta({ text, tokens, finish: null, offset, first })]);
          first = false;
        }
        const { text, finish = "stop", usage, annotations, sources } = said;
        yield event([wording.delta({ text: "", finish, offset: text.length, first, annotations })], sources);
        if (withUsage) yield event([], { usage: usageOf(request, text, usage) });
      } catch (thrown) {
        const error = asTesseraError(thrown);
        warnOfHidden(`the answer of "${model}" broke off`, error);
        yield `data: ${JSON.stringify(openAiError(error))}\n\n`;
      }
      yield "data: [DONE]\n\n";
    },
  };
}
