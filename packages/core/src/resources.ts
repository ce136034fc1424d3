// public: Principal, Resource, Host, Embedding, Encoder, StoreQuery, ChangeOptions, Store, Message, Capability
// public: Reranker, Token, GenerateRequest, Sampling, Delta, LanguageModel, Database, GraphDatabase, Folder
// internal: DocumentSizes, FolderDocument, Unread, UnreadReason, unreadReasons, FolderListing, Completion, complete, ModelCall
import type { Filter } from "./filter.js";
import type { Hit, Json, Passage } from "./passage.js";

/** The user who asks. Stores return only what this principal may see. */
export interface Principal {
  readonly id: string;
  readonly groups?: readonly string[];
}

/** An open object, such as a store or a model, that a flow document names. */
export interface Resource {
  /** A text that changes whenever the answers of the resource may change. */
  readonly revision: string;
  /**
   * Rejects if the resource could not answer now. It must be fast and change nothing: the readiness check of a service
   * calls it often.
   */
  check?(signal?: AbortSignal): Promise<void>;
  close?(): Promise<void>;
}

/**
 * Opens resources by kind ("encoder", "model", "store", …) and name.
 * @throws TesseraError UNKNOWN_RESOURCE
 */
export interface Host {
  /** @param otherwise what is used where there is none */
  resource<T extends Resource>(kind: string, name: string, otherwise?: T): Promise<T>;
}

/**
 * Which embedding of a model: the layer after which the encoder stops, and the number of leading components that are
 * kept.
 */
export interface Embedding {
  readonly exit?: number | undefined;
  readonly width?: number | undefined;
}

/** How few candidates are looked at again, by an embedding that is too dear for a whole index. */
interface CloserLook extends Embedding {
  /** The share of the candidate's earlier score in its new one, 0 to 1. */
  readonly kept: number;
}

/** Turns texts into vectors. Vectors of one `space` have one width, and may be compared with each other. */
export interface Encoder extends Resource {
  /** Absent where an index holds the best embedding already. */
  readonly closer?: CloserLook | undefined;
  /** The share of words where scores of words and of these vectors are fused, 0 to 1; one half where it is absent. */
  readonly words?: number | undefined;
  /** The languages that it was trained on, by their ISO 639-1 codes; absent where it is not known, or of all. */
  readonly languages?: readonly string[] | undefined;
  /** Whether calls cost money, so that no vector should be computed twice and no index lose its vectors unasked. */
  readonly paid?: boolean | undefined;
  /** The name of the vector space of an embedding. Vectors of different spaces must not be compared. */
  space(embedding: Embedding): string;
  /** The spaces in which a query vector of this embedding may search; by default only its own. */
  searches?(query: Embedding): readonly string[];
  /** Computes the vector of each text, of unit length, in the order of the texts. */
  encode(
    texts: readonly string[],
    how: Embedding & { readonly kind: "query" | "code" | "text" },
    signal?: AbortSignal,
  ): Promise<Float32Array[]>;
}

/** A model that reads a query and a text together, and says how well they fit: a cross-encoder. */
export interface Reranker extends Resource {
  /** One finite score a text, in order: the higher the better. Scores of different models must not be compared. */
  rank(query: string, texts: readonly string[], signal?: AbortSignal): Promise<readonly number[]>;
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
   * A key of the change. If the store already has a change with this key, it does nothing. A step gives its
   * `context.idempotencyKey`; if it makes several changes of one store, it adds a different ending for each.
   */
  readonly idempotencyKey?: string | undefined;
}

/** A searchable set of passages. It applies the filter and the principal's rights before it takes the best. */
export interface Store extends Resource {
  /** The vector space of the store, if it holds vectors. */
  readonly space?: string | undefined;
  /** The best `top` passages that the filter and the rights of the principal admit, by descending score. */
  search(query: StoreQuery, signal?: AbortSignal): Promise<Hit[]>;
  /** Passages by id, in the given order; undefined for an id that is unknown or that the principal may not see. */
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
  /** The most likely tokens at this place, this one included, if they were asked for. */
  readonly alternatives?: readonly { readonly text: string; readonly logprob: number }[] | undefined;
}

/** What a language model is asked: messages, sampling, limits, and the form of the answer. */
export interface GenerateRequest {
  readonly messages: readonly Message[];
  /** The beginning of the answer; the deltas do not repeat it. Needs "prefix". */
  readonly prefix?: string | undefined;
  readonly stop?: readonly string[] | undefined;
  /** A JSON Schema that the answer must meet. Needs "json". */
  readonly schema?: { readonly [key: string]: Json } | undefined;
  readonly seed?: number | undefined;
  readonly temperature?: number | undefined;
  /**
   * Draws from the smallest set of most likely tokens whose probabilities sum to this; 1 means all tokens. A model may
   * ignore it.
   */
  readonly topP?: number | undefined;
  readonly maxTokens: number;
  /** Asks for the log-probability of each token. Needs "logprobs". */
  readonly logprobs?: boolean | undefined;
  /** With `logprobs`: how many of the most likely tokens to name at each place. A model may name fewer, or none. */
  readonly alternatives?: number | undefined;
}

