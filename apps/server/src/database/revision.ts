// internal: loaded where a database is given
import { warn } from "@tessera/core/internal";
import type { SqlConnection } from "@tessera/durable";
import { createTables } from "@tessera/durable/internal";

/** Counts changes of flows and indexes, so that every process that shares a database sees what another changed. */
export class SharedRevision {
  #seen = -1;
  #following: Promise<void> = Promise.resolve();

  private constructor(private readonly connection: SqlConnection) {}

  static async open(connection: SqlConnection): Promise<SharedRevision> {
    await createTables(connection, [
      "CREATE TABLE IF NOT EXISTS tessera.revision (one boolean PRIMARY KEY CHECK (one), number bigint NOT NULL)",
      "INSERT INTO tessera.revision VALUES (true, 0) ON CONFLICT DO NOTHING",
    ]);
    const revision = new SharedRevision(connection);
    revision.#seen = await revision.#read();
    return revision;
  }

  async #read(): Promise<number> {
    const { rows } = await this.connection.query<{ number: string }>("SELECT number FROM tessera.revision");
    return Number(rows[0]!.number);
  }

  /** To be called when a change is committed. */
  async changed(): Promise<void> {
    await this.connection.query("UPDATE tessera.revision SET number = number + 1");
  }

  /** Does a work if something has changed since it was done last; calls come one after another. */
  follow(work: () => Promise<void>): Promise<void> {
    const next = this.#following.then(async () => {
      const now = await this.#read();
      if (now === this.#seen) return;
      await work();
      this.#seen = now;
    });
    this.#following = next.catch(() => {});
    return next;
  }

  /** Does a work again and again until what is returned is called. */
  every(ms: number, work: () => Promise<void>): () => Promise<void> {
    const timer = setInterval(() => {
      // the next call tries again
      work().catch((thrown) => warn("flows could not be followed", thrown));
    }, ms);
    timer.unref();
    return async () => {
      clearInterval(timer);
      await this.#following;
    };
  }
}
