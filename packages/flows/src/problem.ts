import type { JsonSchema } from "@tessera/core/internal";

/** The input of every flow that writes code: what `problem` of @tessera/coder describes. */
export const problemType: JsonSchema = {
  type: "object",
  properties: {
    id: { type: "string" },
    text: { type: "string" },
    language: { type: "string", enum: ["javascript", "typescript", "python"] },
    entry: { type: "string" },
    starter: { type: "string" },
    tests: {},
  },
  required: ["text", "language", "tests"],
};

/** Samples on their way; the operators that take them check them. */
export const programs = { list: "any" } as const;
