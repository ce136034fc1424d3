import { createRequire } from "node:module";
import type { Json } from "@tessera/core";
import { missing } from "@tessera/core/internal";

export type Row = { [column: string]: Json };

export interface SqliteJob {
  readonly statement: string;
  /** The most that are read. */
  readonly rows: number;
}

/** What of sql.js is used: SQLite compiled to WebAssembly, over a copy of a file, so that nothing can reach the disk. */
interface SqlJs {
  readonly Database: new (
    bytes?: Uint8Array,
  ) => {
    run(script: string): void;
    prepare(statement: string): { step(): boolean; getAsObject(): Row; free(): void };
    export(): Uint8Array;
    close(): void;
  };
}

/** sql.js, not started yet. @throws TesseraError DEPENDENCY_MISSING */
export function driver(): () => Promise<SqlJs> {
  try {
    return createRequire(import.meta.url)("sql.js");
  } catch (cause) {
    return missing("sql.js")(cause);
  }
}
