// internal: loaded where a database is given
import type { SteadyConnection } from "@tessera/durable";
import { createTables } from "@tessera/durable/internal";
import { type FlowStorage, openedFlow, sealedFlow } from "../library.js";
import type { SharedRevision } from "./revision.js";

/** Uploaded flows in the table `tessera.flow`. */
export async function databaseFlows(connection: SteadyConnection, revision: SharedRevision): Promise<FlowStorage> {
  await createTables(connection, [
    "CREATE TABLE IF NOT EXISTS tessera.flow (name text PRIMARY KEY, document text NOT NULL)",
  ]);
  return {
    async read() {
      const { rows } = await connection.query<{ name: string; document: string }>(
        "SELECT name, document FROM tessera.flow ORDER BY name",
      );
      return new Map(rows.map(({ name, document }) => [name, openedFlow(document, `tessera.flow ${name}`)]));
    },
    async write(document) {
      await connection.query(
        "INSERT INTO tessera.flow VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET document = excluded.document",
        [document.name, sealedFlow(document)],
      );
      await revision.changed();
    },
    async remove(name) {
      await connection.query("DELETE FROM tessera.flow WHERE name = $1", [name]);
      await revision.changed();
    },
  };
}
