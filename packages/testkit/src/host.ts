// public: hostOf, RecordingContext, contextOf
import { type Context, type Host, type Principal, type Resource, TesseraError } from "@tessera/core";
import { type Spending, uniform } from "@tessera/core/internal";

/** A host over resources written as `{ "store/docs": store, "model/judge": model }`. */
export function hostOf(resources: Readonly<Record<string, Resource>> = {}): Host {
  return {
    async resource<T extends Resource>(kind: string, name: string): Promise<T> {
      const key = `${kind}/${name}`;
      if (!Object.hasOwn(resources, key))
        throw new TesseraError("UNKNOWN_RESOURCE", `no ${kind} "${name}"`, { path: key });
      return resources[key] as T;
    },
  };
}

/** A context that records what an operator emits and spends. */
export interface RecordingContext extends Context {
  readonly emitted: { port: string; delta: unknown }[];
  readonly spent: { calls: number; tokens: number; layers: number; cost: number };
}

export function contextOf(
  options: {
    path?: string;
    signal?: AbortSignal;
    principal?: Principal;
    idempotencyKey?: string;
    random?: () => number;
  } = {},
): RecordingContext {
  const emitted: RecordingContext["emitted"] = [];
  const spent = { calls: 0, tokens: 0, layers: 0, cost: 0 };
  return {
    path: options.path ?? "test",
    signal: options.signal ?? new AbortController().signal,
    principal: options.principal,
    idempotencyKey: options.idempotencyKey ?? `run:${options.path ?? "test"}`,
    random: options.random ?? uniform(1),
    emit: (port, delta) => void emitted.push({ port, delta }),
    spend({ calls = 0, tokens = 0, layers = 0, cost = 0 }: Spending) {
      spent.calls += calls;
      spent.tokens += tokens;
      spent.layers += layers;
      spent.cost += cost;
    },
    emitted,
    spent,
  };
}
