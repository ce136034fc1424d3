import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { type FlowDocument, flow, use } from "@tessera/core";
import { sha256 } from "@tessera/core/internal";
import { write } from "@tessera/indexer";
import { type KeyRequest, scopes } from "./keys.js";
import { find, flows, freshFolder, operators, release, removeFolder, startService } from "./service.fixture.js";

let folder: string;
let service: Awaited<ReturnType<typeof startService>>;
const open = async () => {
  const own = { revision: "1", upsert: async () => {}, delete: async () => {}, search: async () => [] };
  service = await startService(folder, { resources: { store: { own } }, operators });
};
beforeEach(async () => {
  folder = freshFolder();
  await open();
});
afterEach(async () => {
  await service.server.close();
  removeFolder(folder);
});

type Method = "GET" | "PUT" | "POST" | "DELETE";
const call = async (headers: object, method: Method, url: string, payload?: object) => {
  const answer = await service.server.inject({ method, url, headers: { ...headers }, ...(payload && { payload }) });
  return {
    status: answer.statusCode,
    text: answer.body,
    body: answer.body.startsWith("{") ? answer.json() : undefined,
  };
};
const headersOf = async (request: Partial<KeyRequest>) => (await service.key(request)).headers;
const renamed = (document: FlowDocument, name: string): FlowDocument => ({ ...document, name });

/** Writes one passage into a store. */
const writer = (store: string): FlowDocument =>
  flow("writer", { passages: "passages" }, (f, input) => ({ written: f.node("w", write({ store }), input).written }))
    .document;
const passage = (text: string, access: string[]) => ({ id: "p", text, metadata: { access } });

/** A value that events name by its hash. */
const long = "q".repeat(5000);
const hashOfLong = sha256(JSON.stringify(long));
const owners: Partial<KeyRequest> = { principal: { id: "ann" }, scopes: ["run", "flows", "indexes"] };

