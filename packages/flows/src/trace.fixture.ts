import type { Flow, FlowEvent, Hit, Store } from "@tessera/core";
import { compile } from "@tessera/graph";
import type { ScriptedModel } from "@tessera/testkit";
import { hostOver } from "./corpus.fixture.js";
import { operators } from "./operators.fixture.js";

/** A run, with what its test may ask of it. */
export interface Trace<O> {
  readonly output: O;
  readonly status: string;
  readonly spent: { readonly calls: number; readonly tokens: number };
  readonly bound: { readonly calls: number; readonly tokens: number };
  readonly events: readonly FlowEvent[];
  /** How often each operator began. */
  readonly ran: Readonly<Record<string, number>>;
  /** What went into each activation of a node, by the end of its path. */
  inputsOf(end: string): Record<string, unknown>[];
}

/** Runs a flow over the corpus by the real engine, and watches it. */
export async function trace<I extends object, O extends object>(
  flow: Flow<I, O>,
  input: I,
  model: ScriptedModel,
  host = hostOver(model),
): Promise<Trace<O>> {
  const compiled = await compile(flow.document, { operators, host: await host });
  const stream = compiled.stream(input as Record<string, unknown>);
  const events: FlowEvent[] = [];
  for await (const event of stream) events.push(event);
  const { output, status, spent } = await stream.result;
  const starts = events.filter((event) => event.type === "node-start");
  const ran: Record<string, number> = {};
  for (const { operator } of starts) ran[operator] = (ran[operator] ?? 0) + 1;
  const inputsOf = (end: string) =>
    starts.filter(({ path }) => path.endsWith(end)).map(({ input }) => input as Record<string, unknown>);
  return { output: output as O, status, spent, bound: compiled.bound, events, ran, inputsOf };
}

/** The ids of the passages of hits, in order. */
export const ids = (hits: readonly Hit[]): string[] => hits.map(({ passage }) => passage.id);

/** A store that takes its time, and the most searches that were under way in it at once. */
export function slowly(store: Store): { store: Store; most: () => number } {
  let [running, most] = [0, 0];
  return {
    most: () => most,
    store: {
      revision: store.revision,
      upsert: (passages) => store.upsert(passages),
      delete: (ids) => store.delete(ids),
      async search(query) {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setTimeout(resolve, 5));
        running--;
        return store.search(query);
      },
    },
  };
}
