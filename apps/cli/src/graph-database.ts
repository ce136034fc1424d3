import type { GraphDatabase } from "@tessera/core";
import { sha256 } from "@tessera/core/internal";
import type { Resources } from "@tessera/tessera";

/** The graph database "database", where a command admits functions or procedures for it. */
export function graphDatabaseOf(functions: readonly string[] | undefined): Resources {
  if (functions === undefined) return {};
  const database: GraphDatabase = { revision: sha256(JSON.stringify(functions)), functions };
  return { "graph-database": { database } };
}
