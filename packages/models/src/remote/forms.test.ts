// Stubs of services, written on 2026-11-30 from the references that each shape names. None is a recording, and no
// provider's own service was called.
import { beforeEach, describe, expect, it } from "@jest/globals";
import { stubService } from "@tessera/testkit";
import { type EncoderShape, endpointEncoder } from "./encoder-endpoint.js";
import { endpointReranker, type RerankerShape } from "./reranker-endpoint.js";

type Body = Record<string, unknown>;
const vectorOf = (text: string): number[] => [text.length, 0, 4];
const scoreOf = (text: string): number => text.length / 10;
const usage = { total_tokens: 3 };

const list = (body: Body) => ({
  object: "list",
  model: body.model,
  // not in the order of the texts
  data: (body.input as string[])
    .map((text, index) => ({ object: "embedding", index, embedding: vectorOf(text) }))
    .reverse(),
  usage,
});
const ranked = (texts: unknown) =>
  (texts as string[])
    .map((text, index) => ({ index, relevance_score: scoreOf(text) }))
    .sort((a, b) => b.relevance_score - a.relevance_score);

const stubs: Readonly<Record<string, (body: Body) => unknown>> = {
  "openai /embeddings": list,
  "tei /embed": ({ inputs }) => (inputs as string[]).map(vectorOf),
  "ollama /api/embed": ({ model, input }) => ({
    model,
    embeddings: (input as string[]).map(vectorOf),
    prompt_eval_count: 3,
  }),
  "cohere /v2/embed": ({ texts }) => ({
    id: "x",
    texts,
    embeddings: { float: (texts as string[]).map(vectorOf) },
    response_type: "embeddings_by_type",
  }),
  "voyage /embeddings": list,
  "jina /embeddings": list,
  "jina /rerank": ({ model, documents }) => ({ model, object: "list", results: ranked(documents), usage }),
  "tei /rerank": ({ texts }) => ranked(texts).map(({ index, relevance_score }) => ({ index, score: relevance_score })),
  "cohere /v2/rerank": ({ documents }) => ({ id: "x", results: ranked(documents), meta: {} }),
  "voyage /rerank": ({ model, documents }) => ({ object: "list", data: ranked(documents), model, usage }),
};

const seen: { url: string; body: Body; key: string | undefined }[] = [];
let failures: { status: number; headers?: Record<string, string> }[] = [];
let spoil: ((answer: unknown) => unknown) | undefined;
const service = stubService((request, response, text) => {
  const body = JSON.parse(text) as Body;
  const [, shape, ...path] = request.url!.split("/");
  seen.push({ url: `/${path.join("/")}`, body, key: request.headers.authorization });
  const failure = failures.shift();
  const answer = stubs[`${shape} /${path.join("/")}`]?.(body);
  response.writeHead(failure?.status ?? (answer === undefined ? 404 : 200), {
    "content-type": "application/json",
    ...failure?.headers,
  });
  response.end(JSON.stringify(failure ? { message: "later" } : (spoil?.(answer) ?? answer ?? {})));
});
beforeEach(() => {
  seen.length = 0;
  failures = [];
  spoil = undefined;
});
const at = (shape: string) => ({ baseUrl: `${service.origin}/${shape}`, model: "m", apiKey: "secret", backoffMs: 1 });
const texts = ["aaa", "a", "aaaaa"];
const unit = (text: string) => {
  const vector = vectorOf(text);
  return vector.map((component) => expect.closeTo(component / Math.hypot(...vector), 6));
};

