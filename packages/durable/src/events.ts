import { randomUUID } from "node:crypto";
import type { Json } from "@tessera/core";
import { warn } from "@tessera/core/internal";
import type { RunEvent } from "@tessera/graph/internal";
import type { SqlConnection } from "./sql.js";

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

  /**
   * Batches are numbered as they arrive, behind what is there: a worker that takes a run over, or works on beside a late one,
   * takes no number twice. `wrote` is called when some can be read.
   */
  writer(run: string, wrote: () => void): EventWriter {
    const writer = randomUUID();
    let batches = 0;
    let waiting: Omit<RunEvent, "sequence">[] = [];
    let writing: Promise<unknown> = Promise.resolve();
    const flush = () => {
      if (waiting.length === 0) return;
      const batch = waiting;
      waiting = [];
      const values = [
        run,
        `${writer}:${++batches}`,
        batch.map(({ type }) => type),
        batch.map(({ data }) => JSON.stringify(data)),
      ];
      const write = () => this.connection.query(insert, values);
      writing = writing
        .then(write)
        .catch(write) // of two that came at once the later one goes behind the other
        .then(wrote)
        .catch((error) => warn(`events of run ${run} are lost`, error));
    };
    const timer = setInterval(flush, flushMs);
    return {
      push: (type, data) => void waiting.push({ type, data }),
      async close() {
        clearInterval(timer);
        flush();
        await writing;
      },
    };
  }
}

// a batch that is sent twice is written once
const insert = `
  INSERT INTO tessera.event (run, sequence, type, data, batch)
  SELECT $1, last.sequence + given.place, given.type, given.data, $2
  FROM unnest($3::text[], $4::text[]) WITH ORDINALITY AS given (type, data, place),
       (SELECT coalesce(max(sequence), 0) AS sequence FROM tessera.event WHERE run = $1) AS last
  WHERE NOT EXISTS (SELECT FROM tessera.event WHERE run = $1 AND batch = $2)`;
