import { AsyncResource } from "node:async_hooks";
import { expect, it } from "@jest/globals";
import { type AnyOperator, type Context, operator, type Resource, text } from "@tessera/core";
import { z } from "zod";
import { compile } from "./compile.js";

/** A model with a secret of its own, as classes have. */
class Model implements Resource {
  readonly revision = "1";
  #asked = 0;
  async generate(): Promise<number> {
    return ++this.#asked;
  }
  count(): number {
    return this.#asked;
  }
}
type Doing = (tools: { model: Model; later: (work: () => unknown) => Promise<unknown>; context: Context }) => unknown;

const outside = new AsyncResource("outside");
/** Does something in a context of its own, as a queue does that was made before the run. */
const later = (work: () => unknown) =>
  new Promise((resolve, reject) => {
    outside.runInAsyncScope(() => setImmediate(() => Promise.resolve().then(work).then(resolve, reject)));
  });

const resources: Record<string, () => Resource> = {
  model: () => new Model(),
  frozen: () => Object.freeze({ revision: "1", generate: async () => 1, count: () => 1 }) as Resource,
};

/** What a step is charged that reports nothing by itself, with a bound of 3 calls. */
async function charged(doing: Readonly<Record<string, Doing>>, { kinds = ["model"], names = ["model"] } = {}) {
  const silent = operator({
    name: "test.silent",
    version: 1,
    about: { module: "data", submodule: "test", summary: "Does what it is told, and reports nothing." },
    config: z.strictObject({}),
    ports: { input: { what: text }, output: { what: text } },
    bound: () => ({ calls: 3, tokens: 30 }),
    setup: async (_, host) => {
      const [model] = await Promise.all(kinds.map((kind, index) => host.resource(kind, names[index] ?? "model")));
      return async ({ what }, context) => {
        await doing[what]!({ model: model as unknown as Model, later, context });
        return { what };
      };
    },
  });
  const document = {
    version: 1,
    name: "f",
    input: { whats: { list: "text" } },
    nodes: {
      a: { run: "test.silent", each: { over: "what", max: 9 }, in: { what: "input.whats" } },
    },
    output: { what: "a.what" },
  };
  const host = { resource: async (_: string, name: string) => resources[name]!() as never };
  const flow = await compile(document, { operators: [silent] as unknown as AnyOperator[], host });
  const run = flow.launch({ whats: Object.keys(doing) });
  await run.result.catch(() => {});
  return run.spent().calls;
}

const nothing: Doing = async () => {};
const asks: Doing = ({ model }) => model.generate();
const pause = () => new Promise((resolve) => setTimeout(resolve, 5));
const asksLate: Doing = async (tools) => {
  await pause();
  await asks(tools);
};

it.each<[string, Readonly<Record<string, Doing>>, number, Parameters<typeof charged>[1]?]>([
  ["nothing where it asked nothing", { nothing }, 0],
  ["its bound where it asked, and did not say so", { asks }, 3],
  ["nothing for what costs nothing", { looks: ({ model }) => model.count() }, 0],
  ["its bound where it asked after a pause", { asksLate }, 3],
  ["its bound where it is not known who asked", { queue: ({ model, later }) => later(() => model.generate()) }, 3],
  [
    "its bound while it is not known who asked, also where it is another one",
    { queue: ({ model, later }) => later(() => model.generate()), pause },
    6,
  ],
  ["each by itself, at the same time", { asks, nothing, pause, asksLate }, 6],
  [
    "nothing where it failed before it asked",
    {
      fails: () => {
        throw new Error("no");
      },
    },
    0,
  ],
  [
    "its bound where it failed after it had asked",
    {
      fails: async (tools) => {
        await asks(tools);
        throw new Error("no");
      },
    },
    3,
  ],
  ["what it reported, also where it asked nothing", { says: ({ context }) => context.spend({ calls: 2 }) }, 2],
  ["its bound where it uses nothing that is watched", { nothing }, 3, { kinds: [] }],
  ["its bound where it uses something besides that is unknown", { nothing }, 3, { kinds: ["model", "agent"] }],
  ["nothing where it uses a store besides", { nothing }, 0, { kinds: ["model", "store"] }],
  ["its bound where its model cannot be watched", { nothing }, 3, { names: ["frozen"] }],
])("a step is charged %s", async (...[, doing, calls, settings]) => {
  expect(await charged(doing, settings)).toBe(calls);
});
