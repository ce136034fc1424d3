// public: errorCodes, ErrorCode, TesseraError
// internal: errorBody, logLine, warn, warnOfHidden, messageOf, ErrorBody
import { z } from "zod";
import { assertNode } from "./floor.js";
import { limits } from "./limits.js";
import { maskSecrets } from "./secrets.js";

assertNode();

/** Every code that a `TesseraError` can carry, with what it means. docs/errors.md is generated from this table. */
export const errorCodes = {
  ABORTED: "The run was aborted by its signal, or its stream was left early.",
  BAD_ARGUMENT: "A function of the library was called with an argument it cannot use.",
  BAD_BUNDLE: "A model bundle is incomplete, damaged, or its config does not fit its tensors.",
  BAD_CONDITION: "A `when` reads something that is not a flag or a choice, or names a value it cannot have.",
  BAD_CONFIG: "The `with` of a node does not fit the operator's config schema.",
  BAD_DOCUMENT: "The value is not a flow document.",
  BAD_EACH: "An `each` names a port that does not exist, or the wire to it is no list.",
  BAD_INPUT: "The input of a run does not fit the flow's declared input.",
  BAD_JSON: "The text is not JSON.",
  BAD_OPERATOR: "An operator is declared wrongly: its ports transform values, or its name is taken or malformed.",
  BAD_OUTPUT: "An operator returned a value that does not fit its output ports.",
  BAD_REPEAT: "A `repeat` names a port that does not exist or has the wrong type, or carries nothing that changes.",
  BAD_SETTINGS: "A config file of the command line cannot be read, or a field of it is wrong.",
  BAD_SOURCE: "A document to index cannot be read.",
  BAD_VALUE: "A value on a wire does not fit the port it reaches.",
  BAD_WAIT: "A node that may wait has a policy that cannot hold while it waits.",
  CLOSED: "The resource or the framework object was closed before the call.",
  CONFLICT:
    "What is asked for contradicts what is there: a name that is taken, a run that has ended, a resource in use.",
  CYCLE: "Nodes read each other in a circle.",
  DEPENDENCY_MISSING: "An optional package that this feature needs is not installed or cannot be loaded.",
  DOCUMENT_TOO_LARGE: "A flow document is nested too deeply or holds too many nodes.",
  FORBIDDEN: "The key that was shown does not permit this.",
  INDEX_CORRUPT: "An index on disk is damaged.",
  INDEX_LOCKED: "Another process is writing the index.",
  INDEX_MISSING: "There is no index at this place.",
  INTERNAL: "The service failed in a way that it does not explain to clients; its log does.",
  INVALID_FLOW: "A flow document has findings; each carries its own code and place.",
  METHOD_NOT_ALLOWED: "The address does not take this method; `Allow` names those that it takes.",
  MISSING_CAPABILITY: "A model lacks an ability that an operator needs.",
  MISSING_INPUT: "An input port of a node is not fed.",
  MODEL_FAILED: "A model could not answer.",
  NODE_FAILED: "An operator threw.",
  NODE_TIMEOUT: "An attempt of a node took longer than its policy allows.",
  NOT_FOUND: "There is nothing at this address, or nothing that the key may see.",
  NOT_READY: "A service cannot run its flows now: something that they need does not answer.",
  NOT_TRUSTED: "A config file is code that has not run on this machine as it is now.",
  OVERLOADED: "Too much work waits already; nothing of this call was done, and it may be made again later.",
  QUOTA_EXHAUSTED: "A key has spent its budget of calls or tokens.",
  RECORD_CORRUPT: "A record on disk is damaged.",
  RECORD_MISSING: "A replay asked for a step that was not recorded.",
  REQUEST_TIMEOUT: "A request did not arrive within the time that the service gives it.",
  REQUEST_TOO_LARGE: "The body, the head or the address of a request is larger than the service takes.",
  SANDBOX_REFUSED: "Untrusted code was not run: no isolating driver is available, or the driver refused it.",
  SETUP_FAILED: "An operator could not be set up.",
  SPACE_MISMATCH: "A query's vector space is not permitted for the index, or widths differ.",
  STARVED_OUTPUT: "A flow output is not reached under some combination of decisions.",
  STORE_FAILED: "A store could not read or write.",
  TOOL_FAILED: "A tool or a resource of an MCP server could not be used.",
  TOO_MANY_COMBINATIONS:
    "Whether an output is always reached was not found within the steps of a check: too many decisions depend on each other.",
  TOO_MANY_ELEMENTS: "An `each` received more elements than its `max`.",
  TYPE_MISMATCH: "A wire joins two ports whose types cannot agree.",
  UNAUTHENTICATED: "A request showed no key, or one that is unknown or revoked.",
  UNBOUNDED: "An operator uses a language model and declares no bound.",
  UNKNOWN_NODE: "A source names a node that does not exist.",
  UNKNOWN_OPERATOR: "A node runs an operator that is not registered.",
  UNKNOWN_PORT: "A source or an input names a port that does not exist.",
  UNKNOWN_RESOURCE: "The host has no resource of that kind and name.",
  UNSUPPORTED_MEDIA: "The body of a request is of a type that the address does not take.",
  UNUSED_NODE: "Nothing reads a node, and it writes nothing.",
} as const;