describe("who may do what, at every route", () => {
  /** Keys by what they may; the flow "secret" is ann's, "echo" comes with the service. */
  const kinds: Record<string, Partial<KeyRequest>> = {
    "of the owner": owners,
    "of another principal": { principal: { id: "bob" }, scopes: ["run", "flows", "indexes"] },
    "for another flow": { principal: { id: "ann" }, scopes: ["run", "flows", "indexes"], flows: ["echo"] },
    "to operate, for another flow": { principal: { id: "ann" }, scopes: [...scopes], flows: ["echo"] },
    "to run": { principal: { id: "ann" }, scopes: ["run"] },
    "without scopes": { principal: { id: "ann" }, scopes: [] },
    "to operate": { principal: { id: "eve" }, scopes: [...scopes] },
    "for another index": { ...owners, indexes: ["other"] },
  };
  const names = Object.keys(kinds);
  /** What each route answers to each kind of key, in the order above. */
  const table: Record<string, [payload: object | undefined, statuses: number[]]> = {
    "GET /flows/secret": [undefined, [200, 200, 403, 403, 200, 403, 200, 200]],
    "PUT /flows/secret": [renamed(flows.echo!, "secret"), [200, 403, 403, 403, 403, 403, 200, 200]],
    "DELETE /flows/secret": [undefined, [204, 403, 403, 403, 403, 403, 204, 204]],
    "POST /flows/secret/runs": [{ input: { query: "q" } }, [200, 200, 403, 403, 200, 403, 200, 200]],
    "GET /runs/RUN": [undefined, [200, 404, 404, 404, 200, 403, 200, 200]],
    "GET /runs/RUN/events": [undefined, [200, 404, 404, 404, 200, 403, 200, 200]],
    [`GET /runs/RUN/values/${hashOfLong}`]: [undefined, [200, 404, 404, 404, 200, 403, 200, 200]],
    "GET /runs/RUN/document": [undefined, [200, 404, 404, 404, 200, 403, 200, 200]],
    "POST /runs/RUN/cancel": [undefined, [409, 404, 404, 404, 409, 403, 409, 409]],
    "POST /runs/RUN/waits/AT": [{ answer: 1 }, [409, 404, 404, 404, 409, 403, 409, 409]],
    "POST /runs/RUN/signals/secret": [{ value: 1 }, [409, 404, 404, 404, 409, 403, 409, 409]],
    "POST /runs/RUN/fork": [{ at: "secret/echo" }, [200, 404, 404, 404, 200, 403, 200, 200]],
    "GET /runs/RUN/diff/RUN": [undefined, [200, 404, 404, 404, 200, 403, 200, 200]],
    "POST /runs/RUN/resume": [{}, [409, 404, 404, 404, 409, 403, 409, 409]],
    "POST /v1/chat/completions": [
      { model: "secret", messages: [{ role: "user", content: "q" }] },
      [200, 200, 404, 404, 200, 403, 200, 200],
    ],
    "GET /v1/models/secret": [undefined, [200, 200, 404, 404, 200, 403, 200, 200]],
    "GET /indexes": [undefined, [200, 200, 200, 200, 403, 403, 200, 200]],
    "GET /indexes/docs": [undefined, [200, 200, 200, 200, 403, 403, 200, 403]],
    "PUT /indexes/docs": [{}, [409, 409, 409, 409, 403, 403, 409, 403]],
    "DELETE /indexes/docs": [undefined, [204, 403, 204, 204, 403, 403, 204, 403]],
    "POST /indexes/docs/passages": [{ passages: [passage("x", ["ann"])] }, [200, 403, 200, 200, 403, 403, 200, 403]],
    "POST /indexes/docs/passages/delete": [{ ids: ["p"] }, [200, 403, 200, 200, 403, 403, 200, 403]],
    "PUT /indexes/docs/files/a.txt": [{}, [200, 403, 200, 200, 403, 403, 200, 403]],
    "DELETE /indexes/docs/files/a.txt": [undefined, [200, 403, 200, 200, 403, 403, 200, 403]],
    // no form, which is seen behind the right
    "POST /indexes/docs/files": [{}, [415, 403, 415, 415, 403, 403, 415, 403]],
    "POST /indexes/docs/search": [{ query: "x" }, [200, 200, 200, 200, 403, 403, 200, 403]],
    "POST /check": [{ document: find }, [200, 200, 200, 200, 403, 403, 200, 200]],
    "GET /metrics": [undefined, [403, 403, 403, 200, 403, 403, 200, 403]],
  };
  /** Lists, which hold what the key may see: whether "secret" is among it. */
  const lists: Record<string, [payload: object | undefined, seen: boolean[]]> = {
    "GET /flows": [undefined, [true, true, false, false, true, false, true, true]],
    "GET /runs": [undefined, [true, false, false, false, true, false, true, true]],
    "GET /v1/models": [undefined, [true, true, false, false, true, false, true, true]],
    "POST /mcp": [{ jsonrpc: "2.0", id: 1, method: "tools/list" }, [true, true, false, false, true, false, true, true]],
    "GET /catalogue": [undefined, [false, false, false, false, false, false, false, false]],
    "GET /operators": [undefined, [false, false, false, false, false, false, false, false]],
    "GET /": [undefined, [false, false, false, false, false, false, false, false]],
    "GET /openapi.json": [undefined, [false, false, false, false, false, false, false, false]],
  };
  // a model of the process is no document; what is open tells nothing of flows
  const others = ["POST /v1/completions", "POST /v1/embeddings", "POST /v1/rerank", "GET /healthz", "GET /readyz"];
  // whose threads a key may see is in threads.test.ts
  const threads = ["GET /threads", "GET /threads/{id}", "DELETE /threads/{id}"];

  const begin = async () => {
    const ann = await headersOf(owners);
    await call(ann, "PUT", "/indexes/docs", {}); // where the last route removed it
    await call(ann, "PUT", "/flows/secret", flows.echo);
    const run = await call(ann, "POST", "/flows/secret/runs", { input: { query: long } });
    return run.body.id as string;
  };
  const ask = async (headers: object, route: string, payload: object | undefined) => {
    const [method, url] = route.split(" ") as [Method, string];
    const accept = url === "/mcp" ? { accept: "application/json, text/event-stream" } : {};
    return call({ ...headers, ...accept }, method, url, payload);
  };

  it("is in the table: every route that is served", async () => {
    const { paths } = (await service.server.inject("/openapi.json")).json();
    const served = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods as object).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const told = [...Object.keys(table), ...Object.keys(lists), ...others, ...threads].map((route) =>
      route
        .replace("/flows/secret", "/flows/{name}")
        .replace("diff/RUN", "diff/{other}")
        .replace("RUN", "{id}")
        .replace(hashOfLong, "{hash}")
        .replace("/indexes/docs", "/indexes/{name}")
        .replace("/files/a.txt", "/files/{path}")
        .replace("/models/secret", "/models/{name}")
        .replace("/waits/AT", "/waits/{path}")
        .replace("/signals/secret", "/signals/{name}"),
    );
    expect(told.sort()).toEqual(served.sort());
  });

  it.each(names.map((name, column) => [name, column] as const))(
    "a key %s gets what the table says",
    async (name, column) => {
      const headers = await headersOf(kinds[name]!);
      const got: Record<string, number> = {};
      const wanted: Record<string, number> = {};
      for (const [route, [payload, statuses]] of Object.entries(table)) {
        const run = await begin();
        got[route] = (await ask(headers, route.replaceAll("RUN", run), payload)).status;
        wanted[route] = statuses[column]!;
      }
      expect(got).toEqual(wanted);
    },
  );

  it("lists hold what the key may see, and errors name nothing else", async () => {
    await begin();
    for (const [column, name] of names.entries()) {
      const headers = await headersOf(kinds[name]!);
      for (const [route, [payload, seen]] of Object.entries(lists)) {
        const { text } = await ask(headers, route, payload);
        expect([route, name, text.includes("secret")]).toEqual([route, name, seen[column]]);
      }
    }
    const limited = await headersOf({ scopes: [...scopes], flows: ["echo", "ech"] });
    for (const [method, url] of [
      ["GET", "/flows/ech"],
      ["POST", "/flows/ech/runs"],
      ["DELETE", "/flows/ech"],
    ] as const)
      expect((await call(limited, method, url, method === "POST" ? {} : undefined)).text).not.toContain("secret");
  });

  it("a flow that is there and one that is not are refused in the same words", async () => {
    await begin();
    const limited = await headersOf({ scopes: ["run", "flows"], flows: ["echo"] });
    for (const [method, path] of [
      ["GET", ""],
      ["PUT", ""],
      ["DELETE", ""],
      ["POST", "/runs"],
    ] as const) {
      const answers = [];
      for (const name of ["secret", "nothing"]) {
        const payload = method === "PUT" ? renamed(flows.echo!, name) : method === "POST" ? {} : undefined;
        answers.push((await call(limited, method, `/flows/${name}${path}`, payload)).text.replaceAll(name, "NAME"));
      }
      expect(answers[0]).toBe(answers[1]);
    }
  });
});

