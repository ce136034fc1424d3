// internal
import type { Json } from "@tessera/core";
import type { RunEvent } from "@tessera/graph";
import type { SqlConnection } from "./records.js";

const flushMs = 100;

/** Writes a run's events in batches. */
export interface EventWriter {
  readonly push: (type: string, data: Json) => void;
  close(): Promise<void>;
}

/** The events of runs, in a table: for people, and no part of what recovery needs. */
export class EventLog {
  constructor(private readonly connection: SqlConnection) {}

  async after(run: string, sequence: number): Promise<RunEvent[]> {
    const { rows } = await this.connection.query<{ sequence: number; type: string; data: string }>(
      "SELECT sequence, type, data FROM tessera.event WHERE run = $1 AND sequence > $2 ORDER BY sequence LIMIT 1000",
      [run, sequence],
    );
    return rows.map(({ sequence, type, data }) => ({ sequence, type, data: JSON.parse(data) as Json }));
  }

  /** A worker that takes a run over goes on with its numbers; `wrote` is called when some can be read. */
  async writer(run: string, wrote: () => void): Promise<EventWriter> {
    const { rows } = await this.connection.query<{ last: number }>(
      "SELECT coalesce(max(sequence), 0) AS last FROM tessera.event WHERE run = $1",
      [run],
    );
    let last = rows[0]?.last ?? 0;
    let waiting: RunEvent[] = [];
    let writing: Promise<unknown> = Promise.resolve();
    const flush = () => {
      if (waiting.length === 0) return;
      const batch = waiting;
      waiting = [];
      writing = writing
        .then(() =>
          this.connection.query(
            `INSERT INTO tessera.event SELECT $1, * FROM unnest($2::int[], $3::text[], $4::text[])
             ON CONFLICT DO NOTHING`,
            [
              run,
              batch.map(({ sequence }) => sequence),
              batch.map(({ type }) => type),
              batch.map(({ data }) => JSON.stringify(data)),
            ],
          ),
        )
        .then(wrote)
        .catch((error) => process.emitWarning(`events of run ${run} are lost: ${error}`));
    };
    const timer = setInterval(flush, flushMs);
    return {
      push: (type, data) => void waiting.push({ sequence: ++last, type, data }),
      async close() {
        clearInterval(timer);
        flush();
        await writing;
      },
    };
  }
}
