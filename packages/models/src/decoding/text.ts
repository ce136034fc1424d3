import { setImmediate as pause } from "node:timers/promises";
import { type Capability, type Delta, type GenerateRequest, TesseraError, type Token } from "@tessera/core";
import { mulberry32 } from "@tessera/core/internal";
import type { DecoderModel } from "../architectures/decoder.js";
import type { Sampling } from "../engines/engine.js";
import type { DrawnToken } from "../serving/decoder-scheduler.js";
import type { Answering, TextGeneration } from "../serving/language-model-service.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { type ChatPrompt, chatPrompt, seams } from "./chat-template.js";
import { type SchemaAnswer, SchemaDecoding } from "./json-schema/decoding.js";

const capabilities: ReadonlySet<Capability> = new Set(["logprobs", "prefix", "json", "seed", "score"]);

/**
 * Requests as tokens and tokens as text, by the template of docs/models/decoder-bundle.md or the chat template of the model's file. Only tokens that have bytes
 * and the end may be drawn, under a JSON Schema those that keep the answer within it; log-probabilities are among these.
 * Without a temperature the likeliest token is taken.
 *
 * @param longest Tokens of prompt and answer together, at most.
 */
export function languageModelText(
  model: DecoderModel,
  tokenizer: Tokenizer,
  revision: string,
  longest = model.context,
): TextGeneration {
  const ends = new Set(model.ends ?? [model.marks.end]);
  const allowed = new Uint32Array(Math.ceil(model.embedding.rows / 32));
  for (let id = 0; id < model.embedding.rows; id++)
    if (ends.has(id) || tokenizer.bytes(id).length > 0) allowed[id >> 5]! |= 1 << (id & 31);
  const schemas = new SchemaDecoding(tokenizer, model.embedding.rows, model.marks.end);
  const promptOf = promptReader(model, tokenizer);
  // prompts that come at once are read one a turn of the event loop
  let turn: Promise<unknown> = Promise.resolve();
  return {
    revision,
    capabilities,
    async begin(request) {
      checkRequest(request, model);
      turn = turn.then(() => pause());
      await turn;
      const prompt = await promptOf(request, longest);
      if (prompt.length >= longest)
        throw new TesseraError(
          "BAD_ARGUMENT",
          `the prompt has ${longest} tokens or more; prompt and answer together may have ${longest}`,
          { path: model.name, hint: "give the model fewer or shorter passages" },
        );
      const { schema, prefix = "", maxTokens } = request;
      const held = schema && (await schemas.begin(schema, prefix, Math.min(maxTokens, longest - prompt.length)));
      return new TextAnswer(request, prompt, allowed, held, ends, tokenizer);
    },
    async score({ messages, text, plain = false }) {
      checkRequest({ messages, prefix: text, maxTokens: 1 }, model);
      const before = messages.map(({ content }) => content).join("\n\n");
      const read = async (prefix: string): Promise<Int32Array> =>
        plain ? tokenizer.encode(before + prefix, longest) : promptOf({ messages, prefix }, longest);
      const from = (await read("")).length;
      const ids = await read(text);
      if (text === "" || ids.length >= longest)
        throw new TesseraError(
          "BAD_ARGUMENT",
          text === "" ? "the text to score is empty" : `prompt and text together may have fewer than ${longest} tokens`,
          { path: model.name },
        );
      const tokens = (logprobs: Float32Array): Token[] =>
        Array.from(logprobs, (logprob, i) => ({ text: tokenizer.decode([ids[from + i]!]), logprob }));
      return { ids, from, tokens };
    },
  };
}

/**
 * What every local model asks of a request.
 * @throws TesseraError BAD_ARGUMENT
 */
export function checkRequest(request: GenerateRequest, { name }: Pick<DecoderModel, "name">): void {
  const { messages, prefix = "", schema, maxTokens, temperature = 0, topP = 1, seed } = request;
  const { stop = [], logprobs, alternatives } = request;
  const refuse = (message: string, hint: string): TesseraError =>
    new TesseraError("BAD_ARGUMENT", message, { path: name, hint });
  if (schema && stop.length > 0)
    throw refuse("stop strings are given beside a JSON Schema", "the answer ends where its JSON does; leave them out");
  if (prefix === "" && messages.every(({ content }) => content === ""))
    throw refuse("the prompt is empty", "give at least one message with text");
  if (messages.some(({ role }, i) => role === "system" && i > 0))
    throw refuse("a system message follows another message", "only the first message may be of the system");
  if (messages.at(-1)?.role === "assistant")
    throw refuse("the last message is the assistant's own", "give the beginning of an answer as `prefix`");
  if (!Number.isSafeInteger(maxTokens) || maxTokens < 1) throw refuse(`maxTokens is ${maxTokens}`, "use 1 or more");
  if (!(temperature >= 0 && temperature < Number.POSITIVE_INFINITY))
    throw refuse(`the temperature is ${temperature}`, "use 0 or more");
  if (!(topP > 0 && topP <= 1)) throw refuse(`top-p is ${topP}`, "use a share above 0 and up to 1");
  if (seed !== undefined && !Number.isSafeInteger(seed)) throw refuse(`the seed is ${seed}`, "use a whole number");
  if (stop.includes("")) throw refuse("a stop string is empty", "every text contains it; leave it out");
  if (alternatives && !logprobs) throw refuse("alternatives are asked for without logprobs", "ask for both");
}

