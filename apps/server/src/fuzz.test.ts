import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { errorCodes } from "@tessera/core";
import { sha256 } from "@tessera/core/internal";
import { countOf, scriptedEncoder, scriptedModel } from "@tessera/testkit";
import fc from "fast-check";
import { z } from "zod";
import { openAiErrorBody } from "./openai/errors.js";
import { encoderReranker } from "./openai/rerank.js";
import { find, freshFolder, removeFolder, startService } from "./service.fixture.js";

type Schema = { [key: string]: unknown };
const folder = freshFolder();
let service: Awaited<ReturnType<typeof startService>>;
let headers: Record<string, string>;
let routes: {
  method: string;
  path: string;
  parameters: { name: string; in: string; schema: Schema }[];
  body?: Schema;
  media: string;
}[];

/** A body of a route: JSON, the bytes of a file, or a form with one file. */
function sentAs(media: string, text: string): { type: string; payload: string } {
  if (media !== "multipart/form-data") return { type: media, payload: text };
  const head = 'content-disposition: form-data; name="file"; filename="a/b.md"';
  return { type: `${media}; boundary=edge`, payload: `--edge\r\n${head}\r\n\r\n${text}\r\n--edge--\r\n` };
}

beforeAll(async () => {
  const encoder = scriptedEncoder(16);
  const poet = scriptedModel(() => "roses are red", { capabilities: ["logprobs", "prefix", "json", "seed"] });
  service = await startService(folder, {
    durable: false,
    closeWithin: 0,
    models: { encoders: { words: encoder }, languageModels: { poet }, rerankers: { words: encoderReranker(encoder) } },
  });
  ({ headers } = await service.key({
    scopes: ["run", "flows", "indexes", "operate"],
    limits: { requestsPerMinute: 10_000_000, concurrency: 100_000 },
  }));
  const { paths } = (await service.server.inject("/openapi.json")).json();
  routes = Object.entries(paths as Record<string, Record<string, Schema>>).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { parameters = [], requestBody }]) => {
      const { content = {} } = (requestBody ?? {}) as { content?: Record<string, { schema: Schema }> };
      const [[media, described] = ["application/json", undefined]] = Object.entries(content);
      return {
        method: method.toUpperCase(),
        path,
        parameters: parameters as (typeof routes)[number]["parameters"],
        body: media === "application/json" ? described?.schema : { type: "string" },
        media,
      };
    }),
  );
  await service.server.inject({ method: "PUT", url: "/indexes/docs", headers });
  // what a flow takes is told by the flow's own schema
  const { input } = (await service.server.inject({ url: "/flows/echo", headers })).json();
  const runs = routes.find(({ path, method }) => path === "/flows/{name}/runs" && method === "POST")!;
  const properties = runs.body!.properties as Record<string, Schema>;
  properties.input = { anyOf: [input, properties.input] };
  // this service keeps no threads: threads.test.ts has them
  for (const { body } of routes) delete (body?.properties as Record<string, Schema> | undefined)?.thread;
  // what a document may be, by one that is
  const upload = routes.find(({ path, method }) => path === "/flows/{name}" && method === "PUT")!;
  upload.body = { anyOf: [{ const: find }, upload.body] };
  // and what MCP takes by its protocol
  const text = { type: "string" };
  routes.find(({ path }) => path === "/mcp")!.body = {
    type: "object",
    properties: {
      jsonrpc: { const: "2.0" },
      id: { anyOf: [text, { type: "integer" }] },
      method: { enum: ["initialize", "ping", "tools/list", "tools/call", "notifications/cancelled", "nothing"] },
      params: {
        type: "object",
        properties: {
          name: { enum: ["echo", "nothing"] },
          arguments: input,
          protocolVersion: text,
          capabilities: { type: "object" },
          clientInfo: { type: "object", properties: { name: text, version: text }, required: ["name", "version"] },
        },
      },
    },
    required: ["jsonrpc", "id", "method"],
  };
});
afterAll(async () => {
  await service.server.close();
  removeFolder(folder);
});

const junk = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom<unknown>("echo", "docs", "", "__proto__", "constructor", -1, 2 ** 53, 1e308, null, [], {}, "\u0000"),
);

