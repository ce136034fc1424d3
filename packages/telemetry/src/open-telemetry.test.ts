import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { context, trace } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { BatchSpanProcessor, NodeTracerProvider } from "@opentelemetry/sdk-trace-node";
import {
  type AnyOperator,
  type Encoder,
  first,
  flag,
  flow,
  type Hit,
  type Host,
  hits,
  is,
  type LanguageModel,
  number,
  operator,
  type Store,
  text,
  value,
} from "@tessera/core";
import { complete } from "@tessera/core/internal";
import { compile, type Observer } from "@tessera/graph";
import { z } from "zod";
import { openTelemetry } from "./open-telemetry.js";

interface Received {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly kind: number;
  readonly attributes: Record<string, unknown>;
  readonly events: { name: string; attributes: Record<string, unknown> }[];
  readonly status: { code?: number; message?: string };
}

type Value = { [kind: string]: unknown };
const decoded = (attributes: { key: string; value: Value }[] = []): Record<string, unknown> => {
  const plain = (value: Value): unknown => {
    const [kind, content] = Object.entries(value)[0]!;
    if (kind === "arrayValue") return (content as { values: Value[] }).values.map(plain);
    return kind === "intValue" ? Number(content) : content;
  };
  return Object.fromEntries(attributes.map(({ key, value }) => [key, plain(value)]));
};

/** An OTLP/HTTP receiver: what the official exporter sends, decoded. */
const received: Received[] = [];
let bodies = "";
const receiver = createServer(async (request, response) => {
  let body = "";
  for await (const part of request) body += part;
  bodies += body;
  for (const { scopeSpans } of JSON.parse(body).resourceSpans)
    for (const { spans } of scopeSpans)
      for (const span of spans)
        received.push({
          ...span,
          attributes: decoded(span.attributes),
          events: (span.events ?? []).map((event: { name: string; attributes: [] }) => ({
            name: event.name,
            attributes: decoded(event.attributes),
          })),
        });
  response.setHeader("content-type", "application/json").end("{}");
});
let provider: NodeTracerProvider;
let plain: Observer;
let withContent: Observer;

