import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { errorCodes } from "@tessera/core";
import { openAiErrorBody } from "./openai/errors.js";
import { requestLimits } from "./refusals.js";
import { freshFolder, removeFolder, startService } from "./service.fixture.js";

const folder = freshFolder();
let service: Awaited<ReturnType<typeof startService>>;
let url: URL;
let headers: Record<string, string>;
let paths: Record<string, Record<string, { requestBody?: object; security: object[] }>>;

beforeAll(async () => {
  service = await startService(folder, { durable: false, requestTimeout: 400, bodyLimit: 10_000 });
  ({ headers } = await service.key({
    scopes: ["run", "flows", "indexes", "operate"],
    limits: { requestsPerMinute: 1_000_000, concurrency: 1000 },
  }));
  url = new URL(await service.server.listen({ port: 0, host: "127.0.0.1" }));
  ({ paths } = (await service.server.inject("/openapi.json")).json());
});
afterAll(async () => {
  await service.server.close();
  removeFolder(folder);
});

/** A connection, and what came over it so far. */
function connected() {
  const socket = connect(Number(url.port), url.hostname);
  socket.on("error", () => {});
  let text = "";
  socket.setEncoding("utf8").on("data", (part) => {
    text += part;
  });
  return { socket, text: () => text };
}

/** Sends bytes as they are, and reads what comes until the connection ends. */
async function raw(...sent: string[]): Promise<string> {
  const { socket, text } = connected();
  for (const part of sent) socket.write(part);
  await once(socket, "close");
  return text();
}

/** The status, the headers and the body of the last answer in what came over a connection. */
function parsed(text: string) {
  const [head = "", body = ""] = text.slice(text.lastIndexOf("HTTP/1.1")).split("\r\n\r\n");
  const type = /^content-type: (.*)$/im.exec(head)?.[1];
  return { status: Number(head.split(" ")[1]), type, body: JSON.parse(body) as Record<string, unknown> };
}

const fill = (path: string, by = "echo") => path.replace(/\{\w+\}/g, by);
const authorization = () => `authorization: ${headers.authorization}\r\n`;
const request = (line: string, more = "", host = "host: x\r\n") =>
  `${line} HTTP/1.1\r\n${host}${authorization()}${more}connection: close\r\n\r\n`;

/** Whether a body is an error in the shape of its address. */
function expectShape(path: string, body: unknown): void {
  if (path.startsWith("/v1")) expect(openAiErrorBody.safeParse(body).success).toBe(true);
  else {
    const { code, message } = body as { code: string; message: unknown };
    expect(Object.keys(errorCodes)).toContain(code);
    expect(typeof message).toBe("string");
  }
}

async function refused(method: string, path: string, more: RequestInit = {}) {
  const sent = { ...headers, ...(more.headers as Record<string, string>) };
  const response = await fetch(new URL(path, url), { ...more, method, headers: sent });
  expect(response.headers.get("content-type")).toMatch(/^application\/json/);
  const body = (await response.json()) as Record<string, unknown>;
  expectShape(path, body);
  return { status: response.status, code: body.code, allow: response.headers.get("allow") };
}