/** Values that a JSON Schema admits and, where they may be strange, now and then one that it does not. */
function valuesOf(schema: Schema, strange: boolean): fc.Arbitrary<unknown> {
  const fitting = (): fc.Arbitrary<unknown> => {
    const options = (schema.anyOf ?? schema.oneOf) as Schema[] | undefined;
    const types = Array.isArray(schema.type) ? schema.type.map((type) => ({ ...schema, type })) : undefined;
    if (types) return fc.oneof(...types.map((one) => valuesOf(one, strange)));
    if (options) return fc.oneof(...options.map((option) => valuesOf(option, strange)));
    if (schema.const !== undefined) return fc.constant(schema.const);
    if (schema.enum) return fc.constantFrom(...(schema.enum as unknown[]));
    switch (schema.type) {
      case "string":
        return fc.oneof(
          fc.constantFrom("echo", "docs", "find", "words", "poet"),
          fc.string({ minLength: Number(schema.minLength ?? 0), maxLength: 20, unit: "grapheme" }),
        );
      case "integer":
        return fc.integer({
          min: Number(schema.minimum ?? Number(schema.exclusiveMinimum ?? -1) + 1),
          max: Math.min(100, Number(schema.maximum ?? 100)),
        });
      case "number":
        return fc.double({
          min: Number(schema.minimum ?? schema.exclusiveMinimum ?? 0),
          max: Number(schema.maximum ?? 100),
          noNaN: true,
        });
      case "boolean":
        return fc.boolean();
      case "null":
        return fc.constant(null);
      case "array":
        return fc.array(valuesOf((schema.items ?? {}) as Schema, strange), {
          minLength: Number(schema.minItems ?? 0),
          maxLength: Math.min(3, Number(schema.maxItems ?? 3)),
        });
      case "object": {
        const required = (schema.required ?? []) as string[];
        const known = Object.entries((schema.properties ?? {}) as Record<string, Schema>);
        const own = fc.record(Object.fromEntries(known.map(([name, part]) => [name, valuesOf(part, strange)])), {
          requiredKeys: required,
        });
        return schema.additionalProperties === false || !strange
          ? own
          : fc
              .tuple(own, fc.dictionary(fc.constantFrom("query", "x", "constructor"), junk, { maxKeys: 2 }))
              .map(([a, b]) => ({ ...b, ...a }));
      }
      default:
        return junk;
    }
  };
  return strange ? fc.oneof({ weight: 12, arbitrary: fitting() }, { weight: 1, arbitrary: junk }) : fitting();
}

const accepted = fc.constantFrom("*/*", "application/json", "text/event-stream", "application/octet-stream");
const protocolError = z.object({ jsonrpc: z.literal("2.0"), error: z.object({ code: z.int(), message: z.string() }) });

/** A value that events name by its hash. */
const long = "q".repeat(5000);
const hashOfLong = sha256(JSON.stringify(long));

/** Ids of runs as a route wants them: running ones to cancel, cancelled ones to resume, ended ones otherwise. */
async function runsFor(path: string): Promise<string[]> {
  if (!path.includes("{id}")) return [];
  const waits = path.endsWith("/cancel") || path.endsWith("/resume");
  const ids: string[] = [];
  for (let number = 0; number < 30; number++) {
    const { headers: answered } = await service.server.inject({
      method: "POST",
      url: `/flows/${waits ? "hold" : "echo"}/runs`,
      headers: { ...headers, ...(waits && { prefer: "respond-async" }) },
      payload: { input: { query: path.endsWith("{hash}") ? long : "q" } },
    });
    ids.push(String(answered["x-run-id"]));
    // values are named once events are asked for
    if (path.endsWith("{hash}")) await service.server.inject({ url: `/runs/${ids.at(-1)}`, headers });
    if (path.endsWith("/resume")) await service.runs.cancel(ids.at(-1)!);
  }
  return ids;
}

/** Whether a body is an error in the shape that its route promises. */
function isError(path: string, body: unknown): boolean {
  if (path.startsWith("/v1/")) return openAiErrorBody.safeParse(body).success;
  if (path === "/mcp" && protocolError.safeParse(body).success) return true;
  const { code, message } = body as { code?: string; message?: unknown };
  return Object.hasOwn(errorCodes, code ?? "") && typeof message === "string";
}

