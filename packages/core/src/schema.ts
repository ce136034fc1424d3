// public: flowSchema
import { z } from "zod";
import { flowDocument } from "./document.js";
import type { AnyOperator, Ports } from "./operator.js";
import { isOptional, portTypeOf } from "./ports.js";

type Schema = Record<string, unknown>;

const options = { io: "input", target: "draft-2020-12", unrepresentable: "any" } as const;

/** Renames the references inside a schema that moves into another. */
const moved = (schema: unknown, rename: (reference: string) => string): unknown => {
  if (Array.isArray(schema)) return schema.map((part) => moved(part, rename));
  if (typeof schema !== "object" || schema === null) return schema;
  return Object.fromEntries(
    Object.entries(schema).map(([key, part]) => [
      key,
      key === "$ref" && typeof part === "string" ? rename(part) : moved(part, rename),
    ]),
  );
};

/** The schema of a config; what it defines goes into `definitions` under the operator's name. */
function describeConfig(operator: AnyOperator, definitions: Record<string, Schema>): Schema {
  const own = z.toJSONSchema(operator.config, options) as Schema;
  const rename = (reference: string) =>
    reference === "#" ? `#/$defs/${operator.name}` : reference.replace("#/$defs/", `#/$defs/${operator.name}.`);
  const { $schema: _, $defs = {}, ...schema } = moved(own, rename) as Schema;
  for (const [name, definition] of Object.entries($defs as Record<string, Schema>))
    definitions[`${operator.name}.${name}`] = definition;
  definitions[operator.name] = schema;
  return { $ref: `#/$defs/${operator.name}` };
}

/** What a node's `in` may and must name, where the config does not decide it. */
function describeInputs({ ports }: AnyOperator): Schema | undefined {
  if (typeof ports === "function") return undefined;
  const inputs = Object.entries(ports.input as Ports);
  return {
    propertyNames: { enum: inputs.map(([name]) => name) },
    required: inputs.filter(([, schema]) => !isOptional(portTypeOf(schema))).map(([name]) => name),
  };
}

/**
 * The JSON Schema (draft 2020-12) of flow documents over these operators, with which an editor completes their names
 * and settings.
 */
export function flowSchema(operators: readonly AnyOperator[]): Schema {
  const schema = z.toJSONSchema(flowDocument, options) as unknown as FlowSchema;
  const definitions = { ...schema.$defs };
  const node = schema.properties.nodes.additionalProperties;
  node.properties.run.anyOf = [
    ...operators.map(({ name, about }) => ({ const: name, description: about.summary })),
    ...node.properties.run.anyOf.filter((option) => option.type !== "string"),
  ];
  node.allOf = operators.map((operator) => {
    const inputs = describeInputs(operator);
    return {
      if: { properties: { run: { const: operator.name } }, required: ["run"] },
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
      then: {
        properties: { with: describeConfig(operator, definitions), ...(inputs && { in: inputs }) },
        ...(!operator.config.safeParse({}).success && { required: ["with"] }),
      },
    };
  });
  return {
    ...schema,
    $defs: definitions,
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Tessera flow",
  };
}

/** Where the schema of a document has that of its nodes. */
interface FlowSchema extends Schema {
  $defs?: Record<string, Schema>;
  properties: {
    nodes: { additionalProperties: { properties: { run: { anyOf: Schema[] } }; allOf?: Schema[] } };
  };
}