/** A code of the closed table of errors. */
export type ErrorCode = keyof typeof errorCodes;

export interface ErrorDetails {
  /** Where: a path in a flow ("ask/attempt#2/rerank"), in a document, or of a file. */
  readonly path?: string | undefined;
  /** What the reader can do about it. */
  readonly hint?: string | undefined;
  readonly cause?: unknown;
  /** With OVERLOADED: after how many milliseconds another attempt may succeed. */
  readonly retryAfterMs?: number | undefined;
  /** All findings of a check, where there can be several. */
  readonly findings?: readonly TesseraError[];
}

const brand = Symbol.for("tessera.error");

/** The one error class of the framework. */
export class TesseraError extends Error {
  override readonly name = "TesseraError";
  readonly code: ErrorCode;
  readonly path: string | undefined;
  readonly hint: string | undefined;
  readonly retryAfterMs: number | undefined;
  readonly findings: readonly TesseraError[];
  readonly [brand] = true;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.path = details.path;
    this.hint = details.hint;
    this.retryAfterMs = details.retryAfterMs;
    this.findings = details.findings ?? [];
  }

  /** Whether a value is a `TesseraError`, also one of another copy of this package. It never throws. */
  static is(value: unknown): value is TesseraError {
    try {
      return typeof value === "object" && value !== null && brand in value;
    } catch {
      return false;
    }
  }

  /** The error as plain data, for logs and for sending. */
  toJSON(): { code: ErrorCode; message: string; path?: string; hint?: string; findings?: object[]; cause?: string } {
    return {
      code: this.code,
      message: this.message,
      ...(this.path !== undefined && { path: this.path }),
      ...(this.hint !== undefined && { hint: this.hint }),
      ...(this.findings.length > 0 && { findings: this.findings.map((finding) => finding.toJSON()) }),
      ...(this.cause !== undefined && { cause: messageOf(this.cause) }),
    };
  }
}

/** An error as a remote caller may see it: without causes, secrets, or paths of the machine. */
export interface ErrorBody {
  readonly code: ErrorCode;
  readonly message: string;
  readonly path?: string;
  readonly hint?: string;
  readonly findings?: readonly ErrorBody[];
}

/** Codes of what the caller cannot mend, whose messages tell of the machine or repeat what others said. */
const ofTheMachine: ReadonlySet<ErrorCode> = new Set([
  "BAD_BUNDLE",
  "BAD_OPERATOR",
  "BAD_OUTPUT",
  "BAD_SOURCE",
  "BAD_VALUE",
  "DEPENDENCY_MISSING",
  "INDEX_CORRUPT",
  "INDEX_LOCKED",
  "INTERNAL",
  "MODEL_FAILED",
  "NODE_FAILED",
  "RECORD_CORRUPT",
  "SANDBOX_REFUSED",
  "SETUP_FAILED",
  "STORE_FAILED",
  "TOOL_FAILED",
]);

