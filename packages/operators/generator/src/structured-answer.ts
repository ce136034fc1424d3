import { declarePrompt, type Json, TesseraError } from "@tessera/core";
import { assertSchema, jsonValuesIn, schemaFaults } from "@tessera/core/internal";
import { longestRules } from "./pack.js";
import { rulesOf } from "./prompt.js";
import { RefusalReader } from "./refusal.js";

type Schema = { readonly [key: string]: Json };

export const structuredPrompt = declarePrompt({
  name: "generator.structured",
  version: "1",
  text: `You fill in JSON from numbered passages.
Reply with one JSON value that answers the question and meets the given JSON Schema, and with nothing else. Use only what the passages say. Leave out what they do not say; where the schema requires it, give null or the emptiest value that it allows.
If the passages hold nothing of the answer, reply with exactly: {refusal}`,
  needed: ["refusal"],
  longest: longestRules,
});

/** What the system message says with our own prompt. */
export const ownRules = rulesOf((values) => structuredPrompt.text.replace("{refusal}", values.refusal));

const longestSchema = 8000; // characters

/** Whether a model refused. */
export const isRefusal = (said: string): boolean => {
  const reader = new RefusalReader();
  reader.push(said);
  reader.end();
  return reader.refused;
};

/** The value of an answer: the first that meets the schema, else what is wrong with the first that is there. */
export function readValue(
  said: string,
  schema: Schema,
  finish: "stop" | "length",
): { value: unknown } | { faults: readonly string[] } {
  let faults: readonly string[] | undefined;
  for (const value of jsonValuesIn(said)) {
    const wrong = schemaFaults(value, schema);
    if (wrong.length === 0) return { value };
    faults ??= wrong;
  }
  return {
    faults: faults ?? [finish === "length" ? "the reply was too long and is cut off" : "the reply holds no JSON"],
  };
}

/** @throws TesseraError BAD_ARGUMENT where there is none, or one that cannot be used */
export function usableSchema(schema: Schema | undefined): Schema {
  if (schema === undefined)
    throw new TesseraError("BAD_ARGUMENT", "there is no JSON Schema", {
      hint: "give one as the input `schema`, in the config of the node, or as `response_format` of a chat",
    });
  if (JSON.stringify(schema).length > longestSchema)
    throw new TesseraError("BAD_ARGUMENT", `the JSON Schema has more than ${longestSchema} characters`);
  assertSchema(schema); // what is wrong with it is told before anything is paid
  return schema;
}
