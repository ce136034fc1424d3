// public: Threads, ThreadsQuery, ThreadQuestion, ThreadTurn, Thread
import type { Records } from "@tessera/core";
import type { ThreadTurn as KeptTurn, ThreadName, ThreadState } from "@tessera/core/internal";

/** A conversation: whose it is, when it changed, how many turns it has, and which run works on the next one. */
export type Thread = ThreadState;

/** A question, its answer, and the run that gave it. */
export type ThreadTurn = KeptTurn;

/** Which threads are listed, those that changed last first: 100 by default. */
export interface ThreadsQuery {
  /** The id of the principal whose threads they are; without it those of runs without a principal. */
  readonly principal?: string | undefined;
  readonly limit?: number | undefined;
  /** The id of the thread behind which the list begins. */
  readonly after?: string | undefined;
}

/** Whose thread is meant, and which of its turns: the last 100 by default. */
export interface ThreadQuestion {
  /** The id of the principal whose thread it is; without it that of runs without a principal. */
  readonly principal?: string | undefined;
  readonly limit?: number | undefined;
  /** The number of a turn, from 0: those before it are read. */
  readonly before?: number | undefined;
}

const nameOf = (id: string, { principal = "" }: Pick<ThreadQuestion, "principal">): ThreadName => ({
  owner: principal,
  id,
});

/** The conversations that the records of a framework object keep: `tessera.threads`. */
export class Threads {
  constructor(private readonly records: Pick<Records, "threads"> | undefined) {}

  async list({ principal = "", limit = 100, after }: ThreadsQuery = {}): Promise<Thread[]> {
    return (await this.records?.threads?.list({ owner: principal, limit, after })) ?? [];
  }

  /** A thread with its turns in their order; nothing where there is none. */
  async read(
    id: string,
    question: ThreadQuestion = {},
  ): Promise<(Omit<Thread, "turns"> & { readonly turns: readonly ThreadTurn[] }) | undefined> {
    const { limit = 100, before } = question;
    const name = nameOf(id, question);
    const thread = await this.records?.threads?.get(name);
    return thread && { ...thread, turns: await this.records!.threads!.turns(name, { limit, before }) };
  }

  /**
   * Removes a thread with its turns; a run that works on it goes on, and leaves nothing there.
   * @returns whether it was there
   */
  async delete(id: string, question: Pick<ThreadQuestion, "principal"> = {}): Promise<boolean> {
    return (await this.records?.threads?.remove(nameOf(id, question))) ?? false;
  }

  /** Frees a thread whose run will not be resumed. That run leaves no turn. */
  async release(id: string, question: Pick<ThreadQuestion, "principal"> = {}): Promise<void> {
    const name = nameOf(id, question);
    const thread = await this.records?.threads?.get(name);
    if (thread?.open) await this.records!.threads!.close(name, thread.open.run);
  }
}