/** What an error says caused it, where that can be read. */
function causeOf(thrown: unknown): unknown {
  try {
    return (thrown as { cause?: unknown } | null | undefined)?.cause;
  } catch {
    return undefined;
  }
}

/** Whether a schema said it; `instanceof` looks at the value, which may throw. */
function isOfSchema(thrown: unknown): boolean {
  try {
    return thrown instanceof z.ZodError;
  } catch {
    return false;
  }
}

/** What others said, of all that led to an error: the messages of causes that are no errors of ours. */
function foreignWords(error: TesseraError, words: string[] = [], depth = 0): string[] {
  if (depth > 16) return words;
  for (let { cause }: { cause?: unknown } = error, steps = 0; cause !== undefined && steps < 16; steps++) {
    if (TesseraError.is(cause)) {
      foreignWords(cause, words, depth + 1);
      break;
    }
    // what a schema says of a value is ours: clients need it to mend what they sent
    if (!isOfSchema(cause)) words.push(...messageOf(cause).split("\n"));
    cause = causeOf(cause);
  }
  for (const finding of error.findings) foreignWords(finding, words, depth + 1);
  return words;
}

// an absolute path or an address says where a thing lies, which is nobody's business outside
const ofThePlace = /^(?:[/\\~]|[A-Za-z]:[/\\]|[a-z][a-z0-9+.-]*:\/\/)/;

/**
 * The body of an error for whoever calls over a wire: the code and our own wording. What others said (a database, a model
 * service, an operator that threw) is replaced by what the code means; the whole error is for the log.
 */
export function errorBody(error: TesseraError): ErrorBody {
  const { code, path, findings } = error;
  const foreign = foreignWords(error).filter((words) => words.trim().length > 2);
  const own = (text: string | undefined) =>
    text === undefined || foreign.some((words) => text.includes(words)) ? undefined : maskSecrets(text);
  const tells = !ofTheMachine.has(code);
  const message = (tells ? own(error.message) : undefined) ?? errorCodes[code];
  const hint = tells ? own(error.hint) : undefined;
  return {
    code,
    message,
    ...(path !== undefined && !ofThePlace.test(path) && { path: maskSecrets(path) }),
    ...(hint !== undefined && { hint }),
    ...(findings.length > 0 && { findings: findings.slice(0, limits.findings).map(errorBody) }),
  };
}

/** The whole of what was thrown in one line for a log, with its place and causes; secrets are covered. */
export function logLine(thrown: unknown): string {
  const parts: string[] = [];
  for (let one = thrown, steps = 0; one !== undefined && steps < 8; one = causeOf(one), steps++) {
    const text = TesseraError.is(one)
      ? `${one.code}${one.path ? ` at ${one.path}` : ""}: ${one.message}`
      : messageOf(one);
    if (!parts.at(-1)?.endsWith(text)) parts.push(text);
  }
  return maskSecrets(parts.join("; caused by "));
}

/** Warns the process of what went wrong beside a run; secrets are covered. */
export function warn(what: string, thrown?: unknown): void {
  const text = thrown === undefined ? what : `${what}: ${logLine(thrown)}`;
  process.emitWarning(maskSecrets(text), "TesseraWarning");
}

/** Warns the process of the part of a failure that its callers are not told: `errorBody` keeps it from them. */
export function warnOfHidden(what: string, error: TesseraError): void {
  if (error.cause !== undefined || errorBody(error).message !== error.message) warn(what, error);
}

/**
 * The message of anything that was thrown; of a failed check of a schema its first issue, with the place in the value. It
 * never throws, whatever the value does when it is looked at.
 */
export function messageOf(thrown: unknown): string {
  try {
    if (thrown instanceof z.ZodError) {
      const [issue] = thrown.issues;
      return issue ? [z.core.toDotPath(issue.path), issue.message].filter(Boolean).join(": ") : String(thrown.message);
    }
    return String(thrown instanceof Error ? thrown.message : thrown);
  } catch {
    return "a value that cannot be printed";
  }
}
