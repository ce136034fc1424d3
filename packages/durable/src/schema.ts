// internal: createTables
import type { SqlConnection } from "./sql.js";

/** Makes what is not there yet. */
export async function createTables(connection: SqlConnection, statements: readonly string[]): Promise<void> {
  // several processes may start at once; the second finds everything there
  for (const statement of statements) await connection.query(statement).catch(() => connection.query(statement));
}
