import { TesseraError } from "@tessera/core";
import { messageOf, sleep } from "@tessera/core/internal";

/** How patiently a provider is asked. */
export interface Patience {
  /** How often a call is repeated that the provider marks as one to repeat, before its answer begins; 3 by default. */
  readonly retries?: number;
  /** The wait before the first repetition in milliseconds, 500 by default; it doubles. A Retry-After counts instead. */
  readonly backoffMs?: number;
}

const longestWait = 30_000;

const hints: Record<number, string> = {
  400: "the provider refuses a field or a value: see `providerOptions` and `capabilities`",
  401: "check the provider's API key",
  403: "check the provider's API key and what it may do",
  404: "check the model's name and the provider's address",
  429: "ask less often, or raise `retries`",
};

/** What the AI SDK's errors say of themselves, read by their shape, as several versions may be installed. */
interface CallError {
  readonly name?: unknown;
  readonly statusCode?: unknown;
  readonly isRetryable?: unknown;
  readonly responseHeaders?: Readonly<Record<string, string>>;
}
const read = (cause: unknown): CallError => (typeof cause === "object" && cause !== null ? (cause as CallError) : {});

/** An error of the AI SDK as one of ours. */
export function failure(cause: unknown, model: string): TesseraError {
  if (TesseraError.is(cause)) return cause;
  const { name, statusCode } = read(cause);
  const code = name === "AI_UnsupportedFunctionalityError" ? "MISSING_CAPABILITY" : "MODEL_FAILED";
  const hint =
    name === "AI_LoadAPIKeyError"
      ? "set the environment variable that it names, or give the provider `apiKey`"
      : hints[Number(statusCode)];
  return new TesseraError(code, `the model failed: ${messageOf(cause)}`, { path: model, hint, cause });
}

/** How long the provider says to wait, in milliseconds. */
function retryAfter({ responseHeaders = {} }: CallError): number | undefined {
  const milliseconds = Number(responseHeaders["retry-after-ms"] ?? Number.NaN);
  if (Number.isFinite(milliseconds)) return milliseconds;
  const after = responseHeaders["retry-after"];
  if (after === undefined) return undefined;
  const wait = Number.isFinite(Number(after)) ? Number(after) * 1000 : Date.parse(after) - Date.now();
  return Number.isFinite(wait) ? wait : undefined;
}

/** Calls a provider, again where it was busy. @throws TesseraError as `failure`; what the signal was aborted with. */
export async function patiently<Answer>(
  call: () => PromiseLike<Answer>,
  { retries = 3, backoffMs = 500 }: Patience,
  model: string,
  signal: AbortSignal | undefined,
): Promise<Answer> {
  for (let attempt = 0; ; attempt++) {
    signal?.throwIfAborted();
    try {
      return await call();
    } catch (cause) {
      signal?.throwIfAborted();
      if (read(cause).isRetryable !== true || attempt >= retries) throw failure(cause, model);
      const longest = Math.min(longestWait, backoffMs * 2 ** attempt);
      const wait = retryAfter(read(cause)) ?? longest * (0.5 + Math.random() / 2);
      await sleep(Math.min(longestWait, Math.max(0, wait)), { signal });
    }
  }
}

/** @throws TesseraError BAD_ARGUMENT where the model is of another interface than the one that is bridged */
export function assertVersion(model: { readonly specificationVersion?: unknown } | string, what: string): void {
  if (typeof model === "object" && model?.specificationVersion === "v4") return;
  const version = typeof model === "string" ? "the name of a model" : `version ${String(model?.specificationVersion)}`;
  throw new TesseraError("BAD_ARGUMENT", `this is ${version}, and no ${what} of version v4`, {
    hint: 'take a model of a provider that was made for version 7 of the AI SDK, as in openai("gpt-5")',
  });
}
