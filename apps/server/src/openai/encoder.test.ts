import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { OpenAIEmbeddings } from "@langchain/openai";
import { cpuEngine, type EncoderService, endpointReranker, findModel, openEncoderService } from "@tessera/models";
import Fastify, { type FastifyInstance } from "fastify";
import OpenAI from "openai";
import { encoderReranker } from "./rerank.js";
import { openaiRoutes } from "./routes.js";

// The encoder that ships, on the CPU engine, behind the routes.

let encoder: EncoderService;
let app: FastifyInstance;
let client: OpenAI;
let baseURL: string;

beforeAll(async () => {
  encoder = await openEncoderService(await findModel("code-encoder"), {
    engine: cpuEngine({ workers: 1 }),
    waitingTokens: 20_000,
  });
  app = Fastify({ forceCloseConnections: true });
  await app.register(openaiRoutes, {
    encoders: { "code-encoder": encoder },
    rerankers: { "code-encoder": encoderReranker(encoder, { kind: "code" }) },
  });
  baseURL = `${await app.listen({ port: 0, host: "127.0.0.1" })}/v1`;
  client = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0 });
});
afterAll(async () => {
  await app.close();
  await encoder.close();
});

const model = "code-encoder";
const idle = { waitingTokens: 0, calls: 0, freeLanes: 2 };
async function untilIdle(): Promise<void> {
  for (let i = 0; i < 400 && (encoder.batcher.state.calls > 0 || encoder.batcher.state.freeLanes < 2); i++)
    await sleep(5);
  expect(encoder.batcher.state).toMatchObject(idle);
}
async function metrics(): Promise<Map<string, number>> {
  const text = await (await fetch(baseURL.replace("/v1", "/metrics"))).text();
  const lines = [...text.matchAll(/^(tessera_encoder_\w+)\{model="code-encoder"\} (.+)$/gm)];
  return new Map(lines.map(([, name, value]) => [name!, Number(value)]));
}
/** Work for some seconds: texts of 50 tokens that are not alike. */
const many = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => `const value${i} = compute(${i}); `.repeat(5));

describe("the encoder behind OpenAI's routes", () => {
  it("gives the vectors of every exit and width that the model has", async () => {
    const input = ["sort a list of numbers", "open a file"];
    for (const exit of encoder.model.exits.map(({ layer }) => layer))
      for (const dimensions of encoder.model.widths) {
        const expected = await encoder.encode(input, { kind: "query", exit, width: dimensions });
        const extra = { exit, kind: "query" } as object;
        const { data } = await client.embeddings.create({ model, input, dimensions, ...extra });
        for (const [i, { embedding }] of data.entries()) {
          const dot = embedding.reduce((sum, value, j) => sum + value * expected[i]![j]!, 0);
          expect(embedding).toHaveLength(dimensions);
          expect(dot).toBeCloseTo(1, 5);
        }
      }
    const langchain = new OpenAIEmbeddings({ configuration: { baseURL }, apiKey: "none", model });
    const [one] = await langchain.embedDocuments([input[0]!]);
    const [expected] = await encoder.encode([input[0]!], { kind: "text" });
    expect(one!.reduce((sum, value, j) => sum + value * expected![j]!, 0)).toBeCloseTo(1, 5);
  });

  it("answers 429 with a time to come again where too many tokens wait, and shows them in its metrics", async () => {
    const leave = new AbortController();
    const first = client.embeddings.create({ model, input: many(300) }, { signal: leave.signal }).catch(() => {});
    for (let i = 0; i < 400 && encoder.batcher.state.waitingTokens < 5000; i++) await sleep(2);
    expect((await metrics()).get("tessera_encoder_waiting_tokens")).toBeGreaterThan(0);
    const refused = await client.embeddings.create({ model, input: many(400) }).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(OpenAI.RateLimitError);
    const { headers } = refused as InstanceType<typeof OpenAI.RateLimitError>;
    expect(Number(headers?.get("retry-after"))).toBeGreaterThanOrEqual(1);
    // a caller who goes in the middle takes his texts with him
    leave.abort();
    await first;
    await untilIdle();
    const { totals } = encoder.batcher;
    const after = await metrics();
    expect(after.get("tessera_encoder_waiting_tokens")).toBe(0);
    expect(after.get("tessera_encoder_texts_total")).toBe(totals.texts);
    expect(after.get("tessera_encoder_tokens_total")).toBe(totals.tokens);
    expect(after.get("tessera_encoder_batches_total")).toBe(totals.batches);
  });

  it("refuses ten thousand inputs and goes on answering others", async () => {
    const { texts } = encoder.batcher.totals;
    const hostile = Array.from({ length: 5 }, () =>
      client.embeddings
        .create({ model, input: Array.from({ length: 10_000 }, () => "x") })
        .catch((error: unknown) => error),
    );
    const { data } = await client.embeddings.create({ model, input: "sort a list" });
    expect(data).toHaveLength(1);
    for (const error of await Promise.all(hostile)) expect(error).toMatchObject({ status: 400, param: "input" });
    // nothing of it was computed
    expect(encoder.batcher.totals.texts).toBe(texts + 1);
  });

  it("cuts a text of megabytes to what the model reads, beside the answers of others", async () => {
    const [long, short] = await Promise.all([
      client.embeddings.create({ model, input: "const x = 1;\n".repeat(100_000) }),
      client.embeddings.create({ model, input: "const x = 1;" }),
    ]);
    expect(long.data[0]!.embedding).toHaveLength(short.data[0]!.embedding.length);
    await untilIdle();
  });

  it("reranks code by a question", async () => {
    const response = await fetch(`${baseURL}/rerank`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        model,
        query: "adds two numbers",
        documents: ["function add(a, b) { return a + b; }", "function openFile(path) { return fs.openSync(path); }"],
      }),
    });
    const { results } = (await response.json()) as { results: { index: number; relevance_score: number }[] };
    expect(results.map(({ index }) => index)).toEqual([0, 1]);
    expect(results[0]!.relevance_score).toBeGreaterThan(results[1]!.relevance_score);
  });

  it("is a reranker at an address for flows, with the scores that it gives itself", async () => {
    const documents = ["function openFile(path) {}", "function add(a, b) { return a + b; }"];
    const own = encoderReranker(encoder, { kind: "code" });
    const scores = await endpointReranker({ baseUrl: baseURL, model }).rank("adds two numbers", documents);
    const expected = await own.rank("adds two numbers", documents);
    expect(scores).toEqual(expected.map((score) => expect.closeTo(score, 6)));
  });
});
