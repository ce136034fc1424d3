// public: WaitRequest, Waits, waitFor
// internal: requestOf, PendingWait, WaitNote, WaitNotes, WaitQuery, waitTypeOf, jsonSchemaOf, Answerers
import type { JsonSchema } from "./json-schema.js";
import type { Json } from "./passage.js";
import { isOptional, type PortType, required } from "./ports.js";

/** Who may answer a wait besides the principal of its run: members of a group, and keys of a service with a scope. */
export interface Answerers {
  readonly groups?: readonly string[] | undefined;
  readonly scope?: string | undefined;
}

/** What a step waits for. The work of an operator returns it by `waitFor`. */
export interface WaitRequest {
  /** What whoever answers is shown. */
  readonly payload?: unknown;
  /** The type of the answer; without `answer` and `form` only time ends the wait. */
  readonly answer?: PortType | undefined;
  /** The output port that takes the answer; "answer" by default. */
  readonly port?: string | undefined;
  /** In place of `answer`: the answer is an object, and each of its members goes to the output port of that name. */
  readonly form?: Readonly<Record<string, PortType>> | undefined;
  /** It waits for a signal of this name, and not for an answer to its own path. */
  readonly signal?: string | undefined;
  /** After how many milliseconds, and at which moment (milliseconds since 1970), it ends without an answer; the first counts. */
  readonly timeoutMs?: number | undefined;
  readonly due?: number | undefined;
  /** The output ports in that case. Without it the step fails with NODE_TIMEOUT. */
  readonly otherwise?: Readonly<Record<string, unknown>> | undefined;
  readonly who?: Answerers | undefined;
}

/** What an operator that may wait says of its waits before it runs. */
export interface Waits {
  /** The signal that it waits for, how many of them a run keeps until somebody receives them, and the type of its value. */
  readonly signal?:
    | {
        readonly name: string;
        readonly queue: number;
        readonly type: PortType;
        readonly who?: Answerers | undefined;
      }
    | undefined;
}

class Requested {
  constructor(readonly request: WaitRequest) {}
}

/**
 * Returned by the work of an operator that declares `waits`: the step waits until somebody answers, a signal comes, or the
 * time is over. The run holds nothing in memory meanwhile, and the work is not called again: the answer becomes the output.
 */
export const waitFor = (request: WaitRequest): never => new Requested(request) as never;

/** The request that the work of an operator returned, if it returned one. */
export const requestOf = (given: unknown): WaitRequest | undefined =>
  given instanceof Requested ? given.request : undefined;

/** A wait as the journal of its run keeps it, in the entry of its step: until it ends the entry is provisional. */
export interface PendingWait extends Omit<WaitRequest, "payload" | "otherwise" | "timeoutMs"> {
  /** Since when, in milliseconds since 1970. */
  readonly since: number;
  /** Once it has ended: by whom or by what, and when. */
  readonly ended?:
    | {
        readonly by: "answer" | "signal" | "time";
        readonly at: number;
        readonly id: string;
        readonly principal?: string;
      }
    | undefined;
}

/** A run that waits, or works on after it has waited: what finds it again, and what wakes it. */
export interface WaitNote {
  readonly run: string;
  readonly flow: string;
  readonly principal?: string | undefined;
  /** Since when it has been waiting, in milliseconds since 1970. */
  readonly since: number;
  /**
   * When it must be taken up: the earliest end of its waits, in milliseconds since 1970. 0: it is being worked on, or its
   * process died then. Nothing where only an answer ends them.
   */
  readonly due?: number | undefined;
  /** The paths of its waits. */
  readonly paths: readonly string[];
}

/** Which of the runs that wait are listed; the least recent first. */
export interface WaitQuery {
  readonly flow?: string | undefined;
  readonly principal?: string | undefined;
  readonly limit: number;
}

/** The part of records that finds runs that wait. What a method wrote survives a crash once its promise has resolved. */
export interface WaitNotes {
  /** Keeps the note of a run, in place of the one before. */
  note(note: WaitNote): Promise<void>;
  /** Removes the note of a run, where there is one. */
  remove(run: string): Promise<void>;
  get(run: string): Promise<WaitNote | undefined>;
  list(query: WaitQuery): Promise<WaitNote[]>;
  /** The runs that are due at a moment and not being worked on, the earliest first, at most `limit`. */
  due(at: number, limit: number): Promise<string[]>;
  /** The earliest moment at which a run is due; nothing where there is none. */
  next(): Promise<number | undefined>;
  /** The runs that are being worked on, or were when their process died. */
  left(): Promise<string[]>;
}

/** The type of the answer as one port type. */
export function waitTypeOf({ answer, form }: Pick<PendingWait, "answer" | "form">): PortType | undefined {
  if (!form) return answer;
  const names = Object.keys(form);
  const schema = jsonSchemaOf as (type: PortType) => JsonSchema;
  return {
    type: "object",
    properties: Object.fromEntries(names.map((name) => [name, schema(form[name]!)])),
    required: names.filter((name) => !isOptional(form[name]!)),
  };
}

const objects: ReadonlySet<string> = new Set(["passage", "hit", "answer"]);
const lists: ReadonlySet<string> = new Set(["passages", "hits"]);

/** The JSON Schema of a port's values. */
export function jsonSchemaOf(type: PortType): { readonly [key: string]: Json } {
  const plain = required(type);
  if (typeof plain === "string") {
    if (plain === "text") return { type: "string" };
    if (plain === "number") return { type: "number" };
    if (plain === "flag") return { type: "boolean" };
    if (lists.has(plain)) return { type: "array", items: { type: "object" } };
    return objects.has(plain) ? { type: "object" } : {};
  }
  if ("choice" in plain) return { type: "string", enum: [...plain.choice] };
  if ("list" in plain) return { type: "array", items: jsonSchemaOf(plain.list) };
  if ("named" in plain) return { type: "object", additionalProperties: jsonSchemaOf(plain.named) };
  return plain as { readonly [key: string]: Json };
}
