import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { type FlowDocument, TesseraError } from "@tessera/core";
import { openFolder } from "../backend.js";
import { KeyRing } from "../keys.js";
import { Meter } from "../meter.js";
import { createServer } from "../server.js";
import { flows, freshFolder, operators, removeFolder } from "../service.fixture.js";
import type { Tune } from "./tunings.js";

const said: FlowDocument = {
  version: 1,
  name: "said",
  input: { query: "text" },
  nodes: { say: { run: "text.template", with: { template: "{query}" }, in: { query: "input.query" } } },
  output: { text: "say.text" },
};

let folder: string;
let work: string;
let server: ReturnType<typeof createServer>;
let keys: KeyRing;
let close: () => Promise<unknown>;
/** What the search does between its plan and its end. */
let search: Tune;

beforeEach(async () => {
  folder = freshFolder();
  work = mkdtempSync(join(tmpdir(), "tessera-work-"));
  mkdirSync(join(work, ".tessera/data/asked"), { recursive: true });
  writeFileSync(join(work, ".tessera/data/asked/questions.jsonl"), '{"id":"1","question":"tea?"}\n');
  const backend = await openFolder(join(folder, "service"), { flows: { ...flows, said }, operators });
  keys = await KeyRing.open(join(folder, "keys"));
  const { budgets, runs } = backend;
  const source = { root: work, files: [], skipped: [], passages: async () => [] };
  server = createServer({
    ...{ ...backend, keys, meter: new Meter({ budgets, runs }) },
    studio: { page: folder, folder: work, source, tune: (asked) => search(asked) },
  });
  close = async () => {
    await server.close();
    await backend.close();
  };
});
afterEach(async () => {
  await close();
  removeFolder(folder);
  rmSync(work, { recursive: true, force: true });
});

const keyOf = async (id: string, more: object = {}) => {
  const { token, key } = await keys.create({ name: id, principal: { id }, scopes: ["run", "flows"], ...more });
  // biome-ignore lint/suspicious/noExplicitAny: whatever the service says
  const call = async (method: "GET" | "POST", url: string, payload?: object): Promise<any> => {
    const headers = { authorization: `Bearer ${token}` };
    const answer = await server.inject({ method, url, headers, ...(payload && { payload }) });
    return { ...answer.json(), http: answer.statusCode };
  };
  return { call, key };
};
const asked = { flow: "said", set: "asked", settings: [{ at: "say.template", values: ["{query}!"] }], metric: "F1" };
const begin = (call: Awaited<ReturnType<typeof keyOf>>["call"], more: object = {}) =>
  call("POST", "/studio/tunings", { ...asked, ...more });

/** A search that ends when it is told to, or is aborted. */
function held() {
  const { promise, resolve } = Promise.withResolvers<object>();
  search = ({ planned, signal }) => {
    planned({ runs: 4 });
    return Promise.race([
      promise,
      new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
    ]);
  };
  return () => resolve({ confirmed: false });
}