describe("what is refused before a route sees it has the shape of every error, on every route", () => {
  it("another method: 405, with those that the address takes", async () => {
    for (const [path, methods] of Object.entries(paths)) {
      const taken = Object.keys(methods).map((method) => method.toUpperCase());
      if (taken.includes("GET")) taken.push("HEAD");
      for (const method of ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "QUERY"]) {
        // node:http of some versions does not know QUERY; an address that takes the method is no case of this
        if (taken.includes(method) || method === "QUERY") continue;
        // the address of one resource may be of the shape of another one's
        const { status, code, allow } = await refused(method, fill(path, "own-name"));
        expect([method, path, status]).toEqual([method, path, 405]);
        if (!path.startsWith("/v1")) expect(code).toBe("METHOD_NOT_ALLOWED");
        for (const one of taken) expect(allow!.split(", ")).toContain(one);
        expect(allow).not.toContain(method);
      }
    }
  });

  it("no such address: 404; a malformed one: 400; one that is too long: 414", async () => {
    const long = "x".repeat(300);
    for (const path of Object.keys(paths)) {
      expect((await refused("GET", `${fill(path).replace(/\/$/, "")}/nothing/at/all`)).status).toBe(
        // below the path of a file lie paths of files, which cannot be read
        path.includes("/files") ? 405 : 404,
      );
      const broken = parsed(await raw(request(`GET ${path.includes("{") ? fill(path, "%") : `${path}/%`}`)));
      expect([path, broken.status, broken.type]).toEqual([path, 400, "application/json; charset=utf-8"]);
      expectShape(path, broken.body);
      // names of models hold slashes, and may be as long as the head
      if (!path.includes("{") || path.startsWith("/v1/models/")) continue;
      const [method] = Object.keys(paths[path]!);
      const { status } = await refused(method!.toUpperCase(), fill(path, long));
      expect([path, status]).toEqual([path, 414]);
    }
  });

  it("a body that is too large: 413; of another type: 415; no JSON: 400", async () => {
    const json = { "content-type": "application/json" };
    let count = 0;
    for (const [path, methods] of Object.entries(paths))
      for (const [method, { requestBody }] of Object.entries(methods)) {
        // files are any bytes, or a form
        if (!requestBody || path.includes("/files")) continue;
        count++;
        const send = (body: string, type: object = json) =>
          refused(method.toUpperCase(), fill(path), { body, headers: { ...type } });
        const at = [method, path];
        expect([...at, (await send(JSON.stringify("x".repeat(20_000)))).status]).toEqual([...at, 413]);
        expect([...at, (await send("<a/>", { "content-type": "application/xml" })).status]).toEqual([...at, 415]);
        expect([...at, (await send("{")).status]).toEqual([...at, 400]);
        expect([...at, (await send("", json)).status]).toEqual([...at, 400]);
      }
    expect(count).toBeGreaterThan(8);
  });

  it.each<[string, () => string, number, string]>([
    [
      "a head that is too long",
      () => request("GET /flows", `x-much: ${"x".repeat(20_000)}\r\n`),
      431,
      "REQUEST_TOO_LARGE",
    ],
    [
      "an address that is longer than a head",
      () => request(`GET /flows?${"x".repeat(20_000)}`),
      431,
      "REQUEST_TOO_LARGE",
    ],
    ["what is no HTTP", () => "hello\r\n\r\n", 400, "BAD_ARGUMENT"],
    [
      "two lengths",
      () => request("POST /mcp", "content-length: 1\r\ntransfer-encoding: chunked\r\n"),
      400,
      "BAD_ARGUMENT",
    ],
    ["no host", () => request("GET /flows", "", ""), 400, "BAD_ARGUMENT"],
    ["an expectation", () => request("GET /flows", "expect: more\r\n"), 417, "BAD_ARGUMENT"],
    [
      "a wrong chunk",
      () => `${request("POST /mcp", "content-type: application/json\r\ntransfer-encoding: chunked\r\n")}zz\r\n`,
      400,
      "BAD_ARGUMENT",
    ],
  ])("%s", async (_, sent, status, code) => {
    const answer = parsed(await raw(sent()));
    expect(answer).toMatchObject({ status, type: "application/json; charset=utf-8", body: { code } });
  });

  it("says nothing of its addresses to who shows no key", async () => {
    for (const path of ["/mcp", "/nothing", "/v1/nothing"]) {
      const response = await fetch(new URL(path, url));
      expect([path, response.status, response.headers.get("allow")]).toEqual([path, 401, null]);
      expectShape(path, await response.json());
    }
  });
});

describe("slow requests", () => {
  it("a head that does not come, a body that does not come, and one that trickles end with 408 at their time", async () => {
    const began = performance.now();
    const body = request("POST /flows/echo/runs", "content-type: application/json\r\ncontent-length: 100\r\n");
    const trickling = connect(Number(url.port), url.hostname);
    trickling.on("error", () => {});
    let trickled = "";
    trickling.setEncoding("utf8").on("data", (part) => {
      trickled += part;
    });
    trickling.write(body);
    const drops = setInterval(() => trickling.write("x"), 50);
    const ended = once(trickling, "close").finally(() => clearInterval(drops));
    const answers = await Promise.all([raw("GET /flows HTTP/1.1\r\nhost: x\r\n"), raw(body, "{"), raw("")]);
    await ended;
    for (const text of [...answers, trickled])
      expect(parsed(text)).toMatchObject({ status: 408, body: { code: "REQUEST_TIMEOUT" } });
    // not before its time; how much later is the machine's load
    expect(performance.now() - began).toBeGreaterThanOrEqual(390);
  });

  it("have 10 seconds for the head and 30 for the whole by default, and are looked at every second", async () => {
    const plain = await startService(freshFolder(), { durable: false });
    const { headersTimeout, requestTimeout } = plain.server.server;
    expect([headersTimeout, requestTimeout]).toEqual([10_000, 30_000]);
    expect(requestLimits(30_000).options.http.connectionsCheckingInterval).toBe(1000);
    await plain.server.close();
  });

  it("what is malformed behind a request that is being answered does not speak into its answer", async () => {
    const { socket, text } = connected();
    const body = JSON.stringify({ input: { query: "q" } });
    const head = `content-type: application/json\r\naccept: text/event-stream\r\ncontent-length: ${body.length}\r\n`;
    socket.write(`POST /flows/hold/runs HTTP/1.1\r\nhost: x\r\n${authorization()}${head}\r\n${body}`);
    while (!text().includes("node-start")) await once(socket, "data");
    socket.write("no http at all\r\n\r\n");
    await once(socket, "close");
    expect(text().match(/HTTP\/1\.1/g)).toHaveLength(1);
    expect(text()).not.toContain("BAD_ARGUMENT");
  });
});
