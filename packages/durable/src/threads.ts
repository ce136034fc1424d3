import type {
  OpenedThread,
  ThreadEnd,
  ThreadHold,
  ThreadName,
  ThreadQuery,
  ThreadState,
  ThreadStore,
  ThreadTurn,
  TurnQuery,
} from "@tessera/core/internal";
import { seal, unseal } from "@tessera/graph/internal";
import type { SqlConnection } from "./sql.js";

// owners and texts are JSON or sealed lines, since a text of PostgreSQL refuses a NUL
export const threadTables = [
  `CREATE TABLE IF NOT EXISTS tessera.thread (
     owner text NOT NULL, id text NOT NULL, run text, flow text, since float8, flows text[] NOT NULL,
     started float8 NOT NULL, changed float8 NOT NULL, turns int NOT NULL, summary text, summarised int,
     PRIMARY KEY (owner, id))`,
  "CREATE INDEX IF NOT EXISTS thread_changed ON tessera.thread (owner, changed DESC, id)",
  `CREATE TABLE IF NOT EXISTS tessera.turn (
     owner text NOT NULL, thread text NOT NULL, number int NOT NULL, run text NOT NULL, turn text NOT NULL,
     PRIMARY KEY (owner, thread, number),
     FOREIGN KEY (owner, thread) REFERENCES tessera.thread ON DELETE CASCADE)`,
  "CREATE INDEX IF NOT EXISTS turn_run ON tessera.turn (owner, thread, run)",
];

interface ThreadRow {
  readonly id: string;
  readonly run: string | null;
  readonly flow: string | null;
  readonly since: number | null;
  readonly flows: readonly string[];
  readonly started: number;
  readonly changed: number;
  readonly turns: number;
  readonly summary: string | null;
  readonly summarised: number | null;
}

const columns = "id, run, flow, since, flows, started, changed, turns, summary, summarised";

// $1 owner, $2 id, $3 run, $4 flow, $5 since, $6 the run from which it is taken; one row: who had it before
const opening = `
  WITH before AS (SELECT run FROM tessera.thread WHERE owner = $1 AND id = $2)
  INSERT INTO tessera.thread AS thread (owner, id, run, flow, since, flows, started, changed, turns)
  VALUES ($1, $2, $3, $4, $5::float8, ARRAY[$4], $5::float8, $5::float8, 0)
  ON CONFLICT (owner, id) DO UPDATE
    SET run = $3, flow = $4, since = CASE WHEN thread.run = $3 THEN thread.since ELSE $5::float8 END,
        flows = CASE WHEN $4 = ANY (thread.flows) THEN thread.flows ELSE thread.flows || $4 END
    WHERE thread.run IS NULL OR thread.run = $3 OR thread.run = $6
  RETURNING ${columns}, (SELECT run FROM before) AS before`;

// $1 owner, $2 id, $3 run, $4 turn, $5 when, $6 summary; a thread without a turn goes
const closing = `
  WITH kept AS (
    UPDATE tessera.thread SET run = NULL, flow = NULL, since = NULL,
      turns = turns + CASE WHEN $4::text IS NULL THEN 0 ELSE 1 END,
      changed = greatest(changed, coalesce($5::float8, changed)),
      summary = CASE WHEN $6::text IS NULL OR turns = 0 THEN summary ELSE $6 END,
      summarised = CASE WHEN $6::text IS NULL OR turns = 0 THEN summarised ELSE turns END
    WHERE owner = $1 AND id = $2 AND run = $3 AND (turns > 0 OR $4::text IS NOT NULL) RETURNING turns),
  added AS (
    INSERT INTO tessera.turn SELECT $1, $2, turns - 1, $3, $4 FROM kept WHERE $4::text IS NOT NULL),
  again AS (
    UPDATE tessera.turn SET turn = $4
    WHERE owner = $1 AND thread = $2 AND run = $3 AND $4::text IS NOT NULL AND NOT EXISTS (SELECT FROM kept)
      AND number = (SELECT max(number) FROM tessera.turn WHERE owner = $1 AND thread = $2 AND run = $3))
  DELETE FROM tessera.thread WHERE owner = $1 AND id = $2 AND run = $3 AND turns = 0 AND $4::text IS NULL`;

/** Threads in the tables `thread` and `turn`, which several processes share. Each change is one statement. */
export class DatabaseThreads implements ThreadStore {
  constructor(private readonly connection: SqlConnection) {}