beforeAll(async () => {
  receiver.listen(0, "127.0.0.1");
  await once(receiver, "listening");
  const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/v1/traces`;
  provider = new NodeTracerProvider({
    spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter({ url }), { maxQueueSize: 10_000 })],
  });
  const tracer = provider.getTracer("test");
  plain = openTelemetry({ tracer });
  withContent = openTelemetry({ tracer, content: true });
});
beforeEach(() => {
  received.length = 0;
  bodies = "";
});
afterAll(async () => {
  await provider.shutdown();
  receiver.close();
});

const arrived = async (): Promise<Received[]> => {
  await provider.forceFlush();
  return received;
};

const about = { module: "data", submodule: "test", summary: "For tests." } as const;
const hit = (id: string, score: number): Hit => ({
  passage: { id, text: "the secret passage", metadata: {} },
  score,
  provenance: [],
});

class Words implements Store {
  readonly revision = "1";
  readonly #found = [hit("p1", 2), hit("p2", 1)]; // a proxy that is no more than a proxy could not read this
  async search({ top }: { top: number }) {
    await sleep(1);
    return this.#found.slice(0, top);
  }
  async upsert() {}
  async delete() {}
}
const encoder: Encoder = {
  revision: "1",
  space: () => "s",
  encode: async (texts) => texts.map(() => new Float32Array(8)),
};
const model: LanguageModel = {
  revision: "1",
  capabilities: new Set(),
  async *generate({ messages }) {
    if (messages[0]!.content.includes("fail")) throw new TypeError("the model quotes: the secret passage");
    yield { text: "the secret " };
    await sleep(1);
    yield { text: "answer", finish: "stop", usage: { prompt: 12, completion: 2 } };
  },
};
const host = {
  resource: async (kind: string) => ({ store: new Words(), encoder, model })[kind],
} as unknown as Host;

const retrieve = operator({
  name: "retriever.test",
  version: 1,
  about: { ...about, module: "retrieval" },
  config: z.strictObject({}),
  ports: { input: { query: text }, output: { hits } },
  setup: async (_, host) => {
    const [store, encoder] = [
      await host.resource<Store>("store", "docs"),
      await host.resource<Encoder>("encoder", "e"),
    ];
    return async ({ query }, { signal }) => {
      await encoder.encode([query], { kind: "query" }, signal);
      return { hits: await store.search({ text: query, top: 2 }, signal) };
    };
  },
});
const rerank = operator({
  name: "reranker.test",
  version: 1,
  about,
  config: z.strictObject({}),
  ports: { input: { hits }, output: { hits } },
  setup:
    () =>
    ({ hits }) => ({ hits: hits.slice(0, 1) }),
});
const answer = operator({
  name: "generator.test",
  version: 1,
  about,
  config: z.strictObject({}),
  ports: { input: { query: text, hits: hits.optional() }, output: { text } },
  bound: () => ({ calls: 1, tokens: 100 }),
  setup: async (_, host) => {
    const model = await host.resource<LanguageModel>("model", "small");
    return async ({ query }, { signal, emit }) => ({
      text: (
        await complete(
          model,
          { messages: [{ role: "user", content: query }], maxTokens: 50, temperature: 0, stop: ["#"] },
          signal,
          (part) => emit("text", part),
        )
      ).text,
    });
  },
});
const wait = operator({
  name: "test.wait",
  version: 1,
  about,
  config: z.strictObject({ fail: z.int().default(0) }),
  ports: { input: { value: text }, output: { value: text } },
  setup: ({ fail }) => {
    let left = fail;
    return async ({ value }, { signal }) => {
      await sleep(Number(value) || 1, undefined, { signal });
      if (left-- > 0) throw new Error("the secret failure");
      return { value };
    };
  },
});
const count = operator({
  name: "test.count",
  version: 1,
  about,
  config: z.strictObject({}),
  ports: { input: { n: number }, output: { n: number, done: flag } },
  setup:
    () =>
    ({ n }) => ({ n: n + 1, done: n >= 2 }),
});
const route = operator({
  name: "router.test",
  version: 1,
  about,
  config: z.strictObject({}),
  ports: { input: { query: text }, output: { choice: z.enum(["deep", "plain"]) } },
  setup: () => () => ({ choice: "deep" as const }),
});
const operators = [retrieve, rerank, answer, wait, count, route] as unknown as AnyOperator[];

const ask = flow("ask", { query: "text" }, (f, { query }) => {
  const routed = f.node("route", route(), { query });
  const found = f.node("retrieve", retrieve(), { query }, { when: is(routed.choice, "deep") });
  const best = f.node("rerank", rerank(), { hits: found.hits });
  const other = f.node("other", answer(), { query }, { when: is(routed.choice, "plain") });
  const said = f.node("answer", answer(), { query, hits: best.hits });
  return { text: first(said.text, other.text) };
});

const tree = (spans: readonly Received[]) => {
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  return (span: Received): string =>
    span.parentSpanId && byId.has(span.parentSpanId)
      ? `${tree(spans)(byId.get(span.parentSpanId)!)} > ${span.name}`
      : span.name;
};

describe("openTelemetry", () => {
  it("makes a span of the flow, each node and each call, under the right parents and by the conventions", async () => {
    const ready = await compile(ask.document, { operators, host, observer: plain });
    await ready.run({ query: "the secret question" }, { id: "run-1", principal: { id: "secret-key" } });
    const spans = await arrived();
    expect(spans.map(tree(spans)).sort()).toEqual([
      "invoke_agent ask",
      "invoke_agent ask > generator.test",
      "invoke_agent ask > generator.test > chat small",
      "invoke_agent ask > reranker.test",
      "invoke_agent ask > retriever.test",
      "invoke_agent ask > retriever.test > embeddings e",
      "invoke_agent ask > retriever.test > retrieval docs",
      "invoke_agent ask > router.test",
    ]);
    const named = (name: string) => spans.find((span) => span.name === name)!.attributes;
    expect(named("invoke_agent ask")).toMatchObject({
      "gen_ai.operation.name": "invoke_agent",
      "gen_ai.agent.name": "ask",
      "gen_ai.agent.version": ready.hash,
      "openinference.span.kind": "AGENT",
      "tessera.run.id": "run-1",
      "tessera.status": "done",
    });
    expect(named("retrieval docs")).toEqual({
      "gen_ai.operation.name": "retrieval",
      "gen_ai.provider.name": "tessera",
      "gen_ai.data_source.id": "docs",
      "gen_ai.retrieval.top_k": 2,
      "openinference.span.kind": "RETRIEVER",
      "tessera.hits": 2,
    });
    expect(named("embeddings e")).toMatchObject({
      "gen_ai.operation.name": "embeddings",
      "gen_ai.request.model": "e",
      "gen_ai.embeddings.dimension.count": 8,
      "openinference.span.kind": "EMBEDDING",
    });
    expect(named("chat small")).toMatchObject({
      "gen_ai.operation.name": "chat",
      "gen_ai.request.model": "small",
      "gen_ai.request.max_tokens": 50,
      "gen_ai.request.temperature": 0,
      "gen_ai.request.stop_sequences": ["#"],
      "gen_ai.response.finish_reasons": ["stop"],
      "gen_ai.response.time_to_first_chunk": expect.any(Number),
      "gen_ai.usage.input_tokens": 12,
      "gen_ai.usage.output_tokens": 2,
      "openinference.span.kind": "LLM",
    });
    expect(named("reranker.test")).toMatchObject({
      "openinference.span.kind": "RERANKER",
      "tessera.operation.name": "rerank",
      "tessera.rerank.candidates": 2,
      "tessera.rerank.returned": 1,
      "tessera.rerank.scores": [2],
    });
    expect(named("retriever.test")).toMatchObject({
      "tessera.path": "ask/retrieve",
      "tessera.branch": "route.choice=deep",
      "openinference.span.kind": "RETRIEVER",
    });
    expect(spans.find(({ name }) => name === "invoke_agent ask")!.events).toEqual([
      { name: "skip", attributes: { "tessera.path": "ask/other", "tessera.skip.reason": "when" } },
    ]);
    expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(1);
  });

  it("keeps texts out unless they are asked for, and the principal always", async () => {
    const run = async (observer: Observer, query: string) => {
      bodies = "";
      const ready = await compile(ask.document, { operators, host, observer });
      await ready.run({ query }, { principal: { id: "key-of-ann", groups: ["group-of-ann"] } }).catch(() => {});
      await arrived();
      return bodies;
    };
    for (const query of ["the secret question", "fail with the secret question"]) {
      expect(await run(plain, query)).not.toMatch(/secret|of-ann|p1/);
      const told = await run(withContent, query);
      expect(told).toMatch(/secret question/);
      expect(told).toMatch(/"gen_ai.retrieval.documents"/);
      expect(told).not.toMatch(/of-ann/);
    }
    expect(bodies).toMatch(/the model quotes: the secret passage/);
  });

  it("errors are statuses, attempts are told apart, and what an abort leaves open is closed as such", async () => {
    const retried = flow("retried", { value: "text" }, (f, input) => ({
      value: f.node("once", wait({ fail: 1 }), input, { policy: { retry: { attempts: 2 } } }).value,
    }));
    await (await compile(retried.document, { operators, observer: plain })).run({ value: "1" });
    expect(
      (await arrived()).map(({ name, status, attributes }) => [
        name,
        status,
        attributes["error.type"],
        attributes["tessera.attempt"],
      ]),
    ).toEqual([
      ["test.wait", { code: 2, message: "NODE_FAILED" }, "NODE_FAILED", undefined],
      ["test.wait", { code: 0 }, undefined, 2],
      ["invoke_agent retried", { code: 0 }, undefined, undefined],
    ]);

    received.length = 0;
    const pair = flow("pair", { slow: "text", quick: "text" }, (f, input) => {
      const slow = f.node("slow", wait(), { value: input.slow });
      const inner = flow("inner", { value: "text" }, (f, input) => ({
        value: f.node("bad", wait({ fail: 1 }), input).value,
      }));
      return { slow: slow.value, quick: f.node("quick", inner, { value: input.quick }).value };
    });
    const ready = await compile(pair.document, { operators, observer: plain });
    await expect(ready.run({ slow: "200", quick: "1" })).rejects.toMatchObject({ code: "NODE_FAILED" });
    const codes = async () =>
      Object.fromEntries(
        (await arrived()).map(({ attributes }) => [attributes["tessera.path"], attributes["error.type"]]),
      );
    expect(await codes()).toEqual({
      pair: "NODE_FAILED",
      "pair/slow": "ABORTED",
      "pair/quick": "ABORTED",
      "pair/quick/bad": "NODE_FAILED",
    });

    received.length = 0;
    await expect(ready.run({ slow: "200", quick: "200" }, { signal: AbortSignal.timeout(10) })).rejects.toMatchObject({
      code: "ABORTED",
    });
    expect(new Set(Object.values(await codes()))).toEqual(new Set(["ABORTED"]));
    received.length = 0;
    await expect(ready.run({} as never)).rejects.toMatchObject({ code: "BAD_INPUT" });
    expect(await codes()).toEqual({ pair: "BAD_INPUT" });
  });

  it("elements and turns have their spans and numbers", async () => {
    const body = flow("body", { n: "number" }, (f, input) => {
      const next = f.node("next", count(), input);
      return { n: next.n, done: next.done };
    });
    const many = flow("many", { values: { list: "text" }, n: "number" }, (f, input) => {
      const all = f.each("all", wait(), { over: "value", max: 5 }, { value: input.values });
      const loop = f.repeat("loop", body, { until: "done", carry: { n: "n" }, max: 5 }, { n: input.n });
      return { values: all.value, n: loop.n, fixed: value("x") };
    });
    await (await compile(many.document, { operators, observer: plain })).run({ values: ["3", "1"], n: 1 });
    const spans = await arrived();
    const of = tree(spans);
    expect(
      spans
        .map((span) => `${of(span)}\t${span.attributes["tessera.index"] ?? span.attributes["tessera.turn"] ?? ""}`)
        .sort(),
    ).toEqual([
      "invoke_agent many\t",
      "invoke_agent many > each all\t",
      "invoke_agent many > each all > test.wait\t0",
      "invoke_agent many > each all > test.wait\t1",
      "invoke_agent many > repeat loop\t",
      "invoke_agent many > repeat loop > flow body\t1",
      "invoke_agent many > repeat loop > flow body\t2",
      "invoke_agent many > repeat loop > flow body > test.count\t1",
      "invoke_agent many > repeat loop > flow body > test.count\t2",
    ]);
    expect(spans.find(({ name }) => name === "repeat loop")!.attributes).toMatchObject({
      "tessera.turns": 2,
      "tessera.stop_reason": "until",
    });
  });

  it("200 runs at once: 200 traces that do not mix, each under the span of its caller", async () => {
    provider.register();
    try {
      const ready = await compile(ask.document, { operators, host, observer: plain });
      const tracer = provider.getTracer("caller");
      await Promise.all(
        Array.from({ length: 200 }, (_, i) =>
          tracer.startActiveSpan(`request ${i}`, async (span) => {
            await ready.run({ query: "q" }, { id: `r${i}` });
            span.end();
          }),
        ),
      );
      const spans = await arrived();
      expect(spans).toHaveLength(200 * 9);
      const requests = spans.filter(({ name }) => name.startsWith("request"));
      for (const request of requests) {
        const own = spans.filter(({ traceId }) => traceId === request.traceId);
        const id = own.find(({ name }) => name === "invoke_agent ask")!.attributes["tessera.run.id"];
        expect(`request ${String(id).slice(1)}`).toBe(request.name);
        expect(own.map(tree(own)).filter((path) => path.startsWith(`${request.name} > invoke_agent ask`))).toHaveLength(
          8,
        );
      }
    } finally {
      context.disable();
      trace.disable();
    }
  });

  it("changes no run: outputs, spending and events are the same with and without", async () => {
    const run = async (observer?: Observer) => {
      const ready = await compile(ask.document, { operators, host, observer });
      const events: string[] = [];
      const stream = ready.stream({ query: "q" });
      for await (const { type, path } of stream) events.push(`${path} ${type}`);
      return { ...(await stream.result), events };
    };
    expect(await run(withContent)).toEqual(await run());
    const broken = new Proxy({} as never, {
      get: () => {
        throw new Error("no tracer");
      },
    });
    expect(await run(openTelemetry({ tracer: broken }))).toMatchObject({ output: { text: "the secret answer" } });
  });
});