type Prompt = Pick<GenerateRequest, "messages" | "prefix">;

/** Reads prompts by the model's chat template, which is compiled with the first one, or by its marks. */
function promptReader(
  model: DecoderModel,
  tokenizer: Tokenizer,
): (prompt: Prompt, most: number) => Int32Array | Promise<Int32Array> {
  const { chat } = model;
  if (!chat) return (prompt, most) => promptOf(prompt, model, tokenizer, most);
  let compiled: Promise<ChatPrompt> | undefined;
  return async ({ messages, prefix = "" }, most) => {
    compiled ??= chatPrompt(chat, model.name);
    const render = await compiled;
    const { seam, seamed } = seams(messages.map(({ content }) => content).concat(prefix), tokenizer.marks ?? []);
    const rendered = render(messages.map((message, i) => ({ ...message, content: seamed[i]! })));
    if (!tokenizer.encodeMarked)
      throw new TesseraError("MISSING_CAPABILITY", "the marks of a prompt cannot be told from text by this tokenizer", {
        path: model.name,
      });
    return tokenizer.encodeMarked(`${rendered}${seamed.at(-1)}`, seam, most);
  };
}

/** At most `most` tokens are read: what is longer is refused, and its end need not be known. */
export function promptOf(
  { messages, prefix = "" }: Prompt,
  { marks }: DecoderModel,
  tokenizer: Tokenizer,
  most: number,
) {
  const ids: number[] = [];
  const read = (text: string): void => {
    for (const id of tokenizer.encode(text, Math.max(0, most - ids.length))) ids.push(id);
  };
  for (const { role, content } of messages) {
    ids.push(marks[role]);
    read(content);
    if (role === "assistant") ids.push(marks.end);
  }
  ids.push(marks.assistant);
  read(prefix);
  return Int32Array.from(ids);
}

/** Text goes out as soon as it is whole characters and cannot be the beginning of a stop string. */
class TextAnswer implements Answering {
  readonly maxTokens: number;
  private readonly random: () => number;
  private readonly decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  /** Tokens that were not sent, each with the place in the answer where its text begins. */
  private readonly tokens: { readonly token: Token; readonly from: number }[] = [];
  private pending = "";
  private sent = 0;
  private stopped = false;

  constructor(
    private readonly request: GenerateRequest,
    readonly prompt: Int32Array,
    private readonly allowed: Uint32Array,
    private readonly held: SchemaAnswer | undefined,
    private readonly ends: ReadonlySet<number>,
    private readonly tokenizer: Tokenizer,
  ) {
    this.maxTokens = request.maxTokens;
    this.random = mulberry32(request.seed ?? Math.floor(Math.random() * 2 ** 32));
  }

  sampling(): Sampling {
    const { temperature = 0, topP = 1, alternatives } = this.request;
    const allowed = this.held?.allowed() ?? this.allowed;
    return { temperature, topP, random: this.random(), allowed, alternatives };
  }

  take(drawn: DrawnToken): { delta?: Delta | undefined; stop: boolean } {
    if (this.ends.has(drawn.id)) return { stop: true };
    if (this.request.logprobs) this.tokens.push({ token: this.tokenOf(drawn), from: this.sent + this.pending.length });
    this.pending += this.decoder.decode(this.tokenizer.bytes(drawn.id), { stream: true });
    const { stop = [] } = this.request;
    const found = stop.map((text) => this.pending.indexOf(text)).filter((at) => at >= 0);
    this.stopped = found.length > 0;
    const ready = this.stopped ? Math.min(...found) : this.pending.length - beginningOfAny(stop, this.pending);
    const whole = this.held?.take(drawn.id) ?? false;
    return { delta: this.send(ready), stop: this.stopped || whole };
  }

  rest(): Delta | undefined {
    if (this.stopped) return undefined;
    this.pending += this.decoder.decode();
    return this.send(this.pending.length, true);
  }

  /** The first `length` characters held back, with the tokens that begin in them, or with all. */
  private send(length: number, all = false): Delta | undefined {
    const text = this.pending.slice(0, length);
    this.pending = this.pending.slice(length);
    this.sent += length;
    const count = all ? this.tokens.length : this.tokens.filter(({ from }) => from < this.sent).length;
    const tokens = this.tokens.splice(0, count).map(({ token }) => token);
    if (text === "" && tokens.length === 0) return undefined;
    return { text, ...(this.request.logprobs && { tokens }) };
  }

  private tokenOf({ id, logprob, alternatives }: DrawnToken): Token {
    const textOf = (token: number): string => this.tokenizer.decode([token]);
    return {
      text: textOf(id),
      logprob,
      ...(alternatives && {
        alternatives: alternatives.map((one) => ({ text: textOf(one.id), logprob: one.logprob })),
      }),
    };
  }
}

/** The length of the longest end of `text` with which one of `strings` begins. */
function beginningOfAny(strings: readonly string[], text: string): number {
  const most = Math.min(text.length, Math.max(0, ...strings.map(({ length }) => length - 1)));
  for (let length = most; length > 0; length--)
    if (strings.some((string) => string.startsWith(text.slice(-length)))) return length;
  return 0;
}
