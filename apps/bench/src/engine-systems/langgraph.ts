import type { EngineSystem } from "../engine.js";
import { peer } from "../measure/peers.js";
import { average, expect, heapOfWaiting, importTime, least, pause, peerUrl } from "./measured.js";

interface Graph {
  addNode(name: string, work: unknown): Graph;
  addEdge(from: string | string[], to: string): Graph;
  addConditionalEdges(from: string, route: unknown, targets?: string[]): Graph;
  compile(): {
    invoke(input: object, config?: object): Promise<Record<string, unknown>>;
    stream(input: object, config: object): Promise<AsyncIterable<unknown>>;
  };
}
interface LangGraph {
  StateGraph: new (annotation: unknown) => Graph;
  Annotation: ((options?: object) => unknown) & { Root(channels: object): unknown };
  Send: new (node: string, input: object) => unknown;
  START: string;
  END: string;
}

const step = async ({ x }: { x: number }) => ({ x: x + 1 });

/** The graphs under measurement. */
function graphs({ StateGraph, Annotation, Send, START, END }: LangGraph) {
  const last = () => Annotation({ reducer: (_: unknown, next: unknown) => next, default: () => 0 });
  const many = () =>
    Annotation({ reducer: (left: unknown[], right: unknown[]) => left.concat(right), default: () => [] });
  const State = Annotation.Root({ x: last(), xs: last(), out: many() });
  const lineOf = (work: (i: number) => unknown) => {
    let graph = new StateGraph(State);
    for (let i = 0; i < 10; i++)
      graph = graph.addNode(`n${i}`, work(i)).addEdge(i === 0 ? START : `n${i - 1}`, `n${i}`);
    return graph.addEdge("n9", END).compile();
  };
  const each = new StateGraph(State)
    .addNode("one", async ({ x }: { x: number }) => ({ out: [x + 1] }))
    .addConditionalEdges(START, ({ xs }: { xs: number[] }) => xs.map((x) => new Send("one", { x })), ["one"])
    .addEdge("one", END)
    .compile();
  const loop = new StateGraph(State)
    .addNode("one", step)
    .addEdge(START, "one")
    .addConditionalEdges("one", ({ x }: { x: number }) => (x < 1000 ? "one" : END), ["one", END])
    .compile();
  const speak = new StateGraph(State)
    .addNode("speak", async (_: unknown, config: { writer(part: unknown): void }) => {
      for (let i = 0; i < 10_000; i++) {
        config.writer("token");
        if (i % 64 === 0) await null;
      }
      return { x: 1 };
    })
    .addEdge(START, "speak")
    .addEdge("speak", END)
    .compile();
  const asymmetric = new StateGraph(State)
    .addNode("a", step)
    .addNode("b", async () => {
      await pause(500);
      return { out: [1] };
    })
    .addNode("c", async () => {
      await pause(200);
      return { out: [1] };
    })
    .addNode("d", async () => {
      await pause(200);
      return { out: [1] };
    })
    .addNode("e", step)
    .addEdge(START, "a")
    .addEdge("a", "b")
    .addEdge("a", "c")
    .addEdge("c", "d")
    .addEdge(["b", "d"], "e")
    .addEdge("e", END)
    .compile();
  return { lineOf, each, loop, speak, asymmetric };
}

export const systems = {
  "LangGraph.js": async (): Promise<EngineSystem> => {
    const { lineOf, each, loop, speak, asymmetric } = graphs(await peer<LangGraph>("@langchain/langgraph"));
    const line = lineOf(() => step);
    const xs = Array.from({ length: 100 }, (_, i) => i);
    return {
      async line() {
        expect((await line.invoke({ x: 0 })).x, 10);
        return (await average(() => line.invoke({ x: 0 }))) * 100;
      },
      async each() {
        expect(((await each.invoke({ xs })).out as unknown[]).length, 100);
        return average(() => each.invoke({ xs }));
      },
      loop: () => least(() => loop.invoke({ x: 0 }, { recursionLimit: 2000 }), 2),
      concurrent: () => least(() => Promise.all(Array.from({ length: 1000 }, () => line.invoke({ x: 0 }))), 1),
      async stream() {
        return (
          (await least(async () => {
            let seen = 0;
            for await (const _ of await speak.stream({ x: 0 }, { streamMode: "custom" })) seen++;
            expect(seen, 10_000);
          }, 2)) / 10
        );
      },
      asymmetric: () => least(() => asymmetric.invoke({ x: 0 }), 1),
      waiting: () => {
        let held: Promise<void> = Promise.resolve();
        const parked = lineOf((i) => (i === 5 ? async (state: { x: number }) => held.then(() => step(state)) : step));
        return heapOfWaiting((gate) => {
          held = gate;
          return parked.invoke({ x: 0 }, { signal: new AbortController().signal });
        });
      },
      load: async () => importTime(`await import(${JSON.stringify(peerUrl("@langchain/langgraph"))})`),
    };
  },
};
