// random flows, and records that end in the middle: for the tests of resuming
import { type AnyOperator, type FlowDocument, type Host, operator, type Records, text, waitFor } from "@tessera/core";
import { z } from "zod";

/** Numbers from a seed: the next one below `limit`. */
export function dice(seed: number): (limit: number) => number {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return (limit) => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % limit;
  };
}

const about = { module: "data", submodule: "test", summary: "For tests of resuming." } as const;
const config = z.strictObject({});
const ports = { input: { value: text }, output: { value: text } };

/** A few letters made from a text. */
export const digest = (given: string): string => {
  let sum = 7;
  for (const letter of given) sum = (sum * 31 + letter.charCodeAt(0)) % 46655;
  return sum.toString(36);
};

/** What the world saw of a run: by whom each start of a step was told, and what a store holds. */
export class World {
  /** The idempotency key of every step that started, in order. */
  readonly starts: string[] = [];
  readonly failed = new Set<string>();
  /** Calls that were paid. */
  calls = 0;
  /** The revision of the store that "test.read" reads and "test.write" writes. */
  revision = 0;

  /** @param options `waits`: whether the operators that wait do so, or know at once what they would be told */
  constructor(private readonly options: { readonly waits: boolean } = { waits: true }) {}

  /** The operators of one life of the engine. */
  operators(version = 1): AnyOperator[] {
    const world = this;
    const make = (name: string, work: (value: string, key: string) => string, more: object = {}) =>
      operator({
        name: `test.${name}`,
        version,
        about,
        config,
        ports,
        ...more,
        async setup(_, host) {
          if (name === "read" || name === "write") await host.resource("store", "s");
          return async ({ value }, { idempotencyKey = "", spend }) => {
            world.starts.push(idempotencyKey);
            await null;
            if (name === "paid") {
              world.calls++;
              spend({ calls: 1 });
            }
            return { value: work(value, idempotencyKey) };
          };
        },
      }) as unknown as AnyOperator;
    return [
      make("pure", (value) => digest(`p${value}`), { effects: "none" }),
      make("read", (value) => digest(`r${value}`)),
      make("paid", (value) => digest(`m${value}`), { bound: () => ({ calls: 1, tokens: 0 }) }),
      make(
        "write",
        (value) => {
          this.revision++;
          return digest(`w${value}`);
        },
        { effects: "write" },
      ),
      /** Fails the first time that it is started at a place. */
      make("flaky", (value, key) => {
        const place = key.replaceAll(/!\d+/g, "");
        if (this.failed.has(place)) return digest(`f${value}`);
        this.failed.add(place);
        throw new Error("not yet");
      }),
      make("bad", () => {
        throw new Error("never");
      }),
      ...this.waiting(version),
      operator({
        name: "test.split",
        version,
        about,
        config,
        ports: { input: { value: text }, output: { values: z.array(text) } },
        effects: "none",
        setup:
          () =>
          ({ value }) => ({ values: [...value, "x"] }),
      }) as unknown as AnyOperator,
      operator({
        name: "test.join",
        version,
        about,
        config,
        ports: { input: { values: z.array(text) }, output: { value: text } },
        effects: "none",
        setup:
          () =>
          ({ values }) => ({ value: digest(values.join(",")) }),
      }) as unknown as AnyOperator,
    ];
  }

  /** One asks, one sleeps, and one waits for a signal. */
  private waiting(version: number): AnyOperator[] {
    const { starts, options } = this;
    const make = (name: string, told: (value: string) => string, request: (value: string) => object) =>
      operator({
        name: `test.${name}`,
        version,
        about,
        config,
        ports,
        effects: "write",
        waits: () => (name === "hear" ? { signal: { name: "go", queue: 3, type: "text" as const } } : {}),
        setup:
          () =>
          async ({ value }, { idempotencyKey = "" }) => {
            starts.push(idempotencyKey);
            return options.waits ? waitFor({ port: "value", ...request(value) }) : { value: told(value) };
          },
      }) as unknown as AnyOperator;
    return [
      make(
        "ask",
        (value) => digest(`a${value}`),
        (value) => ({ payload: value, answer: "text" }),
      ),
      make(
        "nap",
        (value) => digest(`n${value}`),
        (value) => ({ timeoutMs: 700, otherwise: { value: digest(`n${value}`) } }),
      ),
      make(
        "hear",
        () => "heard",
        () => ({ signal: "go", answer: "text" }),
      ),
    ];
  }

