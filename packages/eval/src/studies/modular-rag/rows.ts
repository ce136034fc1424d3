// internal: rowChecks
import type { RowCheck } from "./check.js";
import { flows } from "./flows.js";
import { indexing } from "./indexing.js";
import { query } from "./query.js";
import { reading } from "./reading.js";
import { retrieval } from "./retrieval.js";
import { routing } from "./routing.js";

/** The checks of the rows of Modular RAG that need data, by the number of the row. */
export const rowChecks: readonly RowCheck[] = [indexing, query, retrieval, reading, routing, flows]
  .flat()
  .sort((a, b) => a.row - b.row);
