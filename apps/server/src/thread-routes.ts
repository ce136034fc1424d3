import { type Records, TesseraError } from "@tessera/core";
import type { ThreadName, ThreadState, ThreadStore } from "@tessera/core/internal";
import { holdThread } from "@tessera/graph/internal";
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import type { Key } from "./keys.js";
import type { Service } from "./server.js";

const isId = /^[A-Za-z0-9_-]{1,128}$/;

/** The id of a thread, as clients give it. */
export const threadId = z.string().regex(isId, { error: "letters, digits, - and _, at most 128" });

const byId = z.object({ id: threadId });
/** Whose threads: those of somebody else for keys with the scope `operate`. */
const whose = { principal: z.string().min(1).max(256).optional() };
const listed = z.object({
  ...whose,
  limit: z.coerce.number().int().min(1).max(1000).default(50),
  after: threadId.optional(),
});
const read = z.object({
  ...whose,
  limit: z.coerce.number().int().min(1).max(1000).default(50),
  before: z.coerce
    .number()
    .int()
    .min(0)
    .max(2 ** 31 - 1)
    .optional(),
});
const removed = z.object(whose);

const unknown = (id: string) => new TesseraError("NOT_FOUND", `there is no thread "${id}"`);

function ownerFor(key: Key, principal: string | undefined): string {
  const own = key.principal.id;
  if (principal === undefined || principal === own) return own;
  if (key.scopes.includes("operate")) return principal;
  throw new TesseraError("FORBIDDEN", "the threads of others need a key with the scope operate", {
    path: "principal",
    hint: "leave `principal` out",
  });
}

/** Whether a key may see a thread: one for some flows alone sees none on which others ran. */
const maySee = ({ flows }: Key, thread: ThreadState): boolean =>
  !flows || thread.flows.every((flow) => flows.includes(flow));

const isoOf = (moment: number): string => new Date(moment).toISOString();

/** A thread as clients see it. */
const bodyOf = ({ owner: principal, started, changed, open, ...thread }: ThreadState) => ({
  ...thread,
  principal,
  started: isoOf(started),
  changed: isoOf(changed),
  ...(open && { open: { ...open, since: isoOf(open.since) } }),
});

async function found(threads: ThreadStore, key: Key, name: ThreadName): Promise<ThreadState> {
  const thread = await threads.get(name);
  if (!thread || !maySee(key, thread)) throw unknown(name.id);
  return thread;
}

interface OnThread {
  readonly id: string;
  readonly flow: string;
  readonly thread: string;
}

/**
 * Starts a run that a thread is given to first, so that whoever asks hears at once that another run works there.
 * @throws TesseraError CONFLICT, OVERLOADED as `holdThread`; NOT_FOUND where the key may not see the thread
 */
export async function startOnThread<T>(
  { runs, records }: Service,
  key: Key,
  { id, flow, thread }: OnThread,
  start: () => T | Promise<T>,
): Promise<T> {
  const threads = records?.threads;
  if (!records || !threads) throw new TesseraError("BAD_ARGUMENT", "this service keeps no threads", { path: "thread" });
  const name = { owner: key.principal.id, id: thread };
  const known = await threads.get(name);
  if (known && !maySee(key, known))
    throw new TesseraError("FORBIDDEN", "other flows, which the key is not for, ran on this thread", {
      path: thread,
      hint: "take another id",
    });
  const isKnown = async (run: string) => (await runs.get(run)) !== undefined || (await records.run(run)) !== undefined;
  const { isNew } = await holdThread({ threads, isKnown }, name, { run: id, flow });
  try {
    return await start();
  } catch (thrown) {
    if (isNew) await threads.close(name, id);
    throw thrown;
  }
}

/** Threads: listed, read, deleted. */
export function threadRoutes(server: FastifyInstance, records: Records | undefined): void {
  const threads = records?.threads;
  if (!threads) return;
  server.get<{ Querystring: z.infer<typeof listed> }>(
    "/threads",
    { schema: { querystring: listed }, config: { scope: "run", summary: "conversations, the latest first" } },
    async ({ key, query: { principal, ...page } }) => {
      const all = await threads.list({ owner: ownerFor(key, principal), ...page });
      const last = all.length === page.limit ? all.at(-1)!.id : undefined;
      return {
        threads: all.filter((thread) => maySee(key, thread)).map(bodyOf),
        ...(last !== undefined && { next: last }),
      };
    },
  );
  server.get<{ Params: z.infer<typeof byId>; Querystring: z.infer<typeof read> }>(
    "/threads/:id",
    {
      schema: { params: byId, querystring: read },
      config: { scope: "run", summary: "a conversation with its last turns, or those before the number `before`" },
    },
    async ({ key, params: { id }, query: { principal, limit, before } }) => {
      const name = { owner: ownerFor(key, principal), id };
      const thread = await found(threads, key, name);
      const turns = await threads.turns(name, { limit, before });
      const first = Math.min(before ?? thread.turns, thread.turns) - turns.length;
      return {
        ...bodyOf(thread),
        count: thread.turns,
        turns: turns.map(({ at, ...turn }, place) => ({ number: first + place, ...turn, at: isoOf(at) })),
      };
    },
  );
  server.delete<{ Params: z.infer<typeof byId>; Querystring: z.infer<typeof removed> }>(
    "/threads/:id",
    {
      schema: { params: byId, querystring: removed },
      config: { scope: "run", summary: "forget a conversation; a run that works on it goes on" },
    },
    async ({ key, params: { id }, query: { principal } }, reply) => {
      const name = { owner: ownerFor(key, principal), id };
      await found(threads, key, name);
      if (!(await threads.remove(name))) throw unknown(id);
      return reply.code(204).send();
    },
  );
}