describe("what belongs to somebody", () => {
  it("stays his over a restart, and is free again when it is removed", async () => {
    const [ann, bob] = [await headersOf(owners), await headersOf({ ...owners, principal: { id: "bob" } })];
    await call(ann, "PUT", "/flows/mine", flows.echo);
    await call(ann, "PUT", "/indexes/docs", {});
    await service.server.close();
    await open();
    expect((await call(bob, "PUT", "/flows/mine", flows.hold)).status).toBe(403);
    expect((await call(bob, "DELETE", "/indexes/docs")).status).toBe(403);
    expect((await call(ann, "DELETE", "/flows/mine")).status).toBe(204);
    expect((await call(ann, "DELETE", "/indexes/docs")).status).toBe(204);
    expect((await call(bob, "PUT", "/flows/mine", flows.hold)).status).toBe(201);
    expect((await call(ann, "PUT", "/flows/mine", flows.echo)).status).toBe(403);
    expect((await call(bob, "PUT", "/indexes/docs", {})).status).toBe(201);
  });

  it("is left alone by an upload that fails, and so is its owner", async () => {
    const [ann, bob] = [await headersOf(owners), await headersOf({ ...owners, principal: { id: "bob" } })];
    expect(
      (await call(ann, "PUT", "/flows/mine", { ...flows.echo, output: {}, nodes: { x: { run: "no.such", in: {} } } }))
        .status,
    ).toBe(400);
    expect((await call(bob, "PUT", "/flows/mine", flows.echo)).status).toBe(201);
    expect((await call(ann, "PUT", "/flows/mine", flows.echo)).status).toBe(403);
  });
});

