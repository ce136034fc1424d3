import type { FlowDocument, Json, Operator, Schema } from "../api/types.js";
import { plainSchema } from "../ui/schema-form.js";

/** A setting that other values can be tried for. */
export interface Tunable {
  /** Where it stands, such as "fuse.k" or "search/find.top". */
  readonly at: string;
  readonly about: string | undefined;
  /** What it is now: in the document, or else as the operator presets it. */
  readonly now: Json | undefined;
  /** Values worth trying, as a text that the service reads. */
  readonly suggested: string;
}

const written = (values: readonly Json[]): string => values.map((value) => JSON.stringify(value)).join(", ");

/** A half, the same and twice as much; shares in equal steps; every choice. */
function suggestion(schema: Schema, now: Json | undefined): string | undefined {
  const { type, enum: choices, minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY } = schema;
  if (choices) return written(choices);
  if (type === "boolean") return "false, true";
  if ((type !== "number" && type !== "integer") || typeof now !== "number") return undefined;
  if (type === "number" && minimum >= 0 && maximum <= 1) return written([0.1, 0.3, 0.5, 0.7, 0.9]);
  const around = now === 0 ? [0, 1, 2] : [now / 2, now, now * 2];
  const whole = type === "integer" ? around.map(Math.round) : around;
  const inside = whole.filter((value) => value >= minimum && value <= maximum);
  return inside.length > 1 ? written([...new Set(inside)]) : undefined;
}

/** The settings of a flow, and of the flows in it, that are numbers, choices, or yes and no. */
export function tunablesOf(
  { nodes }: FlowDocument,
  operators: ReadonlyMap<string, Operator>,
  inside = "",
): readonly Tunable[] {
  return Object.entries(nodes).flatMap(([id, node]) => {
    if (typeof node.run !== "string") return tunablesOf(node.run, operators, `${inside}${id}/`);
    const settings = (node.with ?? {}) as Readonly<Record<string, Json>>;
    return Object.entries(operators.get(node.run)?.config.properties ?? {}).flatMap(([name, given]): Tunable[] => {
      const schema = plainSchema(given);
      const now = settings[name] ?? schema.default;
      const suggested = suggestion(schema, now);
      return suggested === undefined
        ? []
        : [{ at: `${inside}${id}.${name}`, about: schema.description, now, suggested }];
    });
  });
}
