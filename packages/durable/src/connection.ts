import { messageOf, TesseraError } from "@tessera/core";
import type { SqlTransactions } from "./budgets.js";

const passing = /^(08|57P0[123]|ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN)/;
const isPassing = (error: unknown): boolean =>
  passing.test(String((error as { code?: unknown })?.code)) ||
  /connection terminated|timeout exceeded/i.test(messageOf(error));

/** Connections to a server, which wait where it is away for a while. */
export interface SteadyConnection extends SqlTransactions {
  /** Does one work at a time, whatever process asks; meant for what changes tables. */
  alone<T>(work: () => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/**
 * Connects to PostgreSQL. A statement that fails because the server is away is sent again, for up to `patienceMs`: every
 * statement and transaction sent through it must give the same when it is sent twice.
 * @throws TesseraError DEPENDENCY_MISSING; a statement throws STORE_FAILED.
 */
export async function connectSteadily(url: string, patienceMs = 60_000, connections = 10): Promise<SteadyConnection> {
  const { default: pg } = await import("pg").catch((cause) => {
    throw new TesseraError("DEPENDENCY_MISSING", `pg cannot be loaded: ${messageOf(cause)}`, { cause });
  });
  const pool = new pg.Pool({ connectionString: url, max: connections });
  // a connection that breaks is replaced, and its statement fails; without listeners it would end the process
  pool.on("error", () => {});
  pool.on("connect", (client) => void client.on("error", () => {}));
  const patiently = async <T>(work: () => Promise<T>): Promise<T> => {
    const until = performance.now() + patienceMs;
    for (let wait = 50; ; wait = Math.min(2 * wait, 2000)) {
      try {
        return await work();
      } catch (cause) {
        if (!isPassing(cause) || performance.now() + wait > until)
          throw new TesseraError("STORE_FAILED", `the database refused: ${messageOf(cause)}`, { cause });
      }
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  };
  return {
    async alone(work) {
      const client = await pool.connect();
      let broken = true;
      try {
        // asked for again and again: one that waits within the server would hold up the making of an index
        for (;;) {
          const { rows } = await client.query("SELECT pg_try_advisory_lock(hashtext('tessera')) AS got");
          if (rows[0].got) break;
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
        const result = await work();
        await client.query("SELECT pg_advisory_unlock(hashtext('tessera'))");
        broken = false;
        return result;
      } finally {
        client.release(broken); // closed, it holds no lock
      }
    },
    query: <R>(text: string, values?: unknown[]) =>
      patiently(async () => (await pool.query(text, values)) as unknown as { rows: R[] }),
    transaction: (work) =>
      patiently(async () => {
        const client = await pool.connect();
        let broken = true;
        try {
          await client.query("BEGIN");
          const result = await work({
            query: async <R>(text: string, values?: unknown[]) =>
              (await client.query(text, values)) as unknown as { rows: R[] },
          });
          await client.query("COMMIT");
          broken = false;
          return result;
        } finally {
          client.release(broken); // closed, it has changed nothing
        }
      }),
    close: () => pool.end(),
  };
}
