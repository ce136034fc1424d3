import { describe, expect, it } from "@jest/globals";
import { type AnyOperator, type Encoder, type Hit, type PortType, type Resource, TesseraError } from "@tessera/core";
import { isOptional, portTypeOf, required } from "@tessera/core/internal";
import { compile, type RunResult } from "@tessera/graph";
import { portsOf, scriptedEncoder, scriptedModel } from "@tessera/testkit";
import { operators } from "./catalogue.js";

const hit: Hit = { passage: { id: "a", text: "Ferries board at gate 3.", metadata: {} }, score: 1, provenance: [] };

/** A value of a type: nothing at all, or a little. */
function sampleOf(type: PortType, little: boolean): unknown {
  const plain = required(type);
  if (typeof plain !== "object") {
    if (plain === "text") return little ? "Where do ferries board?" : "";
    if (plain === "number") return little ? 1 : 0;
    if (plain === "flag") return little;
    if (plain === "hits") return little ? [hit] : [];
    if (plain === "passages") return little ? [hit.passage] : [];
    if (plain === "hit") return hit;
    if (plain === "passage") return hit.passage;
    if (plain === "answer") return { text: little ? "At gate 3." : "", citations: [], refused: !little };
    return little ? "x" : "";
  }
  if ("choice" in plain) return plain.choice[0];
  if ("list" in plain) return little ? [sampleOf(plain.list, true)] : [];
  if ("named" in plain) return little ? { a: sampleOf(plain.named, true) } : {};
  const {
    type: name,
    properties = {},
    required: names = [],
    enum: choices,
  } = plain as {
    type?: string;
    enum?: unknown[];
    properties?: Record<string, PortType>;
    required?: string[];
  };
  if (choices) return choices[0];
  if (name === "array") return [];
  if (name === "string") return "x";
  if (name === "number" || name === "integer") return 1;
  if (name === "boolean") return little;
  return Object.fromEntries(names.map((member) => [member, sampleOf(properties[member] ?? "any", little)]));
}

const special: Readonly<Record<string, object>> = {
  "router.model-judge": { question: "Is it?", choices: { yes: "it is", no: "it is not" }, otherwise: "no" },
  "query.text-to-cypher": { schema: { nodes: { Ship: [] }, relations: {} } },
};
const problem = { text: "Add two numbers.", language: "javascript", entry: "add", tests: [] };

/** Settings that an operator accepts, of the names of the host below. */
function configOf(operator: AnyOperator): unknown {
  const names = { model: "m", encoder: "e", store: "s", graph: "g", database: "d", sandbox: "b", exits: [1], exit: 1 };
  let config: Record<string, unknown> = { ...names, ...special[operator.name] };
  for (let round = 0; round < 3; round++) {
    const parsed = operator.config.safeParse(config);
    if (parsed.success) return config;
    const strange = parsed.error.issues.flatMap((issue: { keys?: string[] }) => issue.keys ?? []);
    config = Object.fromEntries(Object.entries(config).filter(([key]) => !strange.includes(key)));
  }
  throw new Error(`${operator.name} takes none of the settings: ${operator.config.safeParse(config).error}`);
}

/** Models that count what they are asked. */
function world() {
  const asked = { calls: 0, texts: 0 };
  const model = scriptedModel(
    () => {
      asked.calls++;
      return "yes [1]";
    },
    { capabilities: ["logprobs", "prefix", "json", "seed", "score"] },
  );
  const score = model.score!;
  const counting = {
    ...model,
    score(...given: Parameters<typeof score>) {
      asked.calls++;
      return score(...given);
    },
  };
  const plain = scriptedEncoder();
  const encoder: Encoder = {
    revision: "e",
    space: () => "space",
    encode(texts, how, signal) {
      asked.texts += texts.length;
      return plain.encode(texts, how, signal);
    },
  };
  const store = {
    revision: "s",
    space: "space",
    search: async () => [],
    get: async (ids: readonly string[]) => ids.map(() => undefined),
    upsert: async () => {},
    delete: async () => {},
  };
  const nothing = {
    revision: "n",
    dialect: "sqlite",
    schema: async () => "",
    query: async () => [],
    run: async () => ({}),
  };
  const kinds: Record<string, Resource> = { model: counting, encoder, store };
  const host = {
    resource: async (kind: string, _name: string, own?: Resource) => (own ?? kinds[kind] ?? nothing) as never,
  };
  return { asked, host };
}

const bounded = [...operators].filter(({ bound }) => bound !== undefined);

/** Runs an operator once, and gives what the run was charged and what its models were asked. */
async function once(operator: AnyOperator, little: boolean) {
  const config = configOf(operator);
  const ports = portsOf(operator, config);
  const types = Object.entries(ports.input).map(([port, schema]): [string, PortType] => [
    port,
    portTypeOf(schema as never),
  ]);
  const given = types.filter(([, type]) => little || !isOptional(type));
  const values = Object.fromEntries(given.map(([port, type]) => [port, sampleOf(type, little)]));
  if ("problem" in values) values.problem = problem;
  const { asked, host } = world();
  const document = {
    version: 1,
    name: "f",
    input: Object.fromEntries(given),
    nodes: {
      a: { run: operator.name, with: config, in: Object.fromEntries(given.map(([port]) => [port, `input.${port}`])) },
    },
    output: Object.fromEntries(
      Object.keys(ports.output).map((port) => [port, { first: [`a.${port}`, { value: null }] }]),
    ),
  };
  const flow = await compile(document, { operators: [operator], host });
  const before = { ...asked };
  const run = flow.launch(values);
  const ended: RunResult | TesseraError = await run.result.catch((error) => error);
  if (TesseraError.is(ended) && ended.code === "BAD_INPUT") throw ended;
  const calls = asked.calls - before.calls;
  const texts = asked.texts - before.texts;
  return { ended, spent: run.spent(), bound: flow.bound, calls, texts };
}

// before, a step that found nothing to ask was charged the most that it could have asked
describe("an operator that asks no model is charged nothing", () => {
  it.each(bounded.map((operator) => [operator.name, operator] as const))("%s", async (_, operator) => {
    let unasked = 0;
    for (const little of [false, true]) {
      const { spent, bound, calls, texts, ended } = await once(operator, little);
      if (calls + texts === 0) {
        unasked++;
        expect({ ...spent, steps: 0, ended }).toMatchObject({ calls: 0, tokens: 0, layers: 0, cost: 0 });
      } else if (calls > 0) {
        expect(spent.calls).toBeGreaterThanOrEqual(calls);
        expect(spent.calls).toBeLessThanOrEqual(Math.max(calls, bound.calls));
      } else expect(spent.layers).toBeGreaterThan(0);
    }
    counts.set(operator.name, unasked);
  });

  it("and the table has both kinds", () => {
    const unasked = [...counts.values()].filter((count) => count > 0).length;
    expect(counts.size).toBe(bounded.length);
    expect(unasked).toBeGreaterThan(10);
  });
  const counts = new Map<string, number>();
});
