// public: Principal, Resource, Host, Embedding, Encoder, StoreQuery, ChangeOptions, Store, Message, Capability
// public: Token, GenerateRequest, Sampling, Delta, LanguageModel, Database, GraphDatabase, Folder
// internal: Unread, UnreadReason, unreadReasons, FolderListing, Completion, complete, ModelCall
import type { Filter } from "./filter.js";
import type { Hit, Json, Passage } from "./passage.js";

/** Who asks. Stores hand out only what this principal may see. */
export interface Principal {
  readonly id: string;
  readonly groups?: readonly string[];
}

/** A live thing that a flow document may only name. */
export interface Resource {
  /** Changes when the answers of the resource may change. */
  readonly revision: string;
  /** Rejects where it could not answer now. A service's readiness asks it often: it is quick, and changes nothing. */
  check?(signal?: AbortSignal): Promise<void>;
  close?(): Promise<void>;
}

/** Opens resources by kind ("encoder", "model", "store", …) and name; throws `UNKNOWN_RESOURCE`. */
export interface Host {
  resource<T extends Resource>(kind: string, name: string): Promise<T>;
}

/** Which of a model's embeddings: the layer it leaves by, and how many leading components are kept. */
export interface Embedding {
  readonly exit?: number | undefined;
  readonly width?: number | undefined;
}

/** Turns texts into vectors. Vectors of one `space` have one width, and may be compared with each other. */
export interface Encoder extends Resource {
  /** The name of the vector space of an embedding; vectors of different spaces must not be compared. */
  space(embedding: Embedding): string;
  /** The spaces whose vectors may be searched with a query vector of this embedding; by default its own alone. */
  searches?(query: Embedding): readonly string[];
  /** Unit vectors, one a text, in order. */
  encode(
    texts: readonly string[],
    how: Embedding & { readonly kind: "query" | "code" | "text" },
    signal?: AbortSignal,
  ): Promise<Float32Array[]>;
}

/** What a store is searched by: a text or a vector, how many hits, a filter, and who asks. */
export interface StoreQuery {
  readonly vector?: Float32Array | undefined;
  readonly text?: string | undefined;
  readonly top: number;
  readonly filter?: Filter | undefined;
  readonly principal?: Principal | undefined;
}

/** How a change of a store is made. */
export interface ChangeOptions {
  /**
   * Names the change: one whose key the store has kept with an earlier change is not made again. A step gives its
   * `context.idempotencyKey`, and where it makes several changes of one store, each time with another ending.
   */
  readonly idempotencyKey?: string | undefined;
}

/** A searchable set of passages. It applies the filter and the principal's rights before it takes the best. */
export interface Store extends Resource {
  /** The vector space that the store holds, where it holds vectors. */
  readonly space?: string | undefined;
  /** The best `top` passages among those that the filter and the principal admit, by falling score. */
  search(query: StoreQuery, signal?: AbortSignal): Promise<Hit[]>;
  /** Passages by id, in order; what is unknown or not admitted for the principal is `undefined`. */
  get?(ids: readonly string[], principal?: Principal): Promise<(Passage | undefined)[]>;
  /** Adds passages, or replaces those of the same id. */
  upsert(passages: readonly Passage[], vectors?: readonly Float32Array[], how?: ChangeOptions): Promise<void>;
  delete(ids: readonly string[], how?: ChangeOptions): Promise<void>;
}

