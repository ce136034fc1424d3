import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { type FlowDocument, flow, type Resource } from "@tessera/core";
import { answer } from "@tessera/generator";
import { openAiModel } from "@tessera/models";
import { sparse } from "@tessera/retriever";
import { Bm25Store } from "@tessera/stores";
import { hasPostgres, needs, PostgresServer, scriptedModel } from "@tessera/testkit";
import { serve } from "./serve.js";
import { freshFolder, removeFolder } from "./service.fixture.js";

const ask: FlowDocument = flow("ask", { query: "text" }, (f, { query }) => {
  const { hits } = f.node("search", sparse({ store: "docs", top: 3 }), { query });
  return { answer: f.node("answer", answer({ model: "writer" }), { query, hits }).answer };
}).document;
const fresh = 1100; // milliseconds after which the service asks again

let folder: string;
let store: Bm25Store;
const closing: (() => Promise<unknown>)[] = [];
beforeEach(() => {
  folder = freshFolder();
  store = new Bm25Store();
});
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  removeFolder(folder);
});

async function begin(writer: Resource, more: Partial<Parameters<typeof serve>[0]> = {}) {
  const resources = { store: { docs: store }, model: { writer } };
  const { server } = await serve({ folder, flows: { ask }, resources, port: 0, ...more });
  closing.push(() => server.close());
  return async () => {
    const { statusCode, json } = await server.inject("/readyz");
    const { code, findings = [] } = json();
    expect((await server.inject("/healthz")).statusCode).toBe(200); // it lives all the same
    return [statusCode, code, findings.map(({ path }: { path: string }) => path)];
  };
}
const ready = [200, undefined, []];

describe("/readyz", () => {
  it("names every resource that cannot answer, and lives all the same", async () => {
    let failing: (() => Promise<void>) | undefined;
    const writer = { ...scriptedModel(() => "yes"), check: async () => failing?.() };
    const look = await begin(writer);
    expect(await look()).toEqual(ready);
    await sleep(fresh);
    failing = () => Promise.reject(new Error("the password of 10.0.0.7 is wrong"));
    expect(await look()).toEqual([503, "NOT_READY", ["model/writer"]]);
    failing = () => new Promise(() => {}); // it does not answer at all
    await sleep(fresh);
    expect(await look()).toEqual([503, "NOT_READY", ["model/writer"]]);
    failing = undefined;
    await store.close();
    await sleep(fresh);
    expect(await look()).toEqual([503, "NOT_READY", ["store/docs"]]);
  });

  it("says nothing of the machine", async () => {
    const check = () => Promise.reject(new Error("the password of 10.0.0.7 is wrong"));
    const { server } = await serve({
      folder,
      flows: { ask },
      resources: { store: { docs: store }, model: { writer: { ...scriptedModel(() => "yes"), check } } },
      port: 0,
    });
    closing.push(() => server.close());
    const { body, statusCode } = await server.inject("/readyz");
    expect(statusCode).toBe(503);
    expect(body).not.toMatch(/password|10\.0\.0\.7/);
  });

  it("asks for a model behind a service, which may come back", async () => {
    const answers = createServer((_, response) => response.writeHead(404).end());
    const listen = (port: number) => new Promise<void>((resolve) => answers.listen(port, "127.0.0.1", resolve));
    await listen(0);
    const { port } = answers.address() as AddressInfo;
    const close = () =>
      new Promise((resolve) => {
        answers.close(resolve);
        answers.closeAllConnections();
      });
    closing.push(close);
    const look = await begin(openAiModel({ baseUrl: `http://127.0.0.1:${port}/v1`, model: "m" }));
    expect(await look()).toEqual(ready);
    await close();
    await sleep(fresh);
    expect(await look()).toEqual([503, "NOT_READY", ["model/writer"]]);
    await listen(port);
    await sleep(fresh);
    expect(await look()).toEqual(ready);
  });

  it("asks once for many who ask at the same time", async () => {
    let asked = 0;
    const writer = {
      ...scriptedModel(() => "yes"),
      check: async () => {
        asked++;
        await sleep(50);
      },
    };
    const look = await begin(writer);
    expect(new Set((await Promise.all(Array.from({ length: 50 }, look))).map(String)).size).toBe(1);
    expect(asked).toBe(1);
  });

  needs(hasPostgres, "no PostgreSQL to start")("asks for the database, which may come back", async () => {
    const postgres = await PostgresServer.start();
    closing.push(() => postgres.remove());
    const look = await begin(
      scriptedModel(() => "yes"),
      { database: postgres.url },
    );
    closing.reverse();
    expect(await look()).toEqual(ready);
    await postgres.down();
    await sleep(fresh);
    expect(await look()).toEqual([503, "NOT_READY", ["database"]]);
    await postgres.up();
    await sleep(fresh);
    for (let tries = 0; String(await look()) !== String(ready) && tries < 20; tries++) await sleep(fresh);
    expect(await look()).toEqual(ready);
  });
});