describe("writing by a flow", () => {
  const ask = async (headers: object, text: string, name = "writer") =>
    call(headers, "POST", `/flows/${name}/runs`, { input: { passages: [passage(text, ["ann"])] } });
  const seen = async (principal: string) => {
    const headers = await headersOf({ principal: { id: principal }, scopes: ["indexes"] });
    const { body } = await call(headers, "POST", "/indexes/docs/search", { query: "old new secret", top: 5 });
    return body.hits.map(({ passage: { text } }: { passage: { text: string } }) => text);
  };

  // E-10 of the fault book: it went past scope, owner and log
  it("needs the right that the routes of the index need, at the upload and at every run", async () => {
    const ann = await headersOf(owners);
    await call(ann, "PUT", "/indexes/docs", {});
    await call(ann, "POST", "/indexes/docs/passages", { passages: [passage("old", ["ann"])] });
    const without = await headersOf({ principal: { id: "ann" }, scopes: ["run", "flows"] });
    const bob = await headersOf({ ...owners, principal: { id: "bob" } });
    for (const store of ["docs.sparse", "docs.dense"])
      for (const headers of [without, bob])
        expect((await call(headers, "PUT", "/flows/w2", writer(store))).status).toBe(403);
    // a flow within a flow hides nothing
    const outer = flow("outer", { passages: "passages" }, (f, input) => ({
      written: f.node("inner", { run: writer("docs.sparse") } as ReturnType<typeof use>, input).written!,
    })).document;
    expect((await call(without, "PUT", "/flows/outer", outer)).status).toBe(403);
    expect(service.library.names).not.toContain("outer");
    expect((await call(ann, "PUT", "/flows/writer", writer("docs.sparse"))).status).toBe(201);
    for (const headers of [without, bob]) expect((await ask(headers, "new")).status).toBe(403);
    expect(await seen("ann")).toEqual(["old"]);
  });

  it("goes by the door of the index: it is logged, is there after a restart in both stores, and keeps access lists", async () => {
    const ann = await headersOf(owners);
    await call(ann, "PUT", "/indexes/docs", {});
    await call(ann, "POST", "/indexes/docs/passages", { passages: [passage("old", ["ann"])] });
    await call(ann, "PUT", "/flows/writer", writer("docs.sparse"));
    expect((await ask(ann, "new secret")).status).toBe(200);
    for (const round of ["at once", "after a restart"]) {
      expect([round, await seen("ann"), await seen("bob")]).toEqual([round, ["new secret"], []]);
      const { dense } = service.indexes.get("docs") as unknown as {
        dense: { get(ids: string[], who: object): Promise<{ text: string }[]> };
      };
      expect((await dense.get(["p"], { id: "ann" }))[0]?.text).toBe("new secret");
      await service.server.close();
      await open();
    }
  });

  it("reaches no store that the service was given for its own flows", async () => {
    const all = await headersOf({ scopes: [...scopes] });
    const { status, body } = await call(all, "PUT", "/flows/writer", writer("own"));
    expect([status, body.code]).toEqual([403, "FORBIDDEN"]);
  });
});

