import { PGlite } from "@electric-sql/pglite";
import { vector } from "@electric-sql/pglite-pgvector";

/** A PostgreSQL within this process, with pgvector. */
export const openPglite = (): Promise<PGlite> => PGlite.create({ extensions: { vector } });
