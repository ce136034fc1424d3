// internal
import { TesseraError } from "@tessera/core";
import { errorBody } from "@tessera/core/internal";
import type { Runs } from "@tessera/graph/internal";
import type { FastifyReply, FastifyRequest } from "fastify";
import { statuses } from "./errors.js";

/** Who waits for an answer, until it is whole. Costs nothing but its listener on the connection, which all share. */
export class Client {
  /** Whether the client has gone before it had its whole answer. */
  gone = false;
  #controller: AbortController | undefined;
  #leave: (() => void) | undefined;

  /** Is asked for after the body was read and the key was looked up: the client may have gone already. */
  constructor(
    { raw: { socket } }: FastifyRequest,
    private readonly reply: FastifyReply,
  ) {
    const { raw: response } = reply;
    if (response.destroyed || socket.destroyed) {
      this.#left();
      return;
    }
    let waiting = waitingOn.get(socket);
    if (!waiting) {
      waiting = [];
      waitingOn.set(socket, waiting);
      // a response that waits behind another one of its connection hears nothing of the connection's end
      socket.once("close", clientsLeft);
    }
    // requests that are sent ahead are answered in their order
    while (waiting[0]?.reply.raw.writableFinished) waiting.shift();
    waiting.push(this);
  }

  static left(client: Client): void {
    client.#left();
  }

  /** Ends what works for the client of an answer, which gets no more of it. */
  static end({ raw: { socket } }: FastifyRequest, reply: FastifyReply, reason: TesseraError): void {
    for (const client of waitingOn.get(socket) ?? []) if (client.reply === reply) client.#left(reason);
    refuse(reply, reason);
  }

  #left(reason = leftError()): void {
    if (this.reply.raw.writableFinished) return;
    this.gone = true;
    this.#controller?.abort(reason);
    this.#leave?.();
  }

  /** @throws TesseraError ABORTED where it has gone */
  throwIfAborted(): void {
    if (this.gone) throw leftError();
  }

  /** Aborts when it goes. */
  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.gone) this.#controller.abort(leftError());
    }
    return this.#controller.signal;
  }

  /** Calls somebody when it goes, or has gone; one call, the latest. */
  whenGone(leave: (() => void) | undefined): void {
    this.#leave = leave;
    if (this.gone) leave?.();
  }
}

const leftError = () => new TesseraError("ABORTED", "the client is gone");
const waitingOn = new WeakMap<object, Client[]>();

function clientsLeft(this: object): void {
  for (const client of waitingOn.get(this) ?? []) Client.left(client);
}

/** Aborts when the client goes before it has its whole answer; at once where it has gone already. */
export const clientSignal = (request: FastifyRequest, reply: FastifyReply): AbortSignal =>
  new Client(request, reply).signal;

/** Ends an answer under way: one that has begun is cut off, and in place of another one stands why. */
function refuse(reply: FastifyReply, reason: TesseraError): void {
  const { raw } = reply;
  if (reply.sent || raw.headersSent) {
    raw.destroy();
    return;
  }
  reply.hijack();
  const body = JSON.stringify(errorBody(reason));
  raw.writeHead(statuses[reason.code], { "content-type": "application/json; charset=utf-8", connection: "close" });
  raw.end(body);
}

/** Cancels a run that nobody else will ask for when its client goes, or has gone; what is returned ends this. */
export function endWith(signal: AbortSignal, runs: Pick<Runs, "cancel">, id: string): () => void {
  // one that has ended meanwhile cannot be cancelled, and need not be
  const cancel = () => void runs.cancel(id).catch(() => {});
  if (signal.aborted) cancel();
  else signal.addEventListener("abort", cancel, { once: true });
  return () => signal.removeEventListener("abort", cancel);
}

/** Reads on until the end, or until the signal, which is not waited for where nothing comes. */
export async function* readUntil<T>(signal: AbortSignal, values: AsyncIterable<T>): AsyncGenerator<T> {
  const iterator = values[Symbol.asyncIterator]();
  let leave = () => {};
  const left = () => leave();
  signal.addEventListener("abort", left);
  try {
    while (!signal.aborted) {
      // no race of promises: each would leave something at the one that lasts
      const next = await new Promise<IteratorResult<T> | undefined>((resolve, reject) => {
        leave = () => resolve(undefined);
        iterator.next().then(resolve, reject);
      });
      if (!next || next.done) return;
      yield next.value;
    }
  } finally {
    signal.removeEventListener("abort", left);
    void iterator.return?.()?.then(undefined, () => {});
  }
}
