// internal: exampleOf
import { type FlowDocument, type Json, type NodeDocument, TesseraError } from "@tessera/core";
import { isOptional, portTypeOf } from "@tessera/core/internal";
import { flows } from "@tessera/flows";
import { z } from "zod";
import { catalogue } from "./catalogue.js";

/** What of a JSON Schema a sample is made from. */
interface Schema {
  readonly type?: string;
  readonly anyOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly minimum?: number;
}

/** The least value that a schema admits, where a text is the name of what it is for. */
function sampleOf(schema: Schema, name: string): Json {
  if (schema.anyOf) return sampleOf(schema.anyOf[0]!, name);
  switch (schema.type) {
    case "object": {
      const { properties = {}, required = [], additionalProperties: others } = schema;
      const known = required.map((key) => [key, sampleOf(properties[key]!, key)] as const);
      const own = typeof others === "object" ? [["one", sampleOf(others, "an example of one")] as const] : [];
      return Object.fromEntries([...known, ...own]);
    }
    case "array":
      return [sampleOf(schema.items ?? {}, name)];
    case "integer":
    case "number":
      return schema.minimum ?? 1;
    default:
      return name;
  }
}

/** The settings of the first node of a flow, or of the flows in it, that runs an operator. */
function settingsIn({ nodes }: FlowDocument, name: string): Json | undefined {
  for (const { run, with: settings } of Object.values(nodes)) {
    const found = typeof run === "string" ? (run === name ? settings : undefined) : settingsIn(run, name);
    if (found !== undefined) return found;
  }
  return undefined;
}

/**
 * A node that runs an operator, as it could stand in a flow whose inputs bear the names of its ports: with the settings
 * that the first flow of the catalogue gives it, or else with those that it must have.
 * @throws TesseraError UNKNOWN_OPERATOR
 */
export function exampleOf(name: string): NodeDocument {
  const entry = catalogue.get(name);
  if (!entry) throw new TesseraError("UNKNOWN_OPERATOR", `there is no operator "${name}"`);
  const { config, ports } = entry.operator;
  const used = [...flows.values()].map(({ flow }) => settingsIn(flow.document, name));
  const schema = z.toJSONSchema(config, { io: "input", unrepresentable: "any" }) as Schema;
  const least = schema.required?.length ? sampleOf(schema, name) : undefined;
  const settings = used.find((one) => one !== undefined) ?? least;
  const { input } = typeof ports === "function" ? ports(config.parse(settings ?? {})) : ports;
  const needed = Object.entries(input).filter(([, type]) => !isOptional(portTypeOf(type as z.ZodType)));
  return {
    run: name,
    ...(settings !== undefined && { with: settings }),
    in: Object.fromEntries(needed.map(([port]) => [port, `input.${port}`])),
  };
}
