import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { Validator } from "@seriousme/openapi-schema-validator";
import { errorCodes } from "@tessera/core";
import { asTesseraError, statuses } from "./errors.js";
import { find, freshFolder, ran, release, removeFolder, startService } from "./service.fixture.js";

type Service = Awaited<ReturnType<typeof startService>>;
let folder: string;
let service: Service;
beforeEach(async () => {
  folder = freshFolder();
  service = await startService(folder);
  ran.length = 0;
});
afterEach(async () => {
  await service.server.close();
  removeFolder(folder);
});

const run = (name: string, query: string, headers: object) =>
  service.server.inject({
    method: "POST",
    url: `/flows/${name}/runs`,
    payload: { input: { query } },
    headers: { ...headers },
  });

/** The events of a stream, as [type, data]. */
const eventsOf = (text: string) =>
  [...text.matchAll(/event: (.*)\ndata: (.*)\n\n/g)].map(([, type, data]) => [type, JSON.parse(data!)] as const);

const until = async (holds: () => boolean | Promise<boolean>) => {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 5));
};

describe("the service", () => {
  it("lets nobody in without a key: every address but the open ones", async () => {
    const { server } = service;
    const { paths } = (await server.inject("/openapi.json")).json();
    for (const [path, methods] of Object.entries(paths as Record<string, Record<string, { security: object[] }>>))
      for (const [method, { security }] of Object.entries(methods)) {
        const { statusCode } = await server.inject({
          method: method.toUpperCase() as "GET",
          url: path.replace(/\{\w+\}/g, "x"),
          headers: { authorization: "Bearer tsr_000000000000_0000000000000000000000000000000000000000000" },
        });
        expect([path, method, statusCode]).toEqual([path, method, security.length === 0 ? 200 : 401]);
      }
    expect((await server.inject("/nothing")).json()).toMatchObject({ code: "UNAUTHENTICATED" });
    expect((await server.inject({ url: "/flows", headers: { origin: "http://evil" } })).headers).not.toHaveProperty(
      "access-control-allow-origin",
    );
  });

  it("is described by a valid OpenAPI 3.1 document", async () => {
    const document = (await service.server.inject("/openapi.json")).json();
    expect(document.openapi).toBe("3.1.0");
    expect(await new Validator().validate(document)).toEqual({ valid: true });
    expect(Object.keys(document.paths)).toEqual(
      expect.arrayContaining(["/flows", "/flows/{name}/runs", "/runs/{id}/cancel", "/indexes/{name}/passages", "/mcp"]),
    );
    const { post } = document.paths["/v1/chat/completions"];
    expect(post.requestBody.content["application/json"].schema).toMatchObject({ required: ["model", "messages"] });
    expect(JSON.stringify(post.responses["4XX"])).toContain("#/components/schemas/OpenAiError");
  });

  it("describes every address that it answers", async () => {
    const { paths } = (await service.server.inject("/openapi.json")).json();
    const said = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods as object).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const tree = service.server.printRoutes({ commonPrefix: false });
    const served: string[] = [];
    const above: string[] = [];
    for (const line of tree.split("\n")) {
      const [, indent = "", part = "", methods = ""] = /^([│ ├└─]*)(\S*)(?: \(([A-Z, ]+)\))?$/u.exec(line) ?? [];
      above.length = indent.length / 4;
      above.push(part);
      const path = above
        .join("")
        .replace(/:(\w+)/g, "{$1}")
        .replace(/\/?\*/, above.some((part) => part.includes(":name")) ? "/{path}" : "/{name}");
      for (const method of methods.split(", ").filter(Boolean)) if (method !== "HEAD") served.push(`${method} ${path}`);
    }
    expect(served.length).toBeGreaterThan(20);
    expect(said.sort()).toEqual(served.sort());
  });

  it("runs a flow as the principal of the key, and shows the run to that principal alone", async () => {
    const { server, key } = service;
    const ann = await key({ principal: { id: "ann" } });
    const bob = await key({ principal: { id: "bob" } });
    const answered = await run("echo", "hi", ann.headers);
    expect(answered.statusCode).toBe(200);
    expect(answered.json()).toMatchObject({ status: "done", output: { text: "said hi to ann" }, spent: { steps: 1 } });
    const { id } = answered.json();
    const seen = (await server.inject({ url: `/runs/${id}`, headers: ann.headers })).json();
    expect(seen.events.map(({ type }: { type: string }) => type)).toEqual(
      expect.arrayContaining(["flow-start", "node-start", "node-delta", "node-end", "flow-end", "output-delta"]),
    );
    expect(Object.keys(seen.records)).toEqual(["echo/echo"]);
    const other = await server.inject({ url: `/runs/${id}`, headers: bob.headers });
    expect([other.statusCode, other.json().code]).toEqual([404, "NOT_FOUND"]);
    expect((await server.inject({ url: "/runs", headers: bob.headers })).json()).toEqual({ runs: [] });
  });

  it("streams events, and ends with the run", async () => {
    const { headers } = await service.key();
    const events = eventsOf((await run("echo", "hi", { ...headers, accept: "text/event-stream" })).body);
    expect(events[0]![0]).toBe("flow-start");
    expect(events.filter(([type]) => type === "output-delta").map(([, data]) => data.delta)).toEqual(["said "]);
    expect(events.at(-1)).toEqual(["run", expect.objectContaining({ status: "done" })]);
  });

  it("aborts a streamed run when its client goes", async () => {
    const { headers } = await service.key();
    const url = await service.server.listen({ port: 0, host: "127.0.0.1" });
    const leave = new AbortController();
    const response = await fetch(`${url}/flows/hold/runs`, {
      method: "POST",
      headers: { ...headers, accept: "text/event-stream", "content-type": "application/json" },
      body: JSON.stringify({ input: { query: "q" } }),
      signal: leave.signal,
    });
    const id = response.headers.get("x-run-id")!;
    await response.body!.getReader().read();
    expect((await service.runs.get(id))!.status).toBe("running");
    leave.abort();
    expect((await service.runs.settled(id)).status).toBe("cancelled");
  });

  it("runs once for one Idempotency-Key, at the same time and across a restart", async () => {
    const { headers } = await service.key({ principal: { id: "ann" } });
    const keyed = { ...headers, "idempotency-key": "order-1" };
    const both = await Promise.all([run("echo", "hi", keyed), run("echo", "hi", keyed)]);
    expect(new Set(both.map((one) => one.json().id)).size).toBe(1);
    await service.server.close();
    service = await startService(folder);
    const later = await run("echo", "hi", keyed);
    expect(later.json()).toMatchObject({ id: both[0]!.json().id, output: { text: "said hi to ann" } });
    expect(ran).toEqual(["hi"]);
    const other = await run("echo", "ho", keyed);
    expect([other.statusCode, other.json().code]).toEqual([409, "CONFLICT"]);
  });

  it("takes an interrupted run up behind its finished steps", async () => {
    const { server, key } = service;
    const { headers } = await key({ principal: { id: "ann" } });
    const begun = await run("hold", "q", { ...headers, prefer: "respond-async" });
    expect(begun.statusCode).toBe(202);
    const { id } = begun.json();
    await until(async () => Object.keys(await service.runs.records(id)).length === 1);
    await service.runs.close(0);
    expect((await service.runs.get(id))!.status).toBe("interrupted");
    await server.close();
    service = await startService(folder);
    const resumed = await service.server.inject({ method: "POST", url: `/runs/${id}/resume`, headers });
    expect(resumed.statusCode).toBe(200);
    const release2 = setInterval(release, 5);
    expect((await service.runs.settled(id)).output).toEqual({ text: "said q to ann" });
    clearInterval(release2);
    expect(ran).toEqual(["q"]);
    const again = await service.server.inject({ method: "POST", url: `/runs/${id}/resume`, headers });
    expect([again.statusCode, again.json().code]).toEqual([409, "CONFLICT"]);
  });

  it("cancels a run", async () => {
    const { headers } = await service.key();
    const { id } = (await run("hold", "q", { ...headers, prefer: "respond-async" })).json();
    const cancelled = await service.server.inject({ method: "POST", url: `/runs/${id}/cancel`, headers });
    expect(cancelled.json()).toMatchObject({ status: "cancelled", error: { code: "ABORTED" } });
  });

  it("takes uploaded flows that name registered operators, tells all findings of others, and keeps them", async () => {
    const { server, key } = service;
    const { headers } = await key({ scopes: ["run", "flows", "indexes"] });
    const put = (name: string, payload: object) =>
      server.inject({ method: "PUT", url: `/flows/${name}`, payload, headers });
    const bad = await put("find", { ...find, nodes: { search: { run: "evil.code", in: { query: "input.nothing" } } } });
    expect(bad.statusCode).toBe(400);
    expect(bad.json().findings.map(({ code }: { code: string }) => code)).toContain("UNKNOWN_OPERATOR");
    expect((await put("echo", find)).json().code).toBe("CONFLICT");
    expect((await put("find", find)).json()).toMatchObject({ code: "INVALID_FLOW" });
    await server.inject({ method: "PUT", url: "/indexes/docs", headers });
    expect((await put("find", find)).statusCode).toBe(201);
    await service.server.close();
    service = await startService(folder);
    const flow = (await service.server.inject({ url: "/flows/find", headers })).json();
    expect(flow).toMatchObject({
      document: find,
      uploaded: true,
      input: { properties: { query: { type: "string" } }, required: ["query"] },
      bound: { steps: 1, calls: 0, tokens: 0 },
    });
    expect((await service.server.inject({ method: "DELETE", url: "/indexes/docs", headers })).json().code).toBe(
      "CONFLICT",
    );
    expect((await service.server.inject({ method: "DELETE", url: "/flows/find", headers })).statusCode).toBe(204);
    expect((await service.server.inject({ method: "DELETE", url: "/indexes/docs", headers })).statusCode).toBe(204);
  });

  it("keeps what was upserted, shows each principal its own, and never half a change", async () => {
    const { key } = service;
    const { headers } = await key({ scopes: ["run", "flows", "indexes"], principal: { id: "ann" } });
    const bob = await key({ scopes: ["run"], principal: { id: "bob" } });
    const call = (method: "PUT" | "POST" | "GET", url: string, payload?: object) =>
      service.server.inject({ method, url, headers, ...(payload && { payload }) });
    await call("PUT", "/indexes/docs");
    await call("PUT", "/flows/find", find);
    const passage = (id: string, access?: string[]) => ({
      id,
      text: `bananas ${id}`,
      metadata: access ? { access } : {},
    });
    const added = await call("POST", "/indexes/docs/passages", { passages: [passage("a"), passage("b", ["ann"])] });
    expect(added.json()).toMatchObject({ passages: 2 });
    const half = await call("POST", "/indexes/docs/passages", { passages: [passage("c"), { id: "d" }] });
    expect([half.statusCode, half.json().code, half.json().path]).toEqual([
      400,
      "BAD_ARGUMENT",
      "body.passages.1.text",
    ]);
    await service.server.close();
    service = await startService(folder);
    const found = async (as: object) =>
      (await run("find", "bananas", as))
        .json()
        .output.hits.map((hit: { passage: { id: string } }) => hit.passage.id)
        .sort();
    expect(await found(headers)).toEqual(["a", "b"]);
    expect(await found(bob.headers)).toEqual(["a"]);
    await call("POST", "/indexes/docs/passages/delete", { ids: ["a"] });
    expect(await found(headers)).toEqual(["b"]);
  });

  it("holds keys to their scopes, flows, places and requests, and forgets revoked ones", async () => {
    const { server, key, keys } = service;
    const narrow = await key({ scopes: ["run"], flows: ["hold"], limits: { concurrency: 1, requestsPerMinute: 6 } });
    const status = async (answer: Promise<{ statusCode: number; json(): { code?: string } }>) => {
      const { statusCode, json } = await answer;
      return [statusCode, json().code];
    };
    expect(await status(server.inject({ url: "/metrics", headers: narrow.headers }))).toEqual([403, "FORBIDDEN"]);
    expect(await status(run("echo", "q", narrow.headers))).toEqual([403, "FORBIDDEN"]);
    const { id } = (await run("hold", "q", { ...narrow.headers, prefer: "respond-async" })).json();
    expect(await status(run("hold", "q", narrow.headers))).toEqual([429, "OVERLOADED"]);
    await service.runs.cancel(id);
    for (let i = 0; i < 2; i++) await server.inject({ url: "/flows", headers: narrow.headers });
    const refused = await server.inject({ url: "/flows", headers: narrow.headers });
    expect([refused.statusCode, Number(refused.headers["retry-after"])]).toEqual([429, 10]);
    const gone = await key();
    const [, keyId] = gone.token.split("_");
    await keys.revoke(keyId!);
    expect(await status(server.inject({ url: "/flows", headers: gone.headers }))).toEqual([401, "UNAUTHENTICATED"]);
  });

  it("writes no secret anywhere", async () => {
    const lines: string[] = [];
    await service.server.close();
    service = await startService(folder, {
      logger: { level: "trace", stream: { write: (line: string) => lines.push(line) } },
    });
    const { token, headers } = await service.key({ scopes: ["run", "operate"] });
    const secret = token.split("_").slice(2).join("_");
    const { id } = (await run("echo", "hi", { ...headers, "idempotency-key": "k" })).json();
    await run("nothing", "hi", headers);
    const seen = await service.server.inject({ url: `/runs/${id}`, headers });
    const shown = await service.server.inject({ url: "/metrics", headers });
    expect(shown.body).toContain('tessera_http_requests_total{method="POST",route="/flows/:name/runs",status="200"} 1');
    const files = readdirSync(folder, { recursive: true, encoding: "utf8" })
      .map((name) => join(folder, name))
      .filter((path) => statSync(path).isFile());
    expect(files.length).toBeGreaterThan(3);
    for (const text of [...files.map((path) => readFileSync(path, "latin1")), lines.join(""), seen.body, shown.body])
      expect(text.includes(secret)).toBe(false);
    for (const path of files.filter((one) => one.includes("/keys/"))) expect(statSync(path).mode & 0o077).toBe(0);
  });
});

describe("errors", () => {
  it("have a status each: what the caller can mend is 4xx", () => {
    expect(Object.keys(statuses).sort()).toEqual(Object.keys(errorCodes).sort());
    expect(statuses).toMatchObject({
      BAD_INPUT: 400,
      INVALID_FLOW: 400,
      UNAUTHENTICATED: 401,
      FORBIDDEN: 403,
      NOT_FOUND: 404,
      CONFLICT: 409,
      REQUEST_TOO_LARGE: 413,
      OVERLOADED: 429,
      QUOTA_EXHAUSTED: 429,
      NODE_FAILED: 500,
      MODEL_FAILED: 502,
      CLOSED: 503,
    });
    expect(asTesseraError(new Error("secret path"))).toMatchObject({ code: "INTERNAL", message: "the service failed" });
  });
});