/** A message of a conversation with a language model. */
export interface Message {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

/**
 * What a language model can do beyond plain text: token probabilities, going on from a given beginning, JSON by a
 * schema, a seed, scoring of texts.
 */
export type Capability = "logprobs" | "prefix" | "json" | "seed" | "score";

/** A token with its natural-log probability. */
export interface Token {
  readonly text: string;
  readonly logprob: number;
  /** The likeliest tokens at this place, itself among them, where they were asked for. */
  readonly alternatives?: readonly { readonly text: string; readonly logprob: number }[] | undefined;
}

/** What a language model is asked: messages, sampling, limits, and the form of the answer. */
export interface GenerateRequest {
  readonly messages: readonly Message[];
  /** Text that the answer must begin with; it is not repeated in the deltas. Needs "prefix". */
  readonly prefix?: string | undefined;
  readonly stop?: readonly string[] | undefined;
  /** A JSON Schema that the answer must meet. Needs "json". */
  readonly schema?: { readonly [key: string]: Json } | undefined;
  readonly seed?: number | undefined;
  readonly temperature?: number | undefined;
  /** Draws among the fewest likeliest tokens whose probabilities sum to this; 1 is all. A model may not know it. */
  readonly topP?: number | undefined;
  readonly maxTokens: number;
  /** Asks for the log-probability of each token. Needs "logprobs". */
  readonly logprobs?: boolean | undefined;
  /** With `logprobs`: how many of the likeliest tokens to name at each place. A model may name fewer, or none. */
  readonly alternatives?: number | undefined;
}

/** What whoever starts a run asks of the language models in it, over what their operators ask by themselves. */
export interface Sampling {
  readonly temperature?: number | undefined;
  readonly topP?: number | undefined;
  /** For models that know seeds; others draw as they do. */
  readonly seed?: number | undefined;
  /** The most tokens of one answer; the operator's own limit holds where it is less. */
  readonly maxTokens?: number | undefined;
  /** The paths of the nodes whose models it is for ("ask/answer"), with all that is inside them; by default all. */
  readonly paths?: readonly string[] | undefined;
}

/** What one answer of a language model came to. */
export interface ModelCall {
  /** Tokens, as the model counts them, or else as they are estimated. */
  readonly prompt: number;
  readonly completion: number;
  readonly finish: "stop" | "length";
}

/** A part of an answer. */
export interface Delta {
  readonly text: string;
  /** The tokens of `text` with their natural-log probabilities, where they were asked for. */
  readonly tokens?: readonly Token[];
  /** What the model thinks before it answers, where the service parts it from the answer; it is not part of `text`. */
  readonly thoughts?: string;
  /** On the last delta. */
  readonly finish?: "stop" | "length";
  /** On the last delta, in tokens. */
  readonly usage?: { readonly prompt: number; readonly completion: number };
}

/** Writes text; with the capability `score` it also says how probable a text is. */
export interface LanguageModel extends Resource {
  readonly capabilities: ReadonlySet<Capability>;
  /** Its answers were written by hand or by a program: it is no model, and no figure made with it is one of quality. */
  readonly scripted?: boolean;
  /** The most tokens of a prompt and its answer together, where it is known. */
  readonly context?: number;
  /** "brief" where it was trained on short marked prompts ("[modular]", "[revise]", …) and knows no instructions. */
  readonly prompts?: "brief" | undefined;
  /** The number of tokens of a text, where the model's tokenizer is at hand; else it is estimated (`countTokens`). */
  count?(text: string): number;
  generate(request: GenerateRequest, signal?: AbortSignal): AsyncIterable<Delta>;
  /**
   * The tokens of a given text as the answer to the messages, with their log-probabilities. Needs "score". With `plain` the
   * messages' texts stand before it as they are, without roles or a chat template, where the model can do that.
   */
  score?(
    request: { readonly messages: readonly Message[]; readonly text: string; readonly plain?: boolean | undefined },
    signal?: AbortSignal,
  ): Promise<{ tokens: Token[]; usage: { prompt: number; completion: number } }>;
}

/** A database that may be read by statements which a model wrote. */
export interface Database extends Resource {
  /** The language of its statements, as a parser names it. */
  readonly dialect: "sqlite" | "postgresql" | "mysql";
  /**
   * Functions that a statement may call besides those of the dialect that only read, with their schema, if any. Whoever
   * hands the database over admits them, and vouches that they only read; a document cannot.
   */
  readonly functions?: readonly string[] | undefined;
  /** Its tables as a model should see them: names, columns, types, keys. */
  describe(signal?: AbortSignal): Promise<string>;
  /** Runs one reading statement, and returns at most `rows` rows. A connection that cannot write is the second guard. */
  read(statement: string, rows: number, signal?: AbortSignal): Promise<{ [column: string]: Json }[]>;
}

/** What a graph database lets a query do that a model wrote. */
export interface GraphDatabase extends Resource {
  /**
   * Functions and procedures that a query may call besides those of the language, such as "db.index.vector.queryNodes".
   * Whoever hands the database over admits them, and vouches that they only read; a document cannot.
   */
  readonly functions?: readonly string[] | undefined;
}

/**
 * Why a file of a folder gives no text, or not all of it: "missing" where a library is that reads it, "limit" where it
 * takes more time, memory or room than a file may, "partial" where a part of it gives none.
 */
export const unreadReasons = [
  "binary",
  "damaged",
  "encoding",
  "encrypted",
  "limit",
  "link",
  "minified",
  "missing",
  "no-text",
  "partial",
  "special",
  "too-large",
  "unreadable",
  "unsupported",
] as const;
export type UnreadReason = (typeof unreadReasons)[number];

export interface FolderListing {
  /** Relative to the folder, with "/" between the names, in their order. */
  readonly files: readonly string[];
  readonly skipped: readonly Unread[];
}

/** A file, or a part of one, that gives no text. */
export interface Unread {
  readonly path: string;
  readonly reason: UnreadReason;
  /** What is the matter in this file, and what to do about it, in plain words. */
  readonly detail?: string | undefined;
}

/** A folder that was handed over for reading. Nothing outside it can be reached through it. */
export interface Folder extends Resource {
  /**
   * The files below it; `maximumBytes` is the largest size that is listed, `exclude` holds patterns as in a .gitignore.
   * @throws TesseraError BAD_SOURCE where the folder is no more, or may not be read.
   */
  list(
    how: { readonly maximumBytes: number; readonly exclude: readonly string[] },
    signal?: AbortSignal,
  ): Promise<FolderListing>;
  /** The bytes of a file, at most `maximumBytes` of them whatever the file says of its size; or why there are none. */
  read(path: string, maximumBytes: number, signal?: AbortSignal): Promise<Uint8Array | UnreadReason>;
}

/** A model's whole answer. */
export interface Completion {
  readonly text: string;
  readonly tokens: readonly Token[];
  readonly finish: "stop" | "length";
  /** Undefined where the model does not report it. */
  readonly usage: { readonly prompt: number; readonly completion: number } | undefined;
  /** What a reasoning model thought before it answered, where the service or `ask` parted it from the text. */
  readonly thoughts?: readonly string[];
}

/** Reads a model's answer to the end; `hear` gets each part as it comes. */
export async function complete(
  model: LanguageModel,
  request: GenerateRequest,
  signal?: AbortSignal,
  hear?: (text: string) => void,
): Promise<Completion> {
  let text = "";
  const tokens: Token[] = [];
  let finish: Completion["finish"] = "stop";
  let usage: Completion["usage"];
  let thoughts = "";
  for await (const delta of model.generate(request, signal)) {
    text += delta.text;
    hear?.(delta.text);
    thoughts += delta.thoughts ?? "";
    if (delta.tokens) tokens.push(...delta.tokens);
    finish = delta.finish ?? finish;
    usage = delta.usage ?? usage;
  }
  return { text, tokens, finish, usage, ...(thoughts.trim() !== "" && { thoughts: [thoughts.trim()] }) };
}
