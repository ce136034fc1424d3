// internal
import { TesseraError } from "@tessera/core";
import type { Runs } from "@tessera/graph";
import type { FastifyReply, FastifyRequest } from "fastify";

/**
 * Aborts when the client goes before it has its whole answer: at once where it has gone already, since this is asked after
 * its body was read and its key was looked up.
 */
export function clientSignal({ raw: { socket } }: FastifyRequest, { raw: response }: FastifyReply): AbortSignal {
  const controller = new AbortController();
  const gone = (): void => {
    socket.off("close", gone);
    if (!response.writableFinished) controller.abort(new TesseraError("ABORTED", "the client is gone"));
  };
  if (response.destroyed || socket.destroyed) gone();
  else {
    // a response that waits behind another one of its connection hears nothing of the connection's end
    socket.setMaxListeners(0).once("close", gone);
    response.once("close", gone);
    response.once("finish", () => socket.off("close", gone));
  }
  return controller.signal;
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
