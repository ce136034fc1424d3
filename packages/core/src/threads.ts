// internal: ThreadState, ThreadTurn, ThreadName, ThreadHold, ThreadEnd, ThreadQuery, TurnQuery, OpenedThread, ThreadStore

/** The name of a thread. Two principals with threads of the same id have two threads. */
export interface ThreadName {
  /** The id of the principal whose thread it is; "" for runs without a principal. */
  readonly owner: string;
  /** Letters, digits, - and _, at most 128. */
  readonly id: string;
}

/** A run that works on a thread: no other one may begin there. */
export interface ThreadHold {
  readonly run: string;
  readonly flow: string;
  /** In milliseconds since 1970. */
  readonly since: number;
}

/** A conversation: what was said in turns, and which run works on the next one. */
export interface ThreadState extends ThreadName {
  /** When its first run began, and when it changed last, in milliseconds since 1970. */
  readonly started: number;
  readonly changed: number;
  /** How many turns it has. */
  readonly turns: number;
  /** The flows that ran on it. */
  readonly flows: readonly string[];
  readonly open?: ThreadHold | undefined;
  /** What stands for its first turns, where a flow summarised them, and for how many. */
  readonly summary?: { readonly text: string; readonly turns: number } | undefined;
}

/** A question and its answer. */
export interface ThreadTurn {
  readonly run: string;
  readonly flow: string;
  readonly user: string;
  readonly assistant: string;
  /** When it was taken, in milliseconds since 1970. */
  readonly at: number;
}

/** What a run leaves in its thread. */
export interface ThreadEnd {
  readonly turn: ThreadTurn;
  /** A summary of all turns before this one. */
  readonly summary?: string | undefined;
}

/** Which threads of an owner are listed: those that changed last come first. */
export interface ThreadQuery {
  readonly owner: string;
  readonly limit: number;
  /** The id of the thread behind which the list begins. */
  readonly after?: string | undefined;
}

/** Which turns are read: the last ones before a number (from 0), in their order. */
export interface TurnQuery {
  readonly limit: number;
  readonly before?: number | undefined;
}

/** A thread, and what became of the wish to work on it. */
export interface OpenedThread {
  /**
   * "opened": the run has it now. "held": it had it before. "ended": it has taken its turn already, and needs nothing.
   * "busy": another run has it (`thread.open`).
   */
  readonly how: "opened" | "held" | "ended" | "busy";
  readonly thread: ThreadState;
}

/**
 * Stores threads. What a method wrote survives a crash once its promise has resolved, and a method that is called again
 * because its answer was lost has the same effect. Several processes may use one store, where it says so.
 */
export interface ThreadStore {
  /**
   * Lets a run work on a thread, which is made where it is not there yet. One run has a thread at a time, also where several
   * ask at the same moment.
   * @param how `instead`: the run from which it is taken; `again`: whether the run may have taken its turn already
   */
  open(
    name: ThreadName,
    hold: ThreadHold,
    how?: { readonly instead?: string | undefined; readonly again?: boolean | undefined },
  ): Promise<OpenedThread>;
  /**
   * Ends the work of a run: its turn is added, if it left one, and the thread is free, both or neither. A run that has taken
   * its turn already replaces it. Of a run that does not have the thread nothing is kept. A thread without a turn is gone
   * with its run.
   */
  close(name: ThreadName, run: string, end?: ThreadEnd): Promise<void>;
  get(name: ThreadName): Promise<ThreadState | undefined>;
  turns(name: ThreadName, query: TurnQuery): Promise<ThreadTurn[]>;
  list(query: ThreadQuery): Promise<ThreadState[]>;
  /** How many threads an owner has. */
  count(owner: string): Promise<number>;
  /** Removes a thread and its turns. @returns whether it was there */
  remove(name: ThreadName): Promise<boolean>;
}