describe("every route, from its OpenAPI schema", () => {
  it("answers thousands of requests with 2xx or a TesseraError of 4xx, and is healthy afterwards", async () => {
    const least = countOf({ usual: 3_000, long: 20_000 });
    let count = 0;
    const seen = new Map<string, number>();
    const rounds = Math.ceil(least / routes.length);
    for (const { method, path, parameters, body, media } of routes) {
      // whatever the route before removed
      await service.server.inject({ method: "PUT", url: "/indexes/docs", headers });
      const known = await runsFor(path);
      const request = fc.record({
        parameters: fc.tuple(...parameters.map(({ schema }) => valuesOf(schema, true))),
        body: body ? fc.boolean().chain((strange) => valuesOf(body, strange)) : fc.constant(undefined),
        known: fc.option(fc.nat({ max: 29 })),
        accept: path === "/mcp" ? fc.constant("application/json, text/event-stream") : accepted,
        raw: fc.oneof({ weight: 20, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: fc.string() }),
      });
      for (const drawn of fc.sample(request, { numRuns: rounds, seed: 7 })) {
        let url = path;
        const query: string[] = [];
        const extra: Record<string, string> = {};
        for (const [index, { name, in: where }] of parameters.entries()) {
          const value = drawn.parameters[index];
          const free = typeof value === "string" ? value : JSON.stringify(value ?? "");
          const text =
            drawn.known === null ? free : name === "hash" ? hashOfLong : (name === "id" && known[drawn.known]) || free;
          // a run of "hold" would wait for ever
          if (where === "path") url = url.replace(`{${name}}`, encodeURIComponent(text === "hold" ? "echo" : text));
          else if (where === "query") query.push(`${name}=${encodeURIComponent(text)}`);
          else if (/^[\x21-\x7e]+$/.test(text)) extra[name] = text;
        }
        const sent = sentAs(media, drawn.raw ?? JSON.stringify(drawn.body ?? null));
        const response = await service.server.inject({
          method: method as "GET",
          url: query.length ? `${url}?${query.join("&")}` : url,
          headers: { accept: drawn.accept, ...headers, ...extra, ...(body && { "content-type": sent.type }) },
          ...(body && { payload: sent.payload }),
        });
        count++;
        const { statusCode } = response;
        const line = `${method} ${path} ${statusCode}`;
        seen.set(line, (seen.get(line) ?? 0) + 1);
        if (statusCode >= 200 && statusCode < 300) continue;
        if (statusCode < 400 || statusCode >= 500)
          throw new Error(`${line}: ${response.body} for ${JSON.stringify(drawn)}`);
        if (!isError(path, response.json())) throw new Error(`${line}: ${response.body} is no error of this route`);
      }
    }
    expect(count).toBeGreaterThanOrEqual(least);
    // it was no wall of refusals
    const reached = ({ method, path }: (typeof routes)[number]) =>
      [...seen.keys()].some((line) => line.startsWith(`${method} ${path} 2`));
    // this service keeps no records, so that no run of it waits: waits.test.ts has them answered
    const waits = ["POST /runs/{id}/waits/{path}", "POST /runs/{id}/signals/{name}"];
    expect(routes.filter((route) => !reached(route)).map(({ method, path }) => `${method} ${path}`)).toEqual(waits);
    expect((await service.server.inject("/healthz")).json()).toEqual({ ok: true });
    const ran = await service.server.inject({
      method: "POST",
      url: "/flows/echo/runs",
      payload: { input: { query: "still" } },
      headers,
    });
    expect(ran.json()).toMatchObject({ status: "done" });
  });

  it.each([
    ["a body that is too large", JSON.stringify({ input: { query: "x".repeat(5 << 20) } }), 413, "REQUEST_TOO_LARGE"],
    ["a prototype", '{"input": {"__proto__": {"polluted": true}}}', 400, "BAD_JSON"],
    ["a constructor's prototype", '{"constructor": {"prototype": {"polluted": true}}}', 400, "BAD_JSON"],
    ["half a value", '{"input": {', 400, "BAD_JSON"],
    ["very deep JSON", `{"input": {"query": ${"[".repeat(50_000)}${"]".repeat(50_000)}}}`, 400, "BAD_JSON"],
  ])("refuses %s", async (_, payload, status, code) => {
    const response = await service.server.inject({
      method: "POST",
      url: "/flows/echo/runs",
      headers: { ...headers, "content-type": "application/json" },
      payload,
    });
    expect([response.statusCode, response.json().code]).toEqual([status, code]);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  it("refuses another type of body", async () => {
    const response = await service.server.inject({
      method: "POST",
      url: "/flows/echo/runs",
      headers: { ...headers, "content-type": "application/xml" },
      payload: "<a/>",
    });
    expect([response.statusCode, response.json().code]).toEqual([415, "UNSUPPORTED_MEDIA"]);
  });
});

describe("clients that are slow, or go", () => {
  it("a body that does not come is given up, and holds up nobody", async () => {
    const slow = await startService(freshFolder(), { durable: false, requestTimeout: 300 });
    const { headers: own } = await slow.key();
    const url = new URL(await slow.server.listen({ port: 0, host: "127.0.0.1" }));
    const socket = connect(Number(url.port), url.hostname);
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.on("error", () => {});
    socket.resume();
    socket.write(
      `POST /flows/echo/runs HTTP/1.1\r\nhost: x\r\nauthorization: ${own.authorization}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{`,
    );
    expect((await fetch(new URL("/healthz", url))).status).toBe(200);
    const closing = slow.server.close();
    await closed;
    await closing;
  });
});
