import { z } from "zod";

const properties = z.array(z.string());

/** What a graph holds: the properties of each label and of each relation's type, and which labels a type joins. */
export const graphSchema = z.strictObject({
  nodes: z.record(z.string(), properties),
  relations: z.record(
    z.string(),
    z.strictObject({
      properties: properties.default([]),
      joins: z.array(z.tuple([z.string(), z.string()])).default([]),
    }),
  ),
});
export type GraphSchema = z.infer<typeof graphSchema>;

/** The schema as a model reads it. */
export function showGraph({ nodes, relations }: GraphSchema): string {
  const lines = Object.entries(nodes).map(([label, own]) => `(:${label} {${own.join(", ")}})`);
  for (const [type, { properties, joins }] of Object.entries(relations)) {
    const relation = `[:${type}${properties.length > 0 ? ` {${properties.join(", ")}}` : ""}]`;
    for (const [from, to] of joins) lines.push(`(:${from})-${relation}->(:${to})`);
    if (joins.length === 0) lines.push(`()-${relation}->()`);
  }
  return lines.join("\n");
}
