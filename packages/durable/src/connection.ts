// public: SteadyConnection, connectSteadily
import { TesseraError } from "@tessera/core";
import { messageOf } from "@tessera/core/internal";
import { connectPostgres } from "@tessera/stores";
import type { SqlTransactions } from "./budgets.js";

const passing = /^(08|57P0[123]|ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN)/;
const isPassing = (error: unknown): boolean =>
  passing.test(String((error as { code?: unknown })?.code)) ||
  /connection terminated|timeout exceeded/i.test(messageOf(error));

/** Connections to a server, which wait if it is away for a while. */
export interface SteadyConnection extends SqlTransactions {
  /** Executes only one such work at a time, over all processes; for changes of tables. */
  alone<T>(work: () => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/**
 * Connects to PostgreSQL. A statement that fails because the server is away is sent again, for up to `patienceMs`
 * milliseconds. So every statement and transaction must have the same effect when it is sent twice.
 * @throws TesseraError DEPENDENCY_MISSING; a statement throws STORE_FAILED.
 */
export async function connectSteadily(url: string, patienceMs = 60_000, connections = 10): Promise<SteadyConnection> {
  const pool = await connectPostgres(url, connections);
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
    alone: (work) =>
      pool.session(async (connection) => {
        // asked for again and again: one that waits within the server would hold up the making of an index
        for (;;) {
          const { rows } = await connection.query<{ got: boolean }>(
            "SELECT pg_try_advisory_lock(hashtext('tessera')) AS got",
          );
          if (rows[0]!.got) break;
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
        const result = await work();
        await connection.query("SELECT pg_advisory_unlock(hashtext('tessera'))");
        return result;
      }),
    query: <R>(text: string, values?: unknown[]) => patiently(() => pool.query<R>(text, values)),
    transaction: (work) => patiently(() => pool.transaction(work)),
    close: () => pool.close(),
  };
}
