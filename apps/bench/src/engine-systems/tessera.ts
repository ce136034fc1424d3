import { type AnyOperator, flow, number, operator, text } from "@tessera/core";
import { type CompiledFlow, compile, type FlowEvents } from "@tessera/graph";
import { EventEmitter } from "eventemitter3";
import { z } from "zod";
import type { EngineSystem } from "../engine.js";
import { average, expect, heapOfWaiting, importTime, least, pause } from "./measured.js";

const about = { module: "data", submodule: "bench", summary: "Does nothing." } as const;
const none = z.strictObject({});
let gate: Promise<void> = Promise.resolve();

const step = operator({
  name: "bench.step",
  version: 1,
  about,
  config: none,
  ports: { input: { x: number }, output: { x: number } },
  setup:
    () =>
    async ({ x }) => ({ x: x + 1 }),
});
const wait = operator({
  name: "bench.wait",
  version: 1,
  about,
  config: z.strictObject({ ms: z.number().optional() }),
  ports: { input: { x: number }, output: { x: number } },
  setup:
    ({ ms }) =>
    async ({ x }) => {
      await (ms === undefined ? gate : pause(ms));
      return { x: x + 1 };
    },
});
const sum = operator({
  name: "bench.sum",
  version: 1,
  about,
  config: none,
  ports: { input: { xs: z.array(number) }, output: { x: number } },
  setup:
    () =>
    ({ xs }) => ({ x: xs.reduce((a, b) => a + b, 0) }),
});
const speak = operator({
  name: "bench.speak",
  version: 1,
  about,
  config: none,
  ports: { input: { x: number }, output: { said: text } },
  setup:
    () =>
    async ({ x }, { emit }) => {
      for (let i = 0; i < x; i++) {
        emit("said", "token");
        if (i % 64 === 0) await null;
      }
      return { said: "" };
    },
});
const operators = [step, wait, sum, speak] as unknown as AnyOperator[];

const lineOf = (waitAt?: number) =>
  flow("line", { x: "number" }, (f, input) => {
    let { x } = input;
    for (let i = 0; i < 10; i++) x = f.node(`n${i}`, i === waitAt ? wait() : step(), { x }).x;
    return { x };
  });

const system = (watched: boolean) => async (): Promise<EngineSystem> => {
  const open = <I extends object, O>(made: { document: unknown } & { [key: string]: unknown }) =>
    compile(made.document, { operators, validate: watched }) as Promise<CompiledFlow<I, O>>;
  const events: FlowEvents | undefined = watched ? new EventEmitter() : undefined;
  let heard = 0;
  events?.on("event", () => heard++);
  const options = { events };
  const line = await open<{ x: number }, { x: number }>(lineOf() as never);
  const parked = await open<{ x: number }, { x: number }>(lineOf(5) as never);
  const each = await open<{ xs: number[] }, { x: number }>(
    flow("each", { xs: { list: "number" } }, (f, { xs }) => {
      const many = f.each("many", step(), { over: "x", max: 100 }, { x: xs });
      return { x: f.node("sum", sum(), { xs: many.x }).x };
    }) as never,
  );
  const loop = await open<{ x: number }, { x: number }>(
    flow("loop", { x: "number" }, (f, { x }) => ({
      x: f.repeat("again", step(), { carry: { x: "x" }, max: 1000 }, { x }).x,
    })) as never,
  );
  const stream = await open<{ x: number }, { said: string }>(
    flow("stream", { x: "number" }, (f, { x }) => ({ said: f.node("speak", speak(), { x }).said })) as never,
  );
  const asymmetric = await open<{ x: number }, { x: number }>(
    flow("asymmetric", { x: "number" }, (f, input) => {
      const a = f.node("a", step(), { x: input.x });
      const b = f.node("b", wait({ ms: 500 }), { x: a.x });
      const c = f.node("c", wait({ ms: 200 }), { x: a.x });
      const d = f.node("d", wait({ ms: 200 }), { x: c.x });
      return { x: f.node("e", sum(), { xs: [b.x, d.x] }).x };
    }) as never,
  );
  const xs = Array.from({ length: 100 }, (_, i) => i);
  return {
    async line() {
      expect((await line.run({ x: 0 }, options)).output, { x: 10 });
      return (await average(() => line.run({ x: 0 }, options))) * 100;
    },
    async each() {
      expect((await each.run({ xs }, options)).output, { x: 5050 });
      return average(() => each.run({ xs }, options));
    },
    async loop() {
      expect((await loop.run({ x: 0 }, options)).output, { x: 1000 });
      return average(() => loop.run({ x: 0 }, options));
    },
    concurrent: () => least(() => Promise.all(Array.from({ length: 1000 }, () => line.run({ x: 0 }, options))), 8),
    async stream() {
      return (
        (await least(async () => {
          let seen = 0;
          for await (const _ of stream.stream({ x: 10_000 }, options).output) seen++;
          expect(seen, 10_000);
        }, 5)) / 10
      );
    },
    asymmetric: () => least(() => asymmetric.run({ x: 0 }, options), 1),
    waiting: () =>
      heapOfWaiting((held) => {
        gate = held;
        return parked.run({ x: 0 }, { ...options, signal: new AbortController().signal });
      }),
    async load() {
      const zod = importTime(`await import(${JSON.stringify(import.meta.resolve("zod"))})`);
      const all = importTime(
        `await import(${JSON.stringify(import.meta.resolve("zod"))}); await import(${JSON.stringify(import.meta.resolve("@tessera/graph"))})`,
      );
      return Math.max(0.1, all - zod); // beyond zod's own
    },
  };
};

export const systems = { tessera: system(false), "tessera, events and validation": system(true) };
