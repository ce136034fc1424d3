import { z } from "zod";
import type { FlowDocument, NodeDocument, Source } from "./document.js";
import { limits } from "./limits.js";
import { portType } from "./ports.js";

const namePattern = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/;
const referencePattern = /^[A-Za-z][A-Za-z0-9_-]*\.[A-Za-z][A-Za-z0-9_-]*$/;
export const isName = (value: unknown): value is string => typeof value === "string" && namePattern.test(value);
export const isReference = (value: unknown): value is string =>
  typeof value === "string" && referencePattern.test(value);

export const name = z.string().regex(namePattern, "a name has letters, digits, - and _, and begins with a letter");
export const reference = z.string().regex(referencePattern, 'a source is written "node.port"');
const constant = z.strictObject({ value: z.json() });
const milliseconds = z.number().max(limits.milliseconds, `at most ${limits.milliseconds} ms, which is a year`);

export const source: z.ZodType<Source> = z.union([
  reference,
  z.array(reference),
  z.strictObject({ first: z.array(z.union([reference, constant])).min(1) }),
  z.strictObject({ named: z.record(name, reference) }),
  constant,
]);

export const each = z.strictObject({
  over: name,
  concurrency: z.int().positive().optional(),
  max: z.int().positive(),
});
export const repeat = z.strictObject({
  until: z.union([name, z.array(name).min(1)]).optional(),
  while: name.optional(),
  carry: z.record(name, name),
  max: z.int().positive(),
});
export const policy = z.strictObject({
  timeoutMs: milliseconds.positive().optional(),
  retry: z
    .strictObject({ attempts: z.int().min(1).max(100), backoffMs: milliseconds.nonnegative().optional() })
    .optional(),
  onError: z.enum(["fail", "skip"]).optional(),
});

/** What a node runs. */
export const run = z.lazy(() => z.union([z.string(), flowDocument]));

export const nodeDocument: z.ZodType<NodeDocument> = z.lazy(() =>
  z.strictObject({
    run: z.union([z.string(), flowDocument]),
    with: z.json().optional(),
    in: z.record(name, source),
    when: z.record(reference, z.json()).optional(),
    each: each.optional(),
    repeat: repeat.optional(),
    policy: policy.optional(),
  }),
);

export const nodeId = name.refine((id) => id !== "input", '"input" is the name of the flow\'s own input');

export const serve = z.strictObject({
  query: name.optional(),
  history: name.optional(),
  text: name.optional(),
  with: z.record(name, z.json()).optional(),
});

/** The schema of a flow document, version 1. */
export const flowDocument: z.ZodType<FlowDocument> = z.lazy(() =>
  z.strictObject({
    $schema: z.string().optional(),
    version: z.literal(1),
    name,
    input: z.record(name, portType),
    nodes: z.record(nodeId, nodeDocument),
    output: z.record(name, source),
    serve: serve.optional(),
  }),
);
export { portType } from "./ports.js";