describe("the searches of a service", () => {
  it("are answered when they are planned, watched, and end with what they came to", async () => {
    const { call } = await keyOf("ann");
    const next = Promise.withResolvers<void>();
    search = async ({ planned, progress, tried, questions, document }) => {
      expect([document.name, questions]).toEqual(["said", [{ id: "1", question: "tea?" }]]);
      planned({ runs: 4 });
      await next.promise;
      progress(2, 4);
      tried({ hash: "a" });
      tried({ hash: "a" });
      return { confirmed: false };
    };
    const begun = await begin(call);
    expect(begun).toMatchObject({ http: 202, status: "running", laid: { runs: 4 }, trials: [] });
    next.resolve();
    await expectSoon(async () =>
      expect(await call("GET", `/studio/tunings/${begun.id}`)).toMatchObject({
        ...{ status: "done", progress: { done: 2, planned: 4 }, trials: [{ hash: "a" }] },
        result: { confirmed: false },
      }),
    );
    expect((await call("GET", "/studio/tunings")).tunings).toMatchObject([{ id: begun.id, status: "done" }]);
  });

  it("are one at a time, end when they are told to, and are seen by nobody else", async () => {
    const [ann, bob] = [await keyOf("ann"), await keyOf("bob")];
    held();
    const { id } = await begin(ann.call);
    expect(await begin(bob.call)).toMatchObject({ http: 409, code: "CONFLICT" });
    expect(await bob.call("GET", `/studio/tunings/${id}`)).toMatchObject({ http: 404 });
    expect(await bob.call("POST", `/studio/tunings/${id}/cancel`)).toMatchObject({ http: 404 });
    expect((await bob.call("GET", "/studio/tunings")).tunings).toEqual([]);
    await ann.call("POST", `/studio/tunings/${id}/cancel`);
    await expectSoon(async () =>
      expect(await ann.call("GET", `/studio/tunings/${id}`)).toMatchObject({ status: "cancelled" }),
    );
    const end = held();
    expect(await begin(bob.call)).toMatchObject({ http: 202 });
    end();
  });

  it("end with their key", async () => {
    const { call, key } = await keyOf("ann");
    const { call: operator } = await keyOf("ops", { scopes: ["run", "flows", "operate"] });
    held();
    const { id } = await begin(call);
    await keys.revoke(key.id);
    await expectSoon(async () =>
      expect(await operator("GET", `/studio/tunings/${id}`)).toMatchObject({ status: "cancelled" }),
    );
  });

  it("run and change nothing that the key may not run or upload", async () => {
    const { call } = await keyOf("ann", { flows: ["echo"] });
    search = async () => ({});
    expect(await begin(call)).toMatchObject({ http: 403 });
    const { call: runner } = await keyOf("bob", { scopes: ["run"] });
    expect(await begin(runner)).toMatchObject({ http: 403 });
    const free = await keyOf("eve");
    // what a search compiles is checked as an upload is
    search = async ({ compile, document }) => {
      const nodes = { say: { run: "code.execute", with: { sandbox: "sandbox" }, in: { code: "input.query" } } };
      return compile({ ...document, nodes, output: {} });
    };
    expect((await begin(free.call)).http).toBeGreaterThanOrEqual(400);
    expect(await begin(free.call, { set: "../x" })).toMatchObject({ http: 400 });
    expect(await begin(free.call, { set: "none" })).toMatchObject({ http: 404 });
    expect(await begin(free.call, { flow: "none" })).toMatchObject({ http: 404 });
  });

  it("tell at once what is wrong with what was asked, and keep nothing of it", async () => {
    const { call } = await keyOf("ann");
    search = async () => {
      throw new TesseraError("BAD_ARGUMENT", "no such setting", { path: "say.x" });
    };
    expect(await begin(call)).toMatchObject({ http: 400, code: "BAD_ARGUMENT", path: "say.x" });
    expect((await call("GET", "/studio/tunings")).tunings).toEqual([]);
    search = async ({ planned }) => {
      planned({});
      throw new TesseraError("NODE_FAILED", "it broke");
    };
    const { id } = await begin(call);
    await expectSoon(async () =>
      expect(await call("GET", `/studio/tunings/${id}`)).toMatchObject({
        ...{ status: "failed", error: { code: "NODE_FAILED" } },
      }),
    );
  });

  it("charge each of their runs to the key, and end where its day is spent", async () => {
    const { call } = await keyOf("ann", { limits: { callsPerDay: 5 } });
    const asks = { bound: { steps: 1, calls: 2, tokens: 10, layers: 0 } } as Parameters<
      Parameters<Tune>[0]["admit"]
    >[0];
    search = async ({ planned, admit }) => {
      planned({});
      for (let run = 0; run < 10; run++) await (await admit(asks)).release({ calls: 2, tokens: 10 });
      return {};
    };
    const { id } = await begin(call);
    await expectSoon(async () =>
      expect(await call("GET", `/studio/tunings/${id}`)).toMatchObject({
        ...{ status: "failed", error: { code: "QUOTA_EXHAUSTED" } },
      }),
    );
  });
});

async function expectSoon(look: () => Promise<void>): Promise<void> {
  for (let times = 0; ; times++)
    try {
      return await look();
    } catch (error) {
      if (times > 200) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
}
