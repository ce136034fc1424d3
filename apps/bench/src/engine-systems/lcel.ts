import type { EngineSystem } from "../engine.js";
import { peer } from "../measure/peers.js";
import { average, expect, heapOfWaiting, importTime, least, pause, peerUrl } from "./measured.js";

interface Runnable {
  invoke(input: unknown, config?: object): Promise<unknown>;
  batch(inputs: unknown[]): Promise<unknown[]>;
  stream(input: unknown): Promise<AsyncIterable<unknown>>;
  pipe(next: unknown): Runnable;
}
interface Runnables {
  RunnableLambda: { from(work: unknown): Runnable };
  RunnableSequence: { from(steps: unknown[]): Runnable };
  RunnableParallel: { from(steps: object): Runnable };
}

const step = async ({ x }: { x: number }) => ({ x: x + 1 });

export const systems = {
  "LCEL RunnableSequence": async (): Promise<EngineSystem> => {
    const { RunnableLambda, RunnableSequence, RunnableParallel } = await peer<Runnables>("@langchain/core/runnables");
    const lambda = (work: unknown) => RunnableLambda.from(work);
    const lineOf = (work: (i: number) => unknown) =>
      RunnableSequence.from(Array.from({ length: 10 }, (_, i) => lambda(work(i))));
    const line = lineOf(() => step);
    const one = lambda(step);
    const spoken = lambda(async function* () {
      for (let i = 0; i < 10_000; i++) yield "token";
    });
    const asymmetric = lambda(step)
      .pipe(
        RunnableParallel.from({
          b: lambda(() => pause(500)),
          d: lambda(() => pause(200)).pipe(lambda(() => pause(200))),
        }),
      )
      .pipe(lambda(() => ({ x: 0 })));
    const xs = Array.from({ length: 100 }, (_, x) => ({ x }));
    return {
      async line() {
        expect(await line.invoke({ x: 0 }), { x: 10 });
        return (await average(() => line.invoke({ x: 0 }))) * 100;
      },
      each: () => average(() => one.batch(xs)),
      // it has no loop: its caller's own
      loop: () =>
        average(async () => {
          let state = { x: 0 };
          while (state.x < 1000) state = (await one.invoke(state)) as { x: number };
        }),
      concurrent: () => least(() => Promise.all(Array.from({ length: 1000 }, () => line.invoke({ x: 0 }))), 3),
      async stream() {
        return (
          (await least(async () => {
            let seen = 0;
            for await (const _ of await spoken.stream({})) seen++;
            expect(seen, 10_000);
          }, 3)) / 10
        );
      },
      asymmetric: () => least(() => asymmetric.invoke({ x: 0 }), 1),
      waiting: () =>
        heapOfWaiting((gate) =>
          lineOf((i) => (i === 5 ? async (state: { x: number }) => gate.then(() => step(state)) : step)).invoke(
            { x: 0 },
            { signal: new AbortController().signal },
          ),
        ),
      load: async () => importTime(`await import(${JSON.stringify(peerUrl("@langchain/core/runnables"))})`),
    };
  },
};
