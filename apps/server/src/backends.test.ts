import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { compile } from "@tessera/graph";
import {
  everyKind,
  everyKindInside,
  hasPostgres,
  everyKindInput as input,
  needsForAll,
  PostgresServer,
} from "@tessera/testkit";
import { type KeyRequest, KeyRing } from "./keys.js";
import { find, freshFolder, removeFolder } from "./service.fixture.js";

const sources = new URL("../../setup/sources.mjs", import.meta.url).href;
const program = fileURLToPath(new URL("process.fixture.ts", import.meta.url));

let postgres: PostgresServer | undefined;
let folder: string;
let token: string;
const processes: Service[] = [];

/** A service in a process of its own, asked by HTTP. */
class Service {
  private constructor(
    readonly child: ChildProcess,
    readonly url: string,
  ) {}

  static async start(database: string | undefined, ms: number, env: NodeJS.ProcessEnv = {}): Promise<Service> {
    const flags = ["--conditions=@tessera/source", `--import=${sources}`, "--disable-warning=DeprecationWarning"];
    const child = spawn(process.execPath, [...flags, program, folder, String(ms), ...(database ? [database] : [])], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, ...env },
    });
    const [said] = await Promise.race([
      once(child.stdout!, "data"),
      once(child, "exit").then(() => Promise.reject(new Error("the service did not start"))),
    ]);
    const service = new Service(child, String(said).trim());
    processes.push(service);
    return service;
  }

  async end(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = once(this.child, "exit");
    this.child.kill(signal);
    await ended;
  }

  fetch(method: string, path: string, body?: object, headers: object = {}): Promise<Response> {
    return fetch(`${this.url}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body && { "content-type": "application/json" }), ...headers },
      ...(body && { body: JSON.stringify(body) }),
    });
  }

  // biome-ignore lint/suspicious/noExplicitAny: whatever the service says
  async ask(method: string, path: string, body?: object, headers?: object): Promise<any> {
    const response = await this.fetch(method, path, body, headers);
    const answer = response.status === 204 ? {} : ((await response.json()) as object);
    return { ...answer, http: response.status };
  }

  async begin(flow: string, body: object, headers: object = {}): Promise<string> {
    const { id, http } = await this.ask("POST", `/flows/${flow}/runs`, body, { prefer: "respond-async", ...headers });
    expect(http).toBe(202);
    return id;
  }

  async until(id: string, holds: (run: Awaited<ReturnType<Service["ask"]>>) => boolean) {
    for (;;) {
      const run = await this.ask("GET", `/runs/${id}`);
      if (holds(run)) return run;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

const hasEnded = ({ status }: { status: string }) => status !== "running";
const ran = (): string[] =>
  existsSync(join(folder, "ran")) ? readFileSync(join(folder, "ran"), "utf8").trim().split("\n") : [];

async function undisturbed(): Promise<unknown> {
  const { flows, operators } = everyKind({ ms: 0, note: () => {} });
  return (await (await compile(flows.every, { operators })).run(input, { seed: 7 })).output;
}

beforeAll(async () => {
  if (hasPostgres) postgres = await PostgresServer.start();
});
afterAll(() => postgres?.remove());

/** A folder with a key, for the services of a suite. */
function withFolder(): void {
  beforeAll(async () => {
    folder = freshFolder();
    token = await newKey({ principal: { id: "ann" }, scopes: ["run", "flows", "indexes"] });
  });
  afterAll(async () => {
    for (const service of processes.splice(0)) await service.end("SIGKILL");
    removeFolder(folder);
  });
}

async function newKey(request: Partial<KeyRequest>): Promise<string> {
  const keys = await KeyRing.open(join(folder, "keys"));
  return (await keys.create({ name: "test", ...request })).token;
}

const onPostgres = needsForAll(hasPostgres, "PostgreSQL is not installed");
const isNodeStart = ({ type }: { type: string }) => type === "node-start";

for (const [name, suite, database] of [
  ["disk", describe, () => undefined],
  ["PostgreSQL", onPostgres, () => postgres!.url],
] as const)
  suite(`a service on ${name}`, () => {
    let service: Service;
    withFolder();
    beforeAll(async () => {
      service = await Service.start(database(), 60);
    });

    async function restart(signal: "SIGKILL" | "SIGTERM", between = () => {}): Promise<void> {
      await service.end(signal);
      between();
      service = await Service.start(database(), 60);
    }

    it("killed in the middle of a run: the next process ends it, and no finished step runs again", async () => {
      const id = await service.begin("every", { input, seed: 7 });
      await service.until(id, ({ records }) => Object.keys(records).some((path) => everyKindInside.repeat.test(path)));
      let finished: string[] = [];
      await restart("SIGKILL", () => {
        finished = ran();
        rmSync(join(folder, "ran"));
      });
      if (!database()) {
        const { status, records, spent } = await service.ask("GET", `/runs/${id}`);
        expect([status, spent.steps]).toEqual(["interrupted", Object.keys(records).length]);
        finished = finished.filter((path) => path in records); // of the last one the record may be missing
        expect(await service.ask("POST", `/runs/${id}/resume`)).toMatchObject({ http: 200, status: "running" });
      }
      expect(finished.length).toBeGreaterThan(0);
      const run = await service.until(id, hasEnded);
      expect([run.status, run.output]).toEqual(["done", await undisturbed()]);
      // what was in flight may have ended before the kill, without its record
      expect(ran().filter((path) => finished.includes(path)).length).toBeLessThanOrEqual(database() ? 3 : 0);
      expect(new Set(ran()).size).toBe(ran().length);
      // the events of both processes, numbered through
      expect(run.events.map(({ sequence }: { sequence: number }) => sequence)).toEqual(
        run.events.map((_: unknown, index: number) => index + 1),
      );
      expect(run.events.at(-1).type).toBe("flow-end");
    });

    it("cancels a run and takes it up again behind its last finished step", async () => {
      const id = await service.begin("every", { input, seed: 7 });
      await service.until(id, ({ records }) => Object.keys(records).length > 1);
      const cancelled = await service.ask("POST", `/runs/${id}/cancel`);
      expect(cancelled).toMatchObject({ http: 200, status: "cancelled", error: { code: "ABORTED" } });
      expect(await service.ask("POST", `/runs/${id}/cancel`)).toMatchObject({ http: 409, code: "CONFLICT" });
      await new Promise((resolve) => setTimeout(resolve, 200));
      const finished = Object.keys((await service.ask("GET", `/runs/${id}`)).records);
      rmSync(join(folder, "ran"));
      expect(await service.ask("POST", `/runs/${id}/resume`)).toMatchObject({ http: 200, status: "running" });
      const run = await service.until(id, hasEnded);
      expect([run.status, run.output]).toEqual(["done", await undisturbed()]);
      expect(ran().filter((path) => finished.includes(path))).toEqual([]);
      expect(await service.ask("POST", `/runs/${id}/resume`)).toMatchObject({ http: 409, code: "CONFLICT" });
    });

    it("fifty requests at once of one Idempotency-Key are one run and one place, and what differs is a conflict", async () => {
      const own = token;
      token = await newKey({ principal: { id: "one" }, limits: { concurrency: 1 } });
      const key = { "idempotency-key": "fifty" };
      const body = { input: { query: "hi" }, seed: 3, budget: { steps: 5 } };
      const ask = (more: object) => service.ask("POST", "/flows/ask/runs", { ...body, ...more }, key);
      const answers = await Promise.all(Array.from({ length: 50 }, () => ask({})));
      expect(answers.map(({ http }) => http)).toEqual(Array(50).fill(200));
      expect(new Set(answers.map(({ id }) => id)).size).toBe(1);
      for (const other of [{ seed: 4 }, { budget: { steps: 6 } }, { budget: undefined }, { input: { query: "ho" } }])
        expect(await ask(other)).toMatchObject({ http: 409, code: "CONFLICT" });
      token = own;
    });

    it("a run that ended by its budget goes on with a larger one, and no finished step runs again", async () => {
      rmSync(join(folder, "ran"), { force: true });
      const key = { "idempotency-key": "budget" };
      const body = { input, seed: 7, budget: { steps: 3 } };
      const ended = await service.ask("POST", "/flows/every/runs", body, key);
      expect(ended).toMatchObject({ http: 200, status: "budget" });
      const resume = (budget?: object) => service.ask("POST", `/runs/${ended.id}/resume`, { budget });
      expect(await resume({ steps: 3 })).toMatchObject({ http: 409, code: "CONFLICT" });
      expect(await resume()).toMatchObject({ http: 409, code: "CONFLICT" });
      expect(await resume({ steps: 1000 })).toMatchObject({ http: 200, status: "running" });
      const run = await service.until(ended.id, hasEnded);
      expect([run.status, run.output]).toEqual(["done", await undisturbed()]);
      expect(new Set(ran()).size).toBe(ran().length);
      expect(await service.ask("POST", "/flows/every/runs", body, key)).toMatchObject({ id: ended.id, status: "done" });
    });

    it("goes on with a new version of an operator where that is asked for, and does nothing again that is finished", async () => {
      const { id, http } = await service.ask(
        "POST",
        "/flows/grow/runs",
        { input: { query: "q" } },
        { "idempotency-key": "grow" },
      );
      expect(http).toBe(500);
      await service.end("SIGTERM");
      rmSync(join(folder, "ran"));
      service = await Service.start(database(), 60, { TEST_VERSION: "2" });
      const [run] = (await service.ask("GET", "/runs?limit=1")).runs;
      const resume = (body: object) => service.ask("POST", `/runs/${run.id}/resume`, body);
      expect([run.flow, run.status, id]).toEqual(["grow", "failed", undefined]);
      expect(await resume({})).toMatchObject({ http: 200, status: "running" });
      const refused = await service.until(run.id, hasEnded);
      expect(refused).toMatchObject({ status: "failed", error: { code: "CONFLICT" } });
      expect(refused.error.message).toContain("version 1 of test.versioned, which is 2 by now");
      expect(ran()).toEqual([]);
      expect(await resume({ acceptChanges: true })).toMatchObject({ http: 200, status: "running" });
      expect(await service.until(run.id, hasEnded)).toMatchObject({ status: "done", output: { text: "q 1 2" } });
      expect(ran()).toEqual(["grow/last 2"]);
    });

    it("a run that waits or sleeps outlives kills, is answered once, and wakes by itself", async () => {
      const nod = {
        version: 1,
        name: "nod",
        input: { topic: "text", ms: "number" },
        nodes: {
          draft: { run: "text.template", with: { template: "About {topic}." }, in: { topic: "input.topic" } },
          ask: { run: "flow.wait", with: { answer: { choice: ["yes", "no"] } }, in: { payload: "draft.text" } },
          nap: { run: "flow.sleep", in: { value: "draft.text", ms: "input.ms" } },
          end: {
            run: "text.template",
            with: { template: "{slept} {answer}" },
            in: { slept: "nap.value", answer: "ask.answer" },
          },
        },
        output: { text: "end.text" },
      };
      expect(await service.ask("PUT", "/flows/nod", nod)).toMatchObject({ http: 201 });
      const id = await service.begin("nod", { input: { topic: "tea", ms: 700 } });
      const wait = {
        path: "nod/ask",
        kind: "answer",
        payload: "About tea.",
        schema: { type: "string", enum: ["yes", "no"] },
      };
      const first = await service.until(id, hasEnded);
      expect(first).toMatchObject({ status: "waiting", waits: [wait, { path: "nod/nap", kind: "time" }] });
      await restart("SIGKILL");
      const isAwake = ({ status, waits = [] }: { status: string; waits: unknown[] }) =>
        status === "waiting" && waits.length === 1;
      await service.until(id, isAwake); // it has woken by itself, and waits for the answer alone
      const { runs } = await service.ask("GET", "/runs?state=waiting");
      expect(runs).toMatchObject([{ id, flow: "nod", status: "waiting", waits: [wait] }]);
      const answer = (value: unknown, headers = {}) =>
        service.ask("POST", `/runs/${id}/waits/${encodeURIComponent("nod/ask")}`, { answer: value }, headers);
      expect(await answer("perhaps")).toMatchObject({ http: 400, code: "BAD_INPUT" });
      expect(await service.ask("POST", `/runs/${id}/waits/nod%2Faks`, { answer: "yes" })).toMatchObject({ http: 404 });
      expect(await answer("yes", { prefer: "respond-async" })).toMatchObject({ http: 202 });
      await restart("SIGKILL");
      const run = await service.until(id, ({ status }) => status === "done");
      expect(run.output).toEqual({ text: "About tea. yes" });
      expect(await answer("no")).toMatchObject({ http: 409, code: "CONFLICT" });
      expect((await service.ask("GET", "/runs?state=waiting")).runs).toEqual([]);
      // answered at once, and cancelled while it waits
      const other = await service.begin("nod", { input: { topic: "milk", ms: 0 } });
      await service.until(other, isAwake);
      const cancelled = await service.ask("POST", `/runs/${other}/cancel`);
      expect([cancelled.http, cancelled.status, cancelled.waits]).toEqual([200, "cancelled", undefined]);
      const third = await service.begin("nod", { input: { topic: "rum", ms: 0 } });
      await service.until(third, isAwake);
      expect(await service.ask("POST", `/runs/${third}/waits/nod%2Fask`, { answer: "no" })).toMatchObject({
        http: 200,
        status: "done",
        output: { text: "About rum. no" },
      });
    });

    describe("after a restart", () => {
      const once = { "idempotency-key": "order-1" };
      const order = (query: string) => service.ask("POST", "/flows/ask/runs", { input: { query } }, once);
      let budgeted: string;
      /** Two calls, as the key with a budget of six a day. */
      const spend = async (query: string) => {
        const own = token;
        token = budgeted;
        const { http, code } = await service.ask("POST", "/flows/ask/runs", { input: { query } });
        token = own;
        return code ? `${http} ${code}` : http;
      };
      let run: Awaited<ReturnType<typeof order>>;
      let streamed: string;
      let before: typeof run;

      beforeAll(async () => {
        let other: typeof run;
        [run, other] = await Promise.all([order("hi"), order("hi")]);
        expect(other).toEqual(run);
        before = await service.ask("GET", `/runs/${run.id}`);
        const accept = { accept: "text/event-stream" };
        const stream = await service.fetch(
          "POST",
          "/flows/ask/runs",
          { input: { query: "hi" } },
          { ...once, ...accept },
        );
        streamed = await stream.text();
        budgeted = await newKey({ limits: { callsPerDay: 6 } });
        expect(await spend("well")).toBe(200);
        expect(await spend("fail")).toBe("500 NODE_FAILED");
        await restart("SIGTERM");
      });

      it("a run is shown as before: its state, events and records", async () => {
        expect(before).toMatchObject({ status: "done", output: { text: "said hi" }, spent: { calls: 2, tokens: 10 } });
        expect(before.events.map(({ type }: { type: string }) => type)).toEqual(
          expect.arrayContaining(["flow-start", "node-start", "node-delta", "output-delta", "node-end", "flow-end"]),
        );
        expect(Object.keys(before.records)).toEqual(["ask/ask"]);
        expect(await service.ask("GET", `/runs/${run.id}`)).toEqual(before);
        expect((await service.ask("GET", "/runs")).runs.map(({ id }: { id: string }) => id)).toContain(run.id);
      });

      it("its stream goes on behind Last-Event-ID", async () => {
        const types = [...streamed.matchAll(/^event: (.*)$/gm)].map(([, type]) => type);
        expect([types[0], types.at(-1)]).toEqual(["flow-start", "run"]);
        expect(types).toContain("output-delta");
        const rest = await service.fetch("GET", `/runs/${run.id}/events`, undefined, { "last-event-id": "2" });
        expect((await rest.text()).split("\n\n")).toEqual(streamed.split("\n\n").slice(2));
      });

      it("one Idempotency-Key is one run, and another input is a conflict", async () => {
        expect(await order("hi")).toEqual(run);
        expect(await order("ho")).toMatchObject({ http: 409, code: "CONFLICT" });
        expect((await service.ask("GET", `/runs/${run.id}`)).events.filter(isNodeStart)).toHaveLength(1);
      });

      it("what a key has spent today is known, of runs that failed too", async () => {
        expect(await spend("well")).toBe(200);
        expect(await spend("well")).toBe("429 QUOTA_EXHAUSTED");
      });
    });
  });

onPostgres("services that share a database", () => {
  let one: Service;
  let other: Service;
  withFolder();
  beforeAll(async () => {
    [one, other] = await Promise.all([Service.start(postgres!.url, 60), Service.start(postgres!.url, 60)]);
  });

  it("a run handed to one is seen, streamed and cancelled at the other; the same key is the same run", async () => {
    const key = { "idempotency-key": "shared" };
    const body = { input, seed: 7 };
    const [a, b] = await Promise.all([one.begin("every", body, key), other.begin("every", body, key)]);
    expect(a).toBe(b);
    const stream = await (await other.fetch("GET", `/runs/${a}/events`)).text();
    const [, run] = /^event: run\ndata: (.*)$/m.exec(stream)!;
    expect(JSON.parse(run!)).toMatchObject({ id: a, status: "done", output: await undisturbed() });
    expect(new Set(ran()).size).toBe(ran().length);
    const long = await one.begin("every", { input: { ...input, value: "w" } });
    expect(await other.ask("POST", `/runs/${long}/cancel`)).toMatchObject({ status: "cancelled" });
    expect((await one.until(long, hasEnded)).status).toBe("cancelled");
  });

  it("flows and indexes of one are those of the other within a second, and budgets are one", async () => {
    const aWhile = () => new Promise((resolve) => setTimeout(resolve, 1500));
    expect((await one.ask("PUT", "/indexes/docs")).http).toBe(201);
    const passages = [
      { id: "a", text: "bananas for all" },
      { id: "b", text: "bananas for bob", metadata: { access: ["bob"] } },
    ];
    expect(await one.ask("POST", "/indexes/docs/passages", { passages })).toMatchObject({ passages: 2 });
    expect((await one.ask("PUT", "/flows/find", find)).http).toBe(201);
    await aWhile();
    expect(await other.ask("GET", "/indexes")).toMatchObject({ indexes: [{ name: "docs", passages: 2 }] });
    const found = await other.ask("POST", "/flows/find/runs", { input: { query: "bananas" } });
    expect(found.output.hits.map(({ passage }: { passage: { id: string } }) => passage.id)).toEqual(["a"]);
    expect((await other.ask("DELETE", "/indexes/docs")).code).toBe("CONFLICT");
    expect((await other.ask("DELETE", "/flows/find")).http).toBe(204);
    expect((await other.ask("DELETE", "/indexes/docs")).http).toBe(204);
    await aWhile();
    expect((await one.ask("GET", "/flows/find")).http).toBe(404);
    expect(await one.ask("GET", "/indexes")).toMatchObject({ indexes: [] });
    token = await newKey({ limits: { callsPerDay: 4 } });
    const ask = async (service: Service) =>
      (await service.ask("POST", "/flows/ask/runs", { input: { query: "q" } })).http;
    await aWhile();
    expect([await ask(one), await ask(other), await ask(one)]).toEqual([200, 200, 429]);
  });

  it("a run ends with its key, whoever handed it in or works on it, also where none of them is alive any more", async () => {
    const own = await newKey({ principal: { id: "ann" } });
    token = await newKey({ principal: { id: "ann" } });
    const ring = await KeyRing.open(join(folder, "keys"));
    const revoked = token.split("_")[1]!;
    const begin = (query: string) => one.begin("hold", { input: { query } });
    const [first, second] = await Promise.all([Service.start(postgres!.url, 60), begin("a")]);
    const ids = [second, ...(await Promise.all(["b", "c", "d", "e", "f"].map(begin)))];
    while (ran().filter((line) => line.startsWith("hold/")).length < ids.length)
      await new Promise((resolve) => setTimeout(resolve, 20));
    await one.end("SIGKILL"); // it handed them in, and held their places
    await ring.revoke(revoked);
    token = own;
    for (const id of ids) expect(await other.until(id, hasEnded)).toMatchObject({ id, status: "cancelled" });
    // and where it is revoked while nobody looks
    token = await newKey({ principal: { id: "ann" } });
    const orphan = await first.begin("hold", { input: { query: "orphan" } });
    while (!ran().some((line) => line.endsWith(" orphan"))) await new Promise((resolve) => setTimeout(resolve, 20));
    await Promise.all([first.end("SIGKILL"), other.end("SIGKILL")]);
    await ring.revoke(token.split("_")[1]!);
    token = own;
    [one, other] = await Promise.all([Service.start(postgres!.url, 60), Service.start(postgres!.url, 60)]);
    expect(await one.until(orphan, hasEnded)).toMatchObject({ status: "cancelled", error: { code: "ABORTED" } });
    expect(ran().filter((line) => line.endsWith(" orphan"))).toHaveLength(1);
  });

  it("one is killed: the other, which runs already, ends what it worked on", async () => {
    token = await newKey({});
    await new Promise((resolve) => setTimeout(resolve, 1100));
    const ids = await Promise.all(
      Array.from({ length: 8 }, (_, i) => one.begin("every", { input: { ...input, value: `v${i}` } })),
    );
    await one.until(ids[0]!, ({ records }) => Object.keys(records).length > 1);
    await one.end("SIGKILL");
    for (const id of ids) expect((await other.until(id, hasEnded)).status).toBe("done");
  });
});
