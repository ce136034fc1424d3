import { type Capability, type Delta, type GenerateRequest, type LanguageModel, TesseraError } from "@tessera/core";
import { messageOf, StopStrings } from "@tessera/core/internal";
import { createParser } from "eventsource-parser";
import { Client, type Endpoint, type RequestTimeout } from "./openai-endpoint.js";

/** What one message of an answer adds. */
export type Part = Pick<Delta, "text" | "tokens" | "thoughts" | "finish" | "usage"> & {
  /** Whether the answer is complete with it. */
  readonly done: boolean;
};

/** How a service is asked for an answer, and how it is read. */
interface AnswerForm {
  readonly path: string;
  /** Whether the answer is a JSON value a line; else server-sent events, or one JSON value. */
  readonly lines?: boolean;
  /** Whether the service knows no stop strings: the answer is cut here, and its rest is not waited for. */
  readonly cuts?: boolean;
  body(request: GenerateRequest): Record<string, unknown>;
  /** @throws TesseraError MODEL_FAILED for an error that came in the middle */
  read(message: unknown): Part;
}

/** What stands for the end of an answer that has said so itself. */
export const ended = Symbol("ended");

/** The data of the events of a stream, as they come. */
async function* eventsOf(pieces: AsyncIterable<string>): AsyncGenerator<string> {
  let data: string[] = [];
  const parser = createParser({ onEvent: (event) => void data.push(event.data) });
  for await (const piece of pieces) {
    parser.feed(piece);
    const ready = data;
    data = [];
    yield* ready;
  }
}

/** The text of a body as it comes. */
async function* textOf(body: ReadableStream<Uint8Array>, timeout: RequestTimeout): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  for await (const bytes of body as unknown as AsyncIterable<Uint8Array>) {
    timeout.heard();
    yield decoder.decode(bytes, { stream: true });
  }
  yield decoder.decode();
}

/** A JSON value a line. */
async function* linesOf(pieces: AsyncIterable<string>): AsyncGenerator<unknown> {
  let rest = "";
  for await (const piece of pieces) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop()!;
    for (const line of lines) if (line.trim() !== "") yield JSON.parse(line);
  }
  if (rest.trim() !== "") yield JSON.parse(rest);
}

/**
 * The messages of an answer: events of a stream, or one whole answer. The text itself decides which, since services send
 * both under any content type.
 */
async function* messagesOf(response: Response, timeout: RequestTimeout, lines: boolean): AsyncGenerator<unknown> {
  if (!response.body) throw new TesseraError("MODEL_FAILED", "the model's answer has no body");
  if (lines) return yield* linesOf(textOf(response.body, timeout));
  let whole = "";
  let isWhole: boolean | undefined;
  async function* streamed(pieces: AsyncIterable<string>): AsyncGenerator<string> {
    for await (const piece of pieces) {
      isWhole ??= piece.trim() === "" ? undefined : piece.trimStart().startsWith("{");
      if (isWhole) whole += piece;
      else yield piece;
    }
  }
  for await (const data of eventsOf(streamed(textOf(response.body, timeout)))) {
    if (data.trim() === "[DONE]") {
      yield ended;
      return;
    }
    yield JSON.parse(data);
  }
  if (!isWhole) return;
  yield JSON.parse(whole);
  yield ended;
}

/** The text of the parts up to a stop string, and whether one was found. */
class Cut {
  private readonly strings: StopStrings | undefined;

  constructor(cuts: boolean, stop: readonly string[] | undefined) {
    this.strings = cuts && stop && stop.length > 0 ? new StopStrings(stop) : undefined;
  }

  get stopped(): boolean {
    return this.strings?.stopped ?? false;
  }

  take(text: string): string {
    return this.strings ? this.strings.take(text) : text;
  }

  rest(): string {
    return this.strings?.rest() ?? "";
  }
}

const needed = [
  ["prefix", "prefix"],
  ["schema", "json"],
  ["logprobs", "logprobs"],
] as const;

/**
 * A language model behind a service that streams. Requests are repeated with backoff until the answer begins, never after;
 * an answer that does not end as its form says is an error.
 */
export function streamedModel(
  options: Endpoint & { readonly capabilities?: readonly Capability[] },
  form: AnswerForm,
): LanguageModel {
  const client = new Client(options);
  const capabilities: ReadonlySet<Capability> = new Set(options.capabilities);
  return {
    revision: client.revision,
    capabilities,
    check: (signal) => client.check(signal),
    close: () => client.close(),
    async *generate(request, signal): AsyncIterable<Delta> {
      for (const [asked, capability] of needed)
        if (request[asked] && !capabilities.has(capability))
          throw new TesseraError("MISSING_CAPABILITY", `"${options.model}" is not known to offer "${capability}"`, {
            path: options.model,
            hint: "name it in `capabilities` where the service offers it",
          });
      signal?.throwIfAborted();
      const { seed, ...rest } = request;
      const timeout = client.timeout(signal);
      const cut = new Cut(form.cuts ?? false, request.stop);
      let done = false;
      let last: Pick<Delta, "finish" | "usage"> = {};
      try {
        const response = await client.post(form.path, form.body(capabilities.has("seed") ? request : rest), timeout);
        for await (const message of messagesOf(response, timeout, form.lines ?? false)) {
          const { tokens, thoughts, finish, usage, ...part } = form.read(message);
          const text = cut.take(part.text);
          done ||= part.done;
          last = { ...last, ...(finish && { finish }), ...(usage && { usage }) };
          if (text !== "" || tokens || thoughts)
            yield { text, ...(tokens && { tokens }), ...(thoughts && { thoughts }) };
          if (cut.stopped) break;
        }
      } catch (cause) {
        timeout.signal.throwIfAborted();
        if (TesseraError.is(cause)) throw cause;
        throw new TesseraError("MODEL_FAILED", `the model's answer cannot be read: ${messageOf(cause)}`, {
          path: options.model,
          cause,
        });
      } finally {
        timeout.end();
      }
      if (!done && !cut.stopped)
        throw new TesseraError("MODEL_FAILED", "the model's answer ended in the middle", { path: options.model });
      yield { text: cut.rest(), ...last, ...(cut.stopped && { finish: "stop" as const }) };
    },
  };
}
