// public: SqlConnection, SqlDatabase, PostgresPool, connectPostgres
import { missing } from "@tessera/core/internal";
import type { Pool } from "pg";

/** Runs statements with parameters. Values are never put into the text of a statement. */
export interface SqlConnection {
  query<R>(text: string, values?: unknown[]): Promise<{ rows: R[] }>;
}

/** A PostgreSQL database: what `connectPostgres` opens, or an instance of PGlite as it is. */
export interface SqlDatabase extends SqlConnection {
  /** Commits the changes of the work, or none of them if the work throws. */
  transaction<T>(work: (connection: SqlConnection) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** A pool of connections to a PostgreSQL server. */
export interface PostgresPool extends SqlDatabase {
  /**
   * Executes some work on one connection. If the work throws, the connection is closed, so that it keeps no lock of the
   * session.
   */
  session<T>(work: (connection: SqlConnection) => Promise<T>): Promise<T>;
}

/**
 * Connects to a PostgreSQL server by its URL, with a pool of at most `connections`.
 * @throws TesseraError DEPENDENCY_MISSING if the package pg is not installed.
 */
export async function connectPostgres(url: string, connections = 10): Promise<PostgresPool> {
  const { default: pg } = await import("pg").catch(missing("pg"));
  const pool = new pg.Pool({ connectionString: url, max: connections });
  // a connection that breaks is replaced, and its statement fails; without listeners it would end the process
  pool.on("error", () => {});
  pool.on("connect", (client) => void client.on("error", () => {}));
  const on = (client: Pick<Pool, "query">): SqlConnection => ({
    query: <R>(text: string, values?: unknown[]) => client.query(text, values) as unknown as Promise<{ rows: R[] }>,
  });
  return {
    ...on(pool),
    async transaction(work) {
      const client = await pool.connect();
      let broken = true;
      try {
        await client.query("BEGIN");
        const result = await work(on(client));
        await client.query("COMMIT");
        broken = false;
        return result;
      } catch (error) {
        broken = await client.query("ROLLBACK").then(
          () => false,
          () => true,
        );
        throw error;
      } finally {
        client.release(broken);
      }
    },
    async session(work) {
      const client = await pool.connect();
      let broken = true;
      try {
        const result = await work(on(client));
        broken = false;
        return result;
      } finally {
        client.release(broken);
      }
    },
    close: () => pool.end(),
  };
}