describe.each<[EncoderShape, Body]>([
  ["openai", { model: "m", input: texts, encoding_format: "float", dimensions: 3 }],
  ["tei", { inputs: texts, normalize: true, truncate: true, dimensions: 3 }],
  ["ollama", { model: "m", input: texts, dimensions: 3 }],
  ["cohere", { model: "m", texts, input_type: "search_query", embedding_types: ["float"], output_dimension: 3 }],
  ["voyage", { model: "m", input: texts, input_type: "query", output_dimension: 3 }],
  ["jina", { model: "m", input: texts, task: "retrieval.query", embedding_type: "float", dimensions: 3 }],
])("an encoder of the form %s", (shape, body) => {
  it("sends what the reference names, and gives unit vectors in the order of the texts", async () => {
    const encoder = endpointEncoder({ ...at(shape), shape, dimensions: 3 });
    const vectors = await encoder.encode(texts, { kind: "query" });
    expect(vectors.map((vector) => [...vector])).toEqual(texts.map(unit));
    expect(seen.map(({ body, key }) => ({ body, key }))).toEqual([{ body, key: "Bearer secret" }]);
    expect(encoder.space({})).toBe("m:3");
  });

  it("asks in batches, tells what is searched from what searches, and tries again where it is busy", async () => {
    failures = [{ status: 429, headers: { "retry-after": "0" } }, { status: 503 }];
    const encoder = endpointEncoder({
      ...at(shape),
      shape,
      batch: 2,
      kinds: { code: "special" },
      prefixes: { text: "p " },
    });
    expect((await encoder.encode(texts, { kind: "text" })).map((vector) => [...vector])).toEqual(
      texts.map((text) => unit(`p ${text}`)),
    );
    expect(seen).toHaveLength(4);
    expect(Object.values(seen.at(-1)!.body)).toContainEqual(["p aaaaa"]);
    await encoder.encode(["x"], { kind: "code" });
    const named = Object.values(seen.at(-1)!.body).includes("special");
    expect(named).toBe(["cohere", "voyage", "jina"].includes(shape));
  });

  it("refuses an answer with a vector too few, and one of another form", async () => {
    const encoder = endpointEncoder({ ...at(shape), shape });
    const failed = { code: "MODEL_FAILED", path: "m", hint: expect.stringContaining(shape) };
    spoil = () => ({ unexpected: true });
    await expect(encoder.encode(texts, { kind: "text" })).rejects.toMatchObject(failed);
    spoil = (answer) => JSON.parse(JSON.stringify(answer).replace(/\[3,0,4\]/, "[3,0]"));
    await expect(encoder.encode(texts, { kind: "text" })).rejects.toMatchObject(failed);
    spoil = undefined;
    for (const how of [{ exit: 1 }, { width: 2 }])
      await expect(encoder.encode(["a"], { kind: "text", ...how })).rejects.toMatchObject({
        code: "MISSING_CAPABILITY",
      });
  });
});

describe.each<[RerankerShape, Body]>([
  ["jina", { model: "m", query: "q", documents: texts, return_documents: false }],
  ["tei", { query: "q", texts, truncate: true }],
  ["cohere", { model: "m", query: "q", documents: texts }],
  ["voyage", { model: "m", query: "q", documents: texts }],
])("a reranker of the form %s", (shape, body) => {
  it("sends what the reference names, and gives one score a text, in the order of the texts", async () => {
    failures = [{ status: 503 }];
    const reranker = endpointReranker({ ...at(shape), shape });
    expect(await reranker.rank("q", texts)).toEqual([0.3, 0.1, 0.5]);
    expect(seen.map((one) => one.body)).toEqual([body, body]);
    expect(await endpointReranker({ ...at(shape), shape, batch: 2 }).rank("q", texts)).toEqual([0.3, 0.1, 0.5]);
    expect(seen).toHaveLength(4);
    expect(await reranker.rank("q", [])).toEqual([]);
  });

  it("refuses an answer without a score for each text; an abort ends it", async () => {
    const reranker = endpointReranker({ ...at(shape), shape });
    spoil = (answer) => JSON.parse(JSON.stringify(answer).replace('"index":2', '"index":7'));
    await expect(reranker.rank("q", texts)).rejects.toMatchObject({ code: "MODEL_FAILED", path: "m" });
    const reason = new Error("enough");
    await expect(reranker.rank("q", texts, AbortSignal.abort(reason))).rejects.toBe(reason);
    await reranker.close!();
    await expect(reranker.rank("q", texts)).rejects.toMatchObject({ code: "CLOSED" });
  });
});

it("knows no other forms", () => {
  for (const open of [endpointEncoder, endpointReranker])
    expect(() => open({ ...at("x"), shape: "constructor" as never })).toThrow(
      expect.objectContaining({ code: "BAD_ARGUMENT", path: "shape" }),
    );
});