/** What the starter of a run asks of its language models. It overrides what the operators ask for. */
export interface Sampling {
  readonly temperature?: number | undefined;
  readonly topP?: number | undefined;
  /** The seed, for models that support one. */
  readonly seed?: number | undefined;
  /** The most tokens of one answer. If the operator's own limit is lower, that counts. */
  readonly maxTokens?: number | undefined;
  /** The paths of the nodes to whose models it applies ("ask/answer"), with everything inside them; by default all. */
  readonly paths?: readonly string[] | undefined;
}

/** What one answer of a language model came to. */
export interface ModelCall {
  /** Tokens, as the model counts them, or else as they are estimated. */
  readonly prompt: number;
  readonly completion: number;
  readonly finish: "stop" | "length";
  /** What the model was asked, and what it said. Events hold them only in a run with `prompts`. */
  readonly input?: { readonly messages: readonly Message[]; readonly prefix?: string | undefined };
  readonly output?: { readonly text: string };
}

/** A part of an answer. */
export interface Delta {
  readonly text: string;
  /** The tokens of `text` with the natural logarithms of their probabilities, if they were asked for. */
  readonly tokens?: readonly Token[];
  /** The thoughts of the model before its answer, if the service separates them. They are not part of `text`. */
  readonly thoughts?: string;
  /** Why the answer ended; only in the last delta. */
  readonly finish?: "stop" | "length";
  /** The number of tokens; only in the last delta. */
  readonly usage?: { readonly prompt: number; readonly completion: number };
}

/** Writes text; with the capability `score` it also says how probable a text is. */
export interface LanguageModel extends Resource {
  readonly capabilities: ReadonlySet<Capability>;
  /** Whether its answers were written by hand or by a program. Figures measured with it say nothing about quality. */
  readonly scripted?: boolean;
  /** The most tokens of a prompt and its answer together, if known. */
  readonly context?: number;
  /**
   * "brief" if the model was trained on short prompts with marks ("[modular]", "[revise]", …) and understands no
   * instructions.
   */
  readonly prompts?: "brief" | undefined;
  /** The number of tokens of a text, if the model has its tokenizer at hand. Otherwise `countTokens` estimates it. */
  count?(text: string): number;
  generate(request: GenerateRequest, signal?: AbortSignal): AsyncIterable<Delta>;
  /**
   * The tokens of a given text, as an answer to the messages, with their log-probabilities. Needs "score". With `plain`
   * the texts of the messages stand before it without roles and chat template, if the model can do that.
   */
  score?(
    request: { readonly messages: readonly Message[]; readonly text: string; readonly plain?: boolean | undefined },
    signal?: AbortSignal,
  ): Promise<{ tokens: Token[]; usage: { prompt: number; completion: number } }>;
}

/** A database that statements of a model may read. */
export interface Database extends Resource {
  /** The SQL dialect of its statements. */
  readonly dialect: "sqlite" | "postgresql" | "mysql";
  /**
   * Functions that a statement may call besides the reading functions of the dialect, with their schema, if any. The
   * provider of the database admits them and is responsible that they only read. A document cannot admit any.
   */
  readonly functions?: readonly string[] | undefined;
  /** A description of its tables for a model: names, columns, types, keys. */
  describe(signal?: AbortSignal): Promise<string>;
  /**
   * Runs one reading statement and returns at most `rows` rows. Use a connection that cannot write, as a second
   * protection.
   */
  read(statement: string, rows: number, signal?: AbortSignal): Promise<{ [column: string]: Json }[]>;
}

/** What queries of a model may do in a graph database. */
export interface GraphDatabase extends Resource {
  /**
   * Functions and procedures that a query may call besides those of the language, such as "db.index.vector.queryNodes".
   * The provider of the database admits them and is responsible that they only read. A document cannot admit any.
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

/** A folder that may be read. Nothing outside it can be reached through it. */
export interface Folder extends Resource {
  /**
   * Lists the files of the folder and its subfolders. Files larger than `maximumBytes` are left out; `exclude` holds
   * patterns as in a .gitignore.
   * @throws TesseraError BAD_SOURCE if the folder no longer exists or may not be read.
   */
  list(
    how: { readonly maximumBytes: number; readonly exclude: readonly string[] },
    signal?: AbortSignal,
  ): Promise<FolderListing>;
  /** Reads a file, at most `maximumBytes` of it, or returns the reason why it cannot be read. */
  read(path: string, maximumBytes: number, signal?: AbortSignal): Promise<Uint8Array | UnreadReason>;
  /**
   * A whole file as a document, by the reader of its kind, and what of it was not read. A folder that has no readers gives
   * bytes alone; then what is text is read.
   */
  document?(path: string, how: DocumentSizes, signal?: AbortSignal): Promise<FolderDocument>;
}

/** Bytes that a file may have: a text, and a file of another kind such as a PDF. */
export interface DocumentSizes {
  readonly maximumBytes: number;
  readonly maximumDocumentBytes: number;
}

/** A file as a document; without one, `unread` says why. */
export interface FolderDocument {
  readonly document?: Passage | undefined;
  readonly unread: readonly Unread[];
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