  get host(): Host {
    const world = this;
    return {
      resource: async () =>
        ({
          get revision() {
            return String(world.revision);
          },
        }) as never,
    };
  }
}

type Node = FlowDocument["nodes"][string];

const plain = ["pure", "read", "write", "paid"];
const waiting = ["pure", "ask", "write", "nap", "ask", "hear", "paid"];

/** A flow with steps, writes, `each`, `repeat`, nested flows, retries and steps that are left out; and some that wait. */
export function randomFlow(seed: number, { nodes = 4, depth = 2, waits = false } = {}): FlowDocument {
  const next = dice(seed);
  const names = waits ? waiting : plain;
  return flowOf({ next, names }, "f", 1 + next(nodes), depth);
}

interface Choices {
  readonly next: (limit: number) => number;
  readonly names: readonly string[];
}

function flowOf(choices: Choices, name: string, count: number, depth: number): FlowDocument {
  const { next, names } = choices;
  const nodes: Record<string, Node> = {};
  const values = ["input.value"];
  const body = (): Node["run"] =>
    depth > 0 && next(4) === 0 ? flowOf(choices, "inner", 1 + next(3), depth - 1) : `test.${names[next(names.length)]}`;
  for (let i = 0; i < count; i++) {
    const id = `n${i}`;
    const value = values[next(values.length)]!;
    const kind = next(7);
    if (kind === 0) {
      nodes[`${id}s`] = { run: "test.split", in: { value } };
      const each = { over: "value", max: 9, ...(next(2) === 0 && { concurrency: 2 }) };
      nodes[`${id}e`] = { run: body(), each, in: { value: `${id}s.values` } };
      nodes[id] = { run: "test.join", in: { values: `${id}e.value` } };
    } else if (kind === 1)
      nodes[id] = { run: body(), repeat: { carry: { value: "value" }, max: 1 + next(3) }, in: { value } };
    else if (kind === 2)
      nodes[id] = { run: "test.flaky", in: { value }, policy: { retry: { attempts: 2, backoffMs: 0 } } };
    else if (kind === 3) nodes[id] = { run: "test.bad", in: { value }, policy: { onError: "skip" } };
    else if (kind === 4 && depth > 0) {
      const inner = flowOf(choices, "inner", 1 + next(2), depth - 1);
      const last = { run: "test.flaky", in: { value: "input.value" } };
      const document = { ...inner, nodes: { ...inner.nodes, last }, output: { ...inner.output, last: "last.value" } };
      nodes[id] = { run: document as never, in: { value }, policy: { retry: { attempts: 3, backoffMs: 0 } } };
    } else nodes[id] = { run: body(), in: { value } };
    if (kind !== 3) values.push(`${id}.value`);
  }
  const all = Object.keys(nodes).filter((id) => !/[se]$/.test(id));
  const output = Object.fromEntries(
    all.map((id) => [`o-${id}`, { first: [`${id}.value`, { value: "none" }] as [string, { value: string }] }]),
  );
  const value = { first: [values.at(-1)!, { value: "none" }] };
  return { version: 1, name, input: { value: "text" }, nodes, output: { ...output, value } } as FlowDocument;
}

type Write = (records: Records) => Promise<unknown>;

/** Records that note what is written, so that the first `k` writes can be made again elsewhere. */
export function noting(records: Records): Records & { readonly writes: readonly Write[] } {
  const writes: Write[] = [];
  return {
    ...records,
    begin(...given) {
      writes.push((other) => other.begin(...given));
      return records.begin(...given);
    },
    commit(...given) {
      writes.push((other) => other.commit(...given));
      return records.commit(...given);
    },
    charge(...given) {
      writes.push((other) => other.charge(...given));
      return records.charge(...given);
    },
    writes,
  };
}

/** Records that refuse every write from the one numbered `from` on, as those of a process that was killed. */
export function ending(records: Records, from: number): Records & { readonly writes: () => number } {
  let writes = 0;
  const guarded =
    <T extends unknown[], R>(write: (...given: T) => Promise<R>) =>
    async (...given: T): Promise<R> => {
      if (writes++ >= from) throw new Error("the process is dead");
      return write(...given);
    };
  return {
    ...records,
    begin: guarded(records.begin),
    commit: guarded(records.commit),
    charge: guarded(records.charge),
    waits: {
      ...records.waits!,
      note: guarded(records.waits!.note),
      remove: guarded(records.waits!.remove),
    },
    writes: () => writes,
  };
}
