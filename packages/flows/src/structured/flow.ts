import { flow } from "@tessera/core";
import { structured as fill } from "@tessera/generator";
import { searchBothWays } from "../both-ways.js";

/**
 * Structured: retrieves as "rag" does, then a model answers by a JSON value that meets the JSON Schema `schema`. An answer that does not
 * is sent back once with what is wrong. `tessera ask --json-schema` and `response_format` of the chat route run it. Modular RAG,
 * equation 4 and operators 17 and 38.
 */
export const structured = flow(
  "structured",
  { query: "text", schema: { optional: { type: "object" } } },
  (f, { query, schema }) => {
    const looked = searchBothWays(f, query);
    const filled = f.node("answer", fill({ model: "model" }), { query, hits: looked.hits, schema: schema as never });
    return { value: filled.value, answer: filled.answer, text: filled.text, hits: looked.hits };
  },
);
