import type { Capability, Citation, Delta, GenerateRequest, MaybePromise, Message, Principal } from "@tessera/core";

/** Who makes a request of the OpenAI routes. */
export interface Caller {
  /** Whose share of the models is used: the id of a key. */
  readonly key: string;
  readonly principal?: Principal | undefined;
}

/** What a client asks: the request as a language model takes it, and what of it a flow takes. */
export interface ChatRequest extends GenerateRequest {
  /** The last message of the user and all the others; nothing where the messages leave no question open. */
  readonly question: { readonly text: string; readonly others: readonly Message[] } | undefined;
  /** The conversation of the service that the question continues; a flow is asked then. */
  readonly thread?: string | undefined;
  /** What the client itself said of what has a default. */
  readonly given: { readonly maxTokens: number | undefined };
}

/** A part of an answer; the last one may bring the sources of the whole. */
export interface ChatDelta extends Delta {
  /** What the markers of the text stand for. */
  readonly citations?: readonly Citation[];
}

/** Something that answers chats under the name of a model: a language model, or a flow. */
export interface ChatTarget {
  /** What `/v1/models` calls its owner. */
  readonly ownedBy: string;
  /** Changes when the answers may change; clients see it as `system_fingerprint`. */
  readonly revision: string;
  readonly capabilities: ReadonlySet<Capability | "thread">;
  /**
   * The answer as it comes. Until the first delta an error becomes an HTTP status; after it, an event of the stream.
   * Reading that stops early, or the signal, ends the work.
   */
  answer(request: ChatRequest, caller: Caller, signal: AbortSignal): AsyncIterable<ChatDelta>;
}

/** Targets that are not models of this process: what a caller may see is theirs to decide. */
export interface ExtraModels {
  list(caller: Caller): MaybePromise<readonly { readonly name: string; readonly ownedBy: string }[]>;
  open(name: string, caller: Caller): MaybePromise<ChatTarget | undefined>;
}
