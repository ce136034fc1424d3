import { describe, expect, it } from "@jest/globals";
import { StringOutputParser } from "@langchain/core/output_parsers";
import { ChatPromptTemplate } from "@langchain/core/prompts";
import { RunnableLambda, RunnablePassthrough, RunnableSequence } from "@langchain/core/runnables";
import { FakeListChatModel } from "@langchain/core/utils/testing";
import { flow, number, operator, text } from "@tessera/core";
import { type CompiledFlow, compile } from "@tessera/graph";
import { z } from "zod";
import { toRunnable } from "./runnable.js";

const about = { module: "data", submodule: "test", summary: "For tests." } as const;
const wait = (ms: number, signal: AbortSignal) =>
  new Promise<void>((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });

let running = 0;
let most = 0;
let aborted = 0;
const speak = operator({
  name: "test.speak",
  version: 1,
  about,
  config: z.strictObject({ ms: z.number().default(0) }),
  ports: { input: { question: text }, output: { text, words: number, who: text } },
  setup:
    ({ ms }) =>
    async ({ question }, context) => {
      most = Math.max(most, ++running);
      try {
        if (question === "fail") throw new Error("it failed");
        const words = question.toUpperCase().split(" ");
        for (const word of words) {
          context.emit("text", `${word}!`);
          await wait(ms, context.signal);
        }
        return {
          text: words.map((word) => `${word}!`).join(""),
          words: words.length,
          who: context.principal?.id ?? "nobody",
        };
      } catch (error) {
        if (context.signal.aborted) aborted++;
        throw error;
      } finally {
        running--;
      }
    },
});
type In = { question: string };
type Out = { text: string; words: number; who: string };
const flowOf = async (ms = 0) => {
  const { document } = flow("speak", { question: "text" }, (f, { question }) => {
    const said = f.node("speak", speak({ ms }), { question });
    return { text: said.text, words: said.words, who: said.who };
  });
  return (await compile(document, { operators: [speak] })) as unknown as CompiledFlow<In, Out>;
};
const open = async (ms = 0) => toRunnable(await flowOf(ms));
const bare = async (ms = 0) => toRunnable(await flowOf(ms), { input: "question", output: "text" });
async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const parts: T[] = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

describe("toRunnable", () => {
  it("invokes", async () => {
    expect(await (await open()).invoke({ question: "a b" })).toEqual({ text: "A!B!", words: 2, who: "nobody" });
    expect(await (await bare()).invoke("a b")).toBe("A!B!");
  });

  it("tells the flow who asks", async () => {
    const { who } = await (await open()).invoke({ question: "a" }, { configurable: { principal: { id: "ann" } } });
    expect(who).toBe("ann");
  });

  it("streams texts part by part, and the other ports at the end", async () => {
    expect(await all(await (await open(1)).stream({ question: "a b" }))).toEqual([
      { text: "A!" },
      { text: "B!" },
      { words: 2, who: "nobody" },
    ]);
    expect(await all(await (await bare(1)).stream("a b c"))).toEqual(["A!", "B!", "C!"]);
  });

  it("runs a batch, at most maxConcurrency at a time, and can give errors back", async () => {
    const runnable = await bare(5);
    most = 0;
    expect(await runnable.batch(["a", "b", "c", "d"], { maxConcurrency: 2 })).toEqual(["A!", "B!", "C!", "D!"]);
    expect(most).toBe(2);
    const [good, bad] = await runnable.batch(["a", "fail"], undefined, { returnExceptions: true });
    expect(good).toBe("A!");
    expect(bad).toMatchObject({ message: expect.stringContaining("it failed") });
  });

  it("stands in a chain with prompts, models and parsers, also when it is streamed", async () => {
    const prompt = ChatPromptTemplate.fromTemplate("{said}");
    const chain = RunnableSequence.from([
      await bare(1),
      (said: string) => ({ said }),
      prompt,
      new FakeListChatModel({ responses: ["done"] }),
      new StringOutputParser(),
      await bare(1),
    ]);
    expect(await chain.invoke("a b")).toBe("DONE!");
    expect((await all(await chain.stream("a b"))).join("")).toBe("DONE!");
  });

  it("its streamed texts flow on into the next step", async () => {
    const chain = (await bare(1)).pipe(
      RunnableLambda.from(async function* (said: string) {
        yield said.length;
      } as never),
    );
    expect((await all(await chain.stream("a b"))).length).toBeGreaterThan(0);
    const kept = RunnablePassthrough.assign({ said: await open() } as never);
    expect(await kept.invoke({ question: "a" })).toMatchObject({ question: "a", said: { text: "A!" } });
  });

  it("an abort by the config's signal ends the run, and every node in it", async () => {
    const runnable = await bare(3_600_000);
    aborted = 0;
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 20);
    await expect(runnable.invoke("a b", { signal: controller.signal })).rejects.toBeDefined();
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(aborted).toBe(1);
  });

  it("a timeout of the config ends the run", async () => {
    await expect((await bare(3_600_000)).invoke("a", { timeout: 20 })).rejects.toBeDefined();
  });

  it("an abort ends a stream, and leaving a stream early ends the run", async () => {
    const runnable = await bare(3_600_000);
    aborted = 0;
    const controller = new AbortController();
    const read = async () => {
      for await (const _ of await runnable.stream("a b", { signal: controller.signal })) controller.abort();
    };
    await expect(read()).rejects.toBeDefined();
    for await (const _ of await runnable.stream("a b")) break;
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(aborted).toBe(2);
    expect(running).toBe(0);
  });

  it("an error reaches the caller, streamed or not, with its code", async () => {
    await expect((await bare()).invoke("fail")).rejects.toMatchObject({ code: "NODE_FAILED" });
    await expect((async () => all(await (await bare()).stream("fail")))()).rejects.toMatchObject({
      code: "NODE_FAILED",
    });
  });

  it("can be retried and given fallbacks as any Runnable", async () => {
    const runnable = await bare();
    const safe = runnable.withFallbacks([RunnableLambda.from(() => "instead")]);
    expect(await safe.invoke("fail")).toBe("instead");
  });

  it("callbacks see it by its name", async () => {
    const names: string[] = [];
    await (await bare()).invoke("a", {
      callbacks: [
        { handleChainStart: (_chain, _inputs, _id, _parent, _tags, _metadata, _type, name) => void names.push(name!) },
      ],
    });
    expect(names).toEqual(["TesseraFlow"]);
  });
});
