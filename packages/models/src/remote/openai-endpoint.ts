// internal: isOfThisMachine
import { type Json, TesseraError } from "@tessera/core";
import { messageOf, sleep, systemClock } from "@tessera/core/internal";
import { type Adaptation, adaptationFor, adapted, type Refusal } from "./refusals.js";

/** Where an OpenAI-compatible service is, and how patiently it is asked. */
export interface Endpoint {
  /** Up to and with the version: "http://127.0.0.1:8000/v1". */
  readonly baseUrl: string;
  /** The name of the model there. */
  readonly model: string;
  readonly apiKey?: string | (() => string | Promise<string>);
  readonly headers?: Readonly<Record<string, string>>;
  /** More fields of every request, as the service documents them. */
  readonly parameters?: { readonly [field: string]: Json };
  readonly revision?: string;
  /** How often a request is repeated that was refused for now (408, 409, 429, 5xx) or did not get through; 3 by default. */
  readonly retries?: number;
  /** The wait before the first repetition; it doubles, half of it at random, up to 30 s. A Retry-After of the service counts. */
  readonly backoffMs?: number;
  /** The longest silence, before an answer and within it; a minute by default. */
  readonly timeoutMs?: number;
}

/** Whether an address is of the machine that asks. */
export const isOfThisMachine = (address: string): boolean =>
  /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(URL.parse(address)?.hostname ?? "");

const longestWait = 30_000;
const passing = new Set([408, 409, 429]);

/** What the service says that it waits for, in milliseconds. */
function retryAfter(response: Response): number | undefined {
  const milliseconds = Number(response.headers.get("retry-after-ms") ?? Number.NaN);
  if (Number.isFinite(milliseconds)) return milliseconds;
  const after = response.headers.get("retry-after");
  if (after === null) return undefined;
  const wait = Number.isFinite(Number(after)) ? Number(after) * 1000 : Date.parse(after) - Date.now();
  return Number.isFinite(wait) ? wait : undefined;
}

/** What a refused request was refused for, whatever the shape of the body; the message has at most 500 characters. */
async function refusalOf(response: Response): Promise<Refusal> {
  const text = (await response.text().catch(() => "")).trim();
  const { message = text, field } = readRefusal(text);
  return { message: message.slice(0, 500) || response.statusText, field };
}

const record = (value: unknown): Record<string, unknown> | undefined =>
  typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
const asText = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);

/** OpenAI: `error.message` and `error.param`; FastAPI: `detail`, a text or a list of `{loc, msg}`; others `message`. */
function readRefusal(text: string): Partial<Refusal> {
  let body: Record<string, unknown> | undefined;
  try {
    body = record(JSON.parse(text));
  } catch {} // a page or a plain text
  if (!body) return {};
  const error = record(body.error);
  const detail = Array.isArray(body.detail) ? record(body.detail[0]) : undefined;
  const place = Array.isArray(detail?.loc)
    ? detail.loc.filter((part) => typeof part === "string").join(".")
    : undefined;
  const message =
    asText(error?.message) ?? asText(body.error) ?? asText(body.message) ?? asText(detail?.msg) ?? asText(body.detail);
  return { ...(message !== undefined && { message }), field: asText(error?.param) ?? place };
}

const hints: Record<number, string> = {
  400: "the service refuses a field or a value: see `parameters`, `omit` and `capabilities` of the model",
  401: "check the API key",
  403: "check the API key and what it may do",
  404: "check baseUrl, which ends in /v1 on most services, and the model's name",
  429: "ask less often, or raise `retries`",
};

/** A signal that aborts when the caller's does, when the endpoint is closed, or after a silence. */
export class RequestTimeout {
  readonly signal: AbortSignal;
  private readonly silence = new AbortController();
  private forget: (() => void) | undefined;

  constructor(
    private readonly ms: number,
    signals: readonly (AbortSignal | undefined)[],
  ) {
    this.signal = AbortSignal.any([...signals.filter((signal) => signal !== undefined), this.silence.signal]);
    this.heard();
  }

  /** Something came: the wait begins anew. */
  heard(): void {
    this.forget?.();
    this.forget = systemClock.after(this.ms, () =>
      this.silence.abort(new TesseraError("MODEL_FAILED", `the model was silent for ${this.ms} ms`)),
    );
  }

  end(): void {
    this.forget?.();
  }
}

/** How one attempt of a request ended. */
type Tried =
  | { readonly response: Response }
  | {
      readonly failure: TesseraError;
      /** Whether the same request may be answered later. */
      readonly passing: boolean;
      /** How long the service says to wait, in milliseconds. */
      readonly wait?: number | undefined;
      /** Where the service refused the request for its fields. */
      readonly refusal?: Refusal;
    };

/** Asks an endpoint; what was refused for now is asked again, until the answer begins. */
export class Client {
  private readonly closing = new AbortController();
  /** What the service refused before, learnt once for every later request. */
  private readonly learnt: Adaptation[] = [];