describe("an index that is removed", () => {
  it("is refused to uploads by its name, also to those that come at the same time, and stays where a flow names it", async () => {
    const ann = await headersOf(owners);
    await call(ann, "PUT", "/indexes/docs", {});
    await call(ann, "PUT", "/flows/find", find);
    const kept = await call(ann, "DELETE", "/indexes/docs");
    expect([kept.status, kept.body.message]).toEqual([409, 'the flow "find" uses the index']);
    const foreign = await headersOf({ ...owners, flows: ["echo"] });
    expect((await call(foreign, "DELETE", "/indexes/docs")).text).not.toContain("find");
    expect((await call(ann, "POST", "/flows/find/runs", { input: { query: "x" } })).status).toBe(200);
    await call(ann, "DELETE", "/flows/find");
    const [gone, upload] = await Promise.all([
      call(ann, "DELETE", "/indexes/docs"),
      call(ann, "PUT", "/flows/find", find),
    ]);
    // one of the two was first, and the other one is told
    if (gone.status === 204) {
      expect(upload.body).toMatchObject({ code: "INVALID_FLOW" });
      expect(upload.text).toContain("docs.sparse");
      expect((await call(ann, "PUT", "/flows/find", find)).body.findings[0]).toMatchObject({
        code: "UNKNOWN_RESOURCE",
      });
    } else expect([gone.status, upload.status]).toEqual([409, 201]);
  });

  it("fails a run that meets it, with its code: only a stop of the service leaves a run to be taken up", async () => {
    const ann = await headersOf(owners);
    await call(ann, "PUT", "/indexes/docs", {});
    const waiting: FlowDocument = flow("waiting", { query: "text" }, (f, input) => {
      const held = f.node("hold", use("test.hold"), input);
      return { hits: f.node("search", use("retriever.sparse", { store: "docs.sparse" }), { query: held.text! }).hits! };
    }).document;
    await call(ann, "PUT", "/flows/waiting", waiting);
    const begun = await call({ ...ann, prefer: "respond-async" }, "POST", "/flows/waiting/runs", {
      input: { query: "q" },
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    await call(ann, "DELETE", "/flows/waiting");
    expect((await call(ann, "DELETE", "/indexes/docs")).status).toBe(204);
    release();
    const { status, error } = await service.runs.settled(begun.body.id);
    expect([status, error?.code]).toEqual(["failed", "CLOSED"]);
  });
});

describe("a key that is limited to some indexes", () => {
  it("sees those alone, and neither uploads nor runs a flow that names another one", async () => {
    const ann = await headersOf(owners);
    const limited = await headersOf({ ...owners, indexes: ["other"] });
    await call(ann, "PUT", "/indexes/docs", {});
    await call(ann, "PUT", "/indexes/other", {});
    const namesFor = async (headers: object) =>
      (await call(headers, "GET", "/indexes")).body.indexes.map(({ name }: { name: string }) => name).sort();
    expect([await namesFor(ann), await namesFor(limited)]).toEqual([["docs", "other"], ["other"]]);
    expect((await call(limited, "PUT", "/flows/find", find)).status).toBe(403);
    expect((await call(ann, "PUT", "/flows/find", find)).status).toBe(201);
    const run = { input: { query: "q" } };
    expect((await call(limited, "POST", "/flows/find/runs", run)).status).toBe(403);
    expect((await call(ann, "POST", "/flows/find/runs", run)).status).toBe(200);
    const own = JSON.parse(JSON.stringify(renamed(find, "own")).replaceAll("docs.", "other."));
    expect((await call(limited, "PUT", "/flows/own", own)).status).toBe(201);
    expect((await call(limited, "POST", "/flows/own/runs", run)).status).toBe(200);
  });
});

it("a key that is limited to a flow finds its run behind more than a thousand of others", async () => {
  const { runs } = service;
  const start = (id: string, flow: string) =>
    runs.start({ id, flow, input: { query: "q" }, principal: { id: "ann" }, asked: {}, budget: {} });
  await start("first", "twice");
  await runs.settled("first");
  await Promise.all(Array.from({ length: 1001 }, (_, at) => start(`other-${at}`, "echo")));
  const limited = await headersOf({ ...owners, flows: ["twice"] });
  const { body } = await call(limited, "GET", "/runs");
  expect(body.runs.map(({ id }: { id: string }) => id)).toEqual(["first"]);
});
