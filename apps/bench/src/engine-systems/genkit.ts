import type { EngineSystem } from "../engine.js";
import { peer } from "../measure/peers.js";
import { average, expect, heapOfWaiting, importTime, least, pause, peerUrl } from "./measured.js";

type Flow = ((input: number) => Promise<number>) & { stream(input: number): { stream: AsyncIterable<unknown> } };
interface Genkit {
  defineFlow(
    options: object,
    work: (input: number, context: { sendChunk(part: unknown): void }) => Promise<number>,
  ): Flow;
  run<T>(name: string, work: () => Promise<T>): Promise<T>;
}

export const systems = {
  Genkit: async (): Promise<EngineSystem> => {
    const { genkit, z } = await peer<{
      genkit(options: object): Genkit;
      z: { number(): unknown; string(): unknown };
    }>("genkit");
    const ai = genkit({});
    let named = 0;
    const flowOf = (work: Parameters<Genkit["defineFlow"]>[1]) =>
      ai.defineFlow(
        { name: `flow${named++}`, inputSchema: z.number(), outputSchema: z.number(), streamSchema: z.string() },
        work,
      );
    const step = (name: string, x: number) => ai.run(name, async () => x + 1);
    const line = flowOf(async (input) => {
      let x = input;
      for (let i = 0; i < 10; i++) x = await step(`n${i}`, x);
      return x;
    });
    const each = flowOf(async () => {
      await Promise.all(Array.from({ length: 100 }, (_, i) => step("one", i)));
      return 0;
    });
    const loop = flowOf(async (input) => {
      let x = input;
      while (x < 1000) x = await step("one", x);
      return x;
    });
    const speak = flowOf(async (x, { sendChunk }) => {
      for (let i = 0; i < 10_000; i++) {
        sendChunk("token");
        if (i % 64 === 0) await null;
      }
      return x;
    });
    const asymmetric = flowOf(async (x) => {
      await Promise.all([
        ai.run("b", () => pause(500)),
        ai.run("c", () => pause(200)).then(() => ai.run("d", () => pause(200))),
      ]);
      return x;
    });
    let held: Promise<void> = Promise.resolve();
    const parked = flowOf(async (input) => {
      let x = input;
      for (let i = 0; i < 10; i++) {
        if (i === 5) await held;
        x = await step(`n${i}`, x);
      }
      return x;
    });
    return {
      async line() {
        expect(await line(0), 10);
        return (await average(() => line(0))) * 100;
      },
      each: () => average(() => each(0)),
      loop: () => average(() => loop(0)),
      concurrent: () => least(() => Promise.all(Array.from({ length: 1000 }, () => line(0))), 3),
      async stream() {
        return (
          (await least(async () => {
            let seen = 0;
            for await (const _ of speak.stream(0).stream) seen++;
            expect(seen, 10_000);
          }, 3)) / 10
        );
      },
      asymmetric: () => least(() => asymmetric(0), 1),
      waiting: () =>
        heapOfWaiting((gate) => {
          held = gate;
          return parked(0);
        }),
      load: async () => importTime(`await import(${JSON.stringify(peerUrl("genkit"))})`),
    };
  },
};