  constructor(readonly endpoint: Endpoint) {
    if (!/^https?:\/\//.test(endpoint.baseUrl) || !URL.canParse(endpoint.baseUrl))
      throw new TesseraError("BAD_ARGUMENT", `"${endpoint.baseUrl}" is not the URL of a service`, {
        hint: 'as in "http://127.0.0.1:8000/v1"',
      });
  }

  get revision(): string {
    const { baseUrl, model, revision, parameters } = this.endpoint;
    return revision ?? `${baseUrl} ${model}${parameters ? ` ${JSON.stringify(parameters)}` : ""}`;
  }

  timeout(signal: AbortSignal | undefined): RequestTimeout {
    if (this.closing.signal.aborted)
      throw new TesseraError("CLOSED", "the model is closed", { path: this.endpoint.model });
    return new RequestTimeout(this.endpoint.timeoutMs ?? 60_000, [signal, this.closing.signal]);
  }

  /**
   * Posts a request and returns the answer whose body has not been read. Where the service refuses a field that it does
   * not take, the request is sent again without it, and so is every later one (`adaptationFor`).
   * @throws TesseraError MODEL_FAILED; what the signal was aborted with.
   */
  async post(path: string, body: Readonly<Record<string, unknown>>, timeout: RequestTimeout): Promise<Response> {
    const { retries = 3, backoffMs = 500 } = this.endpoint;
    for (let attempt = 0; ; attempt++) {
      const sent = adapted(body, this.learnt);
      const tried = await this.try(path, sent, timeout);
      if ("response" in tried) return tried.response;
      if (tried.refusal && this.learn(sent, tried.refusal)) {
        attempt--;
        continue;
      }
      if (!tried.passing || attempt >= retries) throw tried.failure;
      const longest = Math.min(longestWait, backoffMs * 2 ** attempt);
      const { wait = longest * (0.5 + Math.random() / 2) } = tried;
      timeout.end();
      await sleep(Math.min(longestWait, Math.max(0, wait)), { signal: timeout.signal });
      timeout.heard();
    }
  }

  private async try(path: string, body: object, timeout: RequestTimeout): Promise<Tried> {
    try {
      const response = await fetch(this.url(path), {
        method: "POST",
        headers: { "content-type": "application/json", ...(await this.headers()) },
        body: JSON.stringify({ ...body, ...this.endpoint.parameters }),
        signal: timeout.signal,
      });
      timeout.heard();
      if (response.ok) return { response };
      const { status } = response;
      const wait = retryAfter(response);
      const refusal = await refusalOf(response);
      const failure = new TesseraError("MODEL_FAILED", `the model answered ${status}: ${refusal.message}`, {
        path: this.endpoint.model,
        hint: hints[status],
      });
      return {
        failure,
        wait,
        passing: passing.has(status) || status >= 500,
        ...((status === 400 || status === 422) && { refusal }),
      };
    } catch (cause) {
      timeout.signal.throwIfAborted();
      if (TesseraError.is(cause)) throw cause;
      return { failure: this.unreachable(cause), passing: true };
    }
  }

  /** Whether the request may be sent again, changed by what its refusal says. */
  private learn(sent: Readonly<Record<string, unknown>>, refusal: Refusal): boolean {
    const { parameters = {} } = this.endpoint;
    const ours = Object.fromEntries(Object.entries(sent).filter(([field]) => !Object.hasOwn(parameters, field)));
    const adaptation = adaptationFor(ours, refusal);
    if (!adaptation) return false;
    const { leftOut, renamed } = adaptation;
    if (this.learnt.some((one) => one.leftOut === renamed)) return false; // it takes neither of the two
    // another request may have learnt it in the meantime
    if (!this.learnt.some((one) => one.leftOut === leftOut)) this.learnt.push(adaptation);
    return true;
  }

  /**
   * Posts a request and reads its whole answer, which is one JSON value.
   * @throws TesseraError MODEL_FAILED, also where `read` throws: the answer has another form; what the signal was aborted with.
   */
  async postAndRead<T>(
    path: string,
    body: Readonly<Record<string, unknown>>,
    read: (answer: unknown) => T,
    { of, form, signal }: { readonly of: string; readonly form: string; readonly signal: AbortSignal | undefined },
  ): Promise<T> {
    const timeout = this.timeout(signal);
    try {
      const response = await this.post(path, body, timeout);
      return read(await response.json());
    } catch (cause) {
      timeout.signal.throwIfAborted();
      if (TesseraError.is(cause)) throw cause;
      throw new TesseraError("MODEL_FAILED", `the ${of}'s answer cannot be read: ${messageOf(cause)}`, {
        path: this.endpoint.model,
        hint: `is it a service of the form "${form}"?`,
        cause,
      });
    } finally {
      timeout.end();
    }
  }

  /** Whether there is a service that answers, whatever it says of its models. @throws TesseraError MODEL_FAILED */
  async check(signal?: AbortSignal): Promise<void> {
    const timeout = this.timeout(signal);
    try {
      const { status, body } = await fetch(this.url("models"), {
        headers: await this.headers(),
        signal: timeout.signal,
      });
      await body?.cancel();
      if (status >= 500)
        throw new TesseraError("MODEL_FAILED", `the model's service answered ${status}`, { path: this.endpoint.model });
    } catch (cause) {
      timeout.signal.throwIfAborted();
      throw TesseraError.is(cause) ? cause : this.unreachable(cause);
    } finally {
      timeout.end();
    }
  }

  private url(path: string): URL {
    const { baseUrl } = this.endpoint;
    return new URL(path, baseUrl.endsWith("/") ? baseUrl : `${baseUrl}/`);
  }

  private async headers(): Promise<Record<string, string>> {
    const { apiKey, headers } = this.endpoint;
    const key = typeof apiKey === "function" ? await apiKey() : apiKey;
    return { ...(key !== undefined && { authorization: `Bearer ${key}` }), ...headers };
  }

  private unreachable(cause: unknown): TesseraError {
    const inner = (cause as { cause?: unknown }).cause ?? cause; // fetch says only that it failed
    return new TesseraError("MODEL_FAILED", `the model cannot be reached: ${messageOf(inner)}`, {
      path: this.endpoint.model,
      hint: `is there a service at ${this.url("").origin}?`,
      cause,
    });
  }

  async close(): Promise<void> {
    this.closing.abort(new TesseraError("CLOSED", "the model was closed", { path: this.endpoint.model }));
  }
}
