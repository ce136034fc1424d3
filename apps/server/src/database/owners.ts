// internal: loaded where a database is given
import type { SteadyConnection } from "@tessera/durable";
import { createTables } from "@tessera/durable/internal";
import type { Owners } from "../owners.js";

/** Whose flows and indexes are, in the table `tessera.owner`. */
export async function databaseOwners(connection: SteadyConnection): Promise<Owners> {
  await createTables(connection, [
    "CREATE TABLE IF NOT EXISTS tessera.owner (kind text, name text, principal text NOT NULL, PRIMARY KEY (kind, name))",
  ]);
  return {
    async of(kind, name) {
      const { rows } = await connection.query<{ principal: string }>(
        "SELECT principal FROM tessera.owner WHERE kind = $1 AND name = $2",
        [kind, name],
      );
      // JSON writes what PostgreSQL cannot keep as escapes
      return rows[0] && (JSON.parse(rows[0].principal) as string);
    },
    async note(kind, name, principal) {
      await connection.query(
        "INSERT INTO tessera.owner VALUES ($1, $2, $3) ON CONFLICT (kind, name) DO UPDATE SET principal = excluded.principal",
        [kind, name, JSON.stringify(principal)],
      );
    },
    async forget(kind, name) {
      await connection.query("DELETE FROM tessera.owner WHERE kind = $1 AND name = $2", [kind, name]);
    },
  };
}