  async open(
    name: ThreadName,
    { run, flow, since }: ThreadHold,
    { instead, again }: { readonly instead?: string | undefined; readonly again?: boolean | undefined } = {},
  ): Promise<OpenedThread> {
    if (again && (await this.#hasTurn(name, run))) {
      const thread = await this.get(name);
      if (thread) return { how: "ended", thread };
    }
    for (;;) {
      const [row] = await this.#rows<ThreadRow & { before: string | null }>(
        opening,
        ...namesOf(name),
        run,
        flow,
        since,
        instead ?? null,
      );
      if (row) return { how: row.before === run ? "held" : "opened", thread: threadOf(name.owner, row) };
      const thread = await this.get(name);
      if (thread?.open) return { how: "busy", thread }; // else it has become free meanwhile
    }
  }

  async close(name: ThreadName, run: string, end?: ThreadEnd): Promise<void> {
    const { turn, summary } = end ?? {};
    const kept = turn ? seal(turn) : null;
    const summed = summary === undefined ? null : JSON.stringify(summary);
    await this.#rows(closing, ...namesOf(name), run, kept, turn?.at ?? null, summed);
  }

  async get(name: ThreadName): Promise<ThreadState | undefined> {
    const [row] = await this.#rows<ThreadRow>(
      `SELECT ${columns} FROM tessera.thread WHERE owner = $1 AND id = $2`,
      ...namesOf(name),
    );
    return row && threadOf(name.owner, row);
  }

  async #hasTurn(name: ThreadName, run: string): Promise<boolean> {
    const found = await this.#rows(
      "SELECT FROM tessera.turn WHERE owner = $1 AND thread = $2 AND run = $3 LIMIT 1",
      ...namesOf(name),
      run,
    );
    return found.length > 0;
  }

  async turns(name: ThreadName, { limit, before }: TurnQuery): Promise<ThreadTurn[]> {
    const rows = await this.#rows<{ turn: string }>(
      `SELECT turn FROM tessera.turn WHERE owner = $1 AND thread = $2 AND ($3::int IS NULL OR number < $3)
       ORDER BY number DESC LIMIT $4::int`,
      ...namesOf(name),
      before === undefined ? null : Math.min(before, 2 ** 31 - 1),
      limit,
    );
    return rows.reverse().map(({ turn }) => unseal<ThreadTurn>(turn, name.id));
  }

  async list({ owner, limit, after }: ThreadQuery): Promise<ThreadState[]> {
    const rows = await this.#rows<ThreadRow>(
      `SELECT ${columns} FROM tessera.thread WHERE owner = $1 AND ($3::text IS NULL OR EXISTS (
         SELECT FROM tessera.thread AS last WHERE last.owner = $1 AND last.id = $3
           AND (thread.changed < last.changed OR (thread.changed = last.changed AND thread.id > last.id COLLATE "C"))))
       ORDER BY changed DESC, id COLLATE "C" LIMIT $2::int`,
      JSON.stringify(owner),
      limit,
      after ?? null,
    );
    return rows.map((row) => threadOf(owner, row));
  }

  async count(owner: string): Promise<number> {
    const [row] = await this.#rows<{ count: number }>(
      "SELECT count(*)::int AS count FROM tessera.thread WHERE owner = $1",
      JSON.stringify(owner),
    );
    return row!.count;
  }

  async remove(name: ThreadName): Promise<boolean> {
    const gone = await this.#rows(
      "DELETE FROM tessera.thread WHERE owner = $1 AND id = $2 RETURNING id",
      ...namesOf(name),
    );
    return gone.length > 0;
  }

  async #rows<R>(text: string, ...values: unknown[]): Promise<R[]> {
    return (await this.connection.query<R>(text, values)).rows;
  }
}

const namesOf = ({ owner, id }: ThreadName): readonly [owner: string, id: string] => [JSON.stringify(owner), id];

function threadOf(owner: string, row: ThreadRow): ThreadState {
  const { id, run, flow, since, flows, started, changed, turns, summary, summarised } = row;
  return {
    owner,
    id,
    started,
    changed,
    turns,
    flows,
    ...(run !== null && { open: { run, flow: flow!, since: since! } }),
    ...(summary !== null && { summary: { text: JSON.parse(summary) as string, turns: summarised! } }),
  };
}
