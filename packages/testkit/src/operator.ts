// public: OperatorCase, portsOf, runOperator, ContractCheck, operatorChecks, testOperator
import { describe, expect, it } from "@jest/globals";
import { type AnyOperator, type Host, TesseraError } from "@tessera/core";
import { effectsOf, isOperator, messageOf, portTypeOf, required, schemaOf } from "@tessera/core/internal";
import { contextOf, hostOf, type RecordingContext } from "./host.js";

export interface OperatorCase {
  readonly name: string;
  readonly config?: unknown;
  readonly input: Record<string, unknown>;
  /** The whole output, or a check of it. */
  readonly output?: Record<string, unknown> | ((output: Record<string, unknown>, context: RecordingContext) => void);
}

/** The ports of an operator under a config. */
export function portsOf(operator: AnyOperator, config: unknown = {}) {
  return typeof operator.ports === "function" ? operator.ports(operator.config.parse(config)) : operator.ports;
}

/** Sets an operator up and runs it once, with its input and output checked against its ports. */
export async function runOperator(
  operator: AnyOperator,
  config: unknown,
  input: Record<string, unknown>,
  { host = hostOf(), context = contextOf() }: { host?: Host; context?: RecordingContext } = {},
): Promise<Record<string, unknown>> {
  const settings = operator.config.parse(config ?? {});
  const ports = portsOf(operator, config ?? {});
  for (const [port, schema] of Object.entries(ports.input)) (schema as { parse(v: unknown): void }).parse(input[port]);
  const work = await operator.setup(settings, host);
  const output = (await work(input, context)) as Record<string, unknown>;
  for (const [port, schema] of Object.entries(ports.output)) {
    const checked = (schema as { safeParse(v: unknown): { success: boolean; error?: unknown } }).safeParse(
      output[port],
    );
    if (!checked.success) throw new Error(`output "${port}" does not fit its port: ${String(checked.error)}`);
  }
  const unknown = Object.keys(output).filter((port) => !Object.hasOwn(ports.output, port));
  if (unknown.length > 0) throw new Error(`undeclared output ports: ${unknown.join(", ")}`);
  return output;
}

function freeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !ArrayBuffer.isView(value) && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const member of Object.values(value)) freeze(member);
  }
  return value;
}

/** One rule of a contract: its name in the tests, and a check that throws where it is broken. */
export interface ContractCheck {
  readonly name: string;
  check(): void | Promise<void>;
}

interface Checked {
  safeParse(value: unknown): { readonly success: boolean };
}

/** Values of many kinds, on which a port's schema and the type that a document names must agree. */
const probes: readonly unknown[] = [
  undefined,
  null,
  true,
  "",
  "a",
  "a longer text",
  0,
  -1,
  1.5,
  1e9,
  {},
  { a: 1 },
  [],
  [""],
  ["a", "b"],
  [1],
  [{}],
  { id: "a", text: "a", metadata: {} },
  [{ id: "a", text: "a", metadata: {} }],
];

/** A schema that admits less or more than the type under which documents connect it breaks flows that compile. */
function assertNamedTruly(port: string, schema: Checked, values: readonly unknown[]): void {
  const type = portTypeOf(schema as never);
  const plain = required(type);
  // a type without structure says nothing of the values: the schema alone checks them
  if (typeof plain === "object" && Object.keys(plain).length === 0) return;
  const named = schemaOf(type) as Checked;
  for (const value of [...probes, ...values])
    if (schema.safeParse(value).success !== named.safeParse(value).success)
      throw new Error(
        `the port "${port}" is ${JSON.stringify(type)} in a document, but its schema ${schema.safeParse(value).success ? "admits" : "refuses"} ${JSON.stringify(value)}`,
      );
}

/** An abort ends in the reason of the signal, or in an error of the framework; anything else is a fault of the operator. */
function assertOfAbort(error: unknown, { reason }: AbortSignal): void {
  const caused = (error as { cause?: unknown } | undefined)?.cause;
  if (error === reason || caused === reason || TesseraError.is(error)) return;
  throw new Error(`an abort ended in a foreign error: ${messageOf(error)}`, { cause: error });
}

/** The rules of the operator contract, as checks of one operator. */
export function operatorChecks(
  operator: AnyOperator,
  { cases, host = hostOf }: { cases: readonly OperatorCase[]; host?: () => Host },
): ContractCheck[] {
  return [
    {
      name: "is declared",
      check() {
        expect(isOperator(operator)).toBe(true);
        expect(Number.isInteger(operator.version) && operator.version > 0).toBe(true);
        expect(operator.about.summary).toMatch(/^[A-Z].*\.$/);
        expect(operator.about.submodule.length).toBeGreaterThan(0);
        expect(cases.length).toBeGreaterThan(0);
      },
    },
    {
      name: "refuses a setting it does not know",
      check() {
        const config = cases[0]?.config ?? {};
        expect(operator.config.safeParse(config).success).toBe(true);
        expect(operator.config.safeParse({ ...(config as object), noSuchSetting: 1 }).success).toBe(false);
      },
    },
    {
      name: "has ports that a document can name",
      check() {
        for (const { config, input } of cases) {
          const ports = portsOf(operator, config);
          for (const [port, schema] of Object.entries(ports.input))
            assertNamedTruly(port, schema as Checked, [input[port]]);
          for (const [port, schema] of Object.entries(ports.output)) assertNamedTruly(port, schema as Checked, []);
        }
      },
    },
    ...cases.map(({ name, config, input, output }) => ({
      name,
      async check() {
        const context = contextOf();
        const frozen = freeze(structuredClone(input));
        const result = await runOperator(operator, config, frozen, { host: host(), context });
        if (typeof output === "function") output(result, context);
        else if (output !== undefined) expect(result).toEqual(output);
        const ports = Object.keys(portsOf(operator, config).output);
        for (const { port } of context.emitted) expect(ports).toContain(port);
        if (effectsOf(operator, operator.config.parse(config ?? {})) === "none")
          expect(await runOperator(operator, config, frozen, { host: host() })).toEqual(result);
      },
    })),
    {
      name: "an aborted signal ends it with a result, the signal's reason or an error of the framework",
      async check() {
        const { config, input } = cases[0]!;
        const context = contextOf({ signal: AbortSignal.abort() });
        let ended: { output: Record<string, unknown> } | { error: unknown };
        try {
          const frozen = freeze(structuredClone(input));
          ended = { output: await runOperator(operator, config, frozen, { host: host(), context }) };
        } catch (error) {
          ended = { error };
        }
        if ("error" in ended) assertOfAbort(ended.error, context.signal);
      },
    },
  ];
}

/**
 * The conformance suite of the operator contract. A member's test calls it with its cases, and adds only regressions.
 * It checks the declaration, that a misspelt setting is refused, that ports admit what their types in documents say, that
 * inputs are never changed, that a pure operator gives the same output twice, that only declared ports are streamed, and
 * how an abort ends.
 */
export function testOperator(operator: AnyOperator, given: Parameters<typeof operatorChecks>[1]): void {
  describe(`${operator.name} meets the operator contract`, () => {
    for (const { name, check } of operatorChecks(operator, given)) it(name, check);
  });
}
