import { z } from "zod";
import { flowDocument } from "./document.js";
import type { AnyOperator, Ports } from "./operator.js";

type Schema = Record<string, unknown>;

const describeConfig = (operator: AnyOperator): Schema => {
  const { $schema: _, ...schema } = z.toJSONSchema(operator.config, { io: "input", unrepresentable: "any" }) as Schema;
  return schema;
};

const inputsOf = (operator: AnyOperator): Ports | undefined =>
  typeof operator.ports === "function" ? undefined : operator.ports.input;

/**
 * The JSON Schema (draft 2020-12) of flow documents over these operators: an editor completes their names and config.
 */
export function flowSchema(operators: readonly AnyOperator[]): Schema {
  const schema = z.toJSONSchema(flowDocument, {
    io: "input",
    target: "draft-2020-12",
    unrepresentable: "any",
  }) as Schema;
  const definitions = (schema.$defs ?? {}) as Record<string, Schema>;
  const node = [schema, ...Object.values(definitions)].find(
    (candidate) => candidate.properties && Object.hasOwn(candidate.properties as object, "run"),
  );
  if (node) {
    const properties = node.properties as Record<string, Schema>;
    const flows = ((properties.run?.anyOf ?? []) as Schema[]).filter((option) => option.type !== "string");
    properties.run = {
      anyOf: [
        ...operators.map((operator) => ({ const: operator.name, description: operator.about.summary })),
        ...flows,
      ],
    };
    node.allOf = operators.map((operator) => {
      const inputs = inputsOf(operator);
      return {
        if: { properties: { run: { const: operator.name } }, required: ["run"] },
        // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
        then: {
          properties: {
            with: describeConfig(operator),
            ...(inputs && { in: { propertyNames: { enum: Object.keys(inputs) } } }),
          },
        },
      };
    });
  }
  return { ...schema, $schema: "https://json-schema.org/draft/2020-12/schema", title: "Tessera flow" };
}
