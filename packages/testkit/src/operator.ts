import { describe, expect, it } from "@jest/globals";
import { type AnyOperator, type Host, isOperator, isOptional, portTypeOf, schemaOf } from "@tessera/core";
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

/**
 * The conformance suite of the operator contract. A member's test calls it with its cases, and adds only regressions.
 * It checks the declaration, that a misspelt setting is refused, that ports can stand in a document, that inputs are
 * never changed, that a pure operator gives the same output twice, and that only declared ports are streamed.
 */
export function testOperator(
  operator: AnyOperator,
  { cases, host = hostOf }: { cases: readonly OperatorCase[]; host?: () => Host },
): void {
  describe(`${operator.name} meets the operator contract`, () => {
    it("is declared", () => {
      expect(isOperator(operator)).toBe(true);
      expect(Number.isInteger(operator.version) && operator.version > 0).toBe(true);
      expect(operator.about.summary).toMatch(/^[A-Z].*\.$/);
      expect(operator.about.submodule.length).toBeGreaterThan(0);
      expect(cases.length).toBeGreaterThan(0);
    });

    it("refuses a setting it does not know", () => {
      const config = cases[0]?.config ?? {};
      expect(operator.config.safeParse(config).success).toBe(true);
      expect(operator.config.safeParse({ ...(config as object), noSuchSetting: 1 }).success).toBe(false);
    });

    it("has ports that a document can name", () => {
      for (const { config } of cases) {
        const { input, output } = portsOf(operator, config);
        for (const schema of [...Object.values(input), ...Object.values(output)]) {
          const type = portTypeOf(schema as never);
          expect(schemaOf(type)).toBeDefined();
          if (isOptional(type))
            expect((schema as { safeParse(v: unknown): { success: boolean } }).safeParse(undefined).success).toBe(true);
        }
      }
    });

    for (const { name, config, input, output } of cases) {
      it(name, async () => {
        const context = contextOf();
        const frozen = freeze(structuredClone(input));
        const result = await runOperator(operator, config, frozen, { host: host(), context });
        if (typeof output === "function") output(result, context);
        else if (output !== undefined) expect(result).toEqual(output);
        const ports = Object.keys(portsOf(operator, config).output);
        for (const { port } of context.emitted) expect(ports).toContain(port);
        if (operator.effects === "none")
          expect(await runOperator(operator, config, frozen, { host: host() })).toEqual(result);
      });
    }

    it("an aborted signal ends it with an error or a result, never a hang", async () => {
      const { config, input } = cases[0]!;
      const work = await operator.setup(operator.config.parse(config ?? {}), host());
      const settled = (async () => work(freeze(structuredClone(input)), contextOf({ signal: AbortSignal.abort() })))();
      // what a signal throws belongs to another realm than jest's, where it is no instance of Error
      await settled.catch((error: unknown) => expect(error).toHaveProperty("message"));
    });
  });
}
