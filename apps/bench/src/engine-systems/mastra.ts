import type { EngineSystem } from "../engine.js";
import { peer } from "../measure/peers.js";
import { average, expect, heapOfWaiting, importTime, least, pause, peerUrl } from "./measured.js";

interface Workflow {
  then(step: unknown): Workflow;
  foreach(step: unknown, options?: object): Workflow;
  dountil(step: unknown, condition: unknown): Workflow;
  parallel(steps: unknown[]): Workflow;
  commit(): Workflow;
  createRun(): Promise<{ start(options: object): Promise<{ status: string; result?: unknown }> }>;
}
interface Mastra {
  createStep(options: object): unknown;
  createWorkflow(options: object): Workflow;
}

export const systems = {
  Mastra: async (): Promise<EngineSystem> => {
    const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
    if (major < 22 || (major === 22 && minor < 13))
      throw new Error(`it needs Node 22.13 or newer; this is ${process.versions.node}`);
    const { createStep, createWorkflow } = await peer<Mastra>("@mastra/core/workflows");
    const { z } = await peer<typeof import("zod")>("zod");
    const state = z.object({ x: z.number() });
    let named = 0;
    const stepOf = (
      work: (x: number) => Promise<number>,
      schema: { input: unknown; output: unknown } = { input: state, output: state },
    ) =>
      createStep({
        id: `step${named++}`,
        inputSchema: schema.input,
        outputSchema: schema.output,
        execute: async ({ inputData }: { inputData: { x: number } }) => ({ x: await work(inputData.x) }),
      });
    const step = () => stepOf(async (x) => x + 1);
    const workflow = (input: unknown = state) =>
      createWorkflow({ id: `workflow${named++}`, inputSchema: input, outputSchema: z.any() });
    const lineOf = (make: (i: number) => unknown) => {
      let line = workflow();
      for (let i = 0; i < 10; i++) line = line.then(make(i));
      return line.commit();
    };
    const start = async (flow: Workflow, inputData: unknown) => {
      const result = await (await flow.createRun()).start({ inputData });
      expect(result.status, "success");
      return result.result;
    };
    const line = lineOf(step);
    const each = workflow(z.array(state)).foreach(step(), { concurrency: 100 }).commit();
    const loop = workflow()
      .dountil(step(), async ({ inputData }: { inputData: { x: number } }) => inputData.x >= 1000)
      .commit();
    const right = workflow()
      .then(stepOf((x) => pause(200).then(() => x)))
      .then(stepOf((x) => pause(200).then(() => x)))
      .commit();
    const asymmetric = workflow()
      .then(step())
      .parallel([stepOf((x) => pause(500).then(() => x)), right])
      .commit();
    const xs = Array.from({ length: 100 }, (_, x) => ({ x }));
    return {
      async line() {
        expect(await start(line, { x: 0 }), { x: 10 });
        return (await average(() => start(line, { x: 0 }))) * 100;
      },
      each: () => average(() => start(each, xs)),
      loop: () => least(() => start(loop, { x: 0 }), 2),
      concurrent: () => least(() => Promise.all(Array.from({ length: 1000 }, () => start(line, { x: 0 }))), 1),
      stream: async () => -1,
      asymmetric: () => least(() => start(asymmetric, { x: 0 }), 1),
      waiting: () => {
        let held: Promise<void> = Promise.resolve();
        const parked = lineOf((i) => (i === 5 ? stepOf((x) => held.then(() => x + 1)) : step()));
        return heapOfWaiting((gate) => {
          held = gate;
          return start(parked, { x: 0 });
        });
      },
      load: async () => importTime(`await import(${JSON.stringify(peerUrl("@mastra/core/workflows"))})`),
    };
  },
};
