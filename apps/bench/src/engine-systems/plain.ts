import type { EngineSystem } from "../engine.js";
import { average, expect, heapOfWaiting, least, pause } from "./measured.js";

const step = async (x: number): Promise<number> => x + 1;

/** The floor: async functions that call each other. */
export const systems = {
  "plain calls": async (): Promise<EngineSystem> => {
    const line = async (x: number) => {
      let value = x;
      for (let i = 0; i < 10; i++) value = await step(value);
      return value;
    };
    return {
      async line() {
        expect(await line(0), 10);
        return (await average(() => line(0))) * 100;
      },
      each: () => average(() => Promise.all(Array.from({ length: 100 }, (_, i) => step(i)))),
      async loop() {
        return average(async () => {
          let n = 0;
          while (n < 1000) n = await step(n);
        });
      },
      concurrent: () => least(() => Promise.all(Array.from({ length: 1000 }, () => line(0))), 8),
      async stream() {
        return (
          (await least(async () => {
            const source = async function* () {
              for (let i = 0; i < 10_000; i++) yield "token";
            };
            let seen = 0;
            for await (const _ of source()) seen++;
            expect(seen, 10_000);
          }, 5)) / 10
        );
      },
      asymmetric: () =>
        least(async () => {
          await step(0);
          await Promise.all([pause(500), pause(200).then(() => pause(200))]);
          await step(0);
        }, 1),
      waiting: () =>
        heapOfWaiting(async (gate) => {
          let value = 0;
          for (let i = 0; i < 10; i++) {
            if (i === 5) await gate;
            value = await step(value);
          }
        }),
      load: async () => -1,
    };
  },
};
