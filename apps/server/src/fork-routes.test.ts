import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { freshFolder, ran, removeFolder, startService } from "./service.fixture.js";

const folder = freshFolder();
let service: Awaited<ReturnType<typeof startService>>;
const keys: Record<string, { authorization: string }> = {};

const drafted = {
  version: 1,
  name: "drafted",
  input: { query: "text" },
  nodes: {
    first: { run: "test.echo", in: { query: "input.query" } },
    draft: { run: "text.template", with: { template: "About {topic}." }, in: { topic: "first.text" } },
    ask: { run: "flow.wait", with: { answer: "text" }, in: { payload: "draft.text" } },
    last: { run: "test.echo", in: { query: "ask.answer" } },
  },
  output: { text: "last.text", draft: "draft.text" },
};

// biome-ignore lint/suspicious/noExplicitAny: whatever the service says
async function call(who: string, method: string, url: string, payload?: object, more: object = {}): Promise<any> {
  const headers = { ...keys[who], ...more };
  const answer = await service.server.inject({ method, url, headers, ...(payload && { payload }) } as never);
  return { ...(answer.payload.startsWith("{") ? answer.json() : { text: answer.payload }), http: answer.statusCode };
}

beforeAll(async () => {
  service = await startService(folder);
  const of = async (id: string, scopes: string[], more: object = {}) =>
    (await service.key({ principal: { id }, scopes, ...more } as never)).headers;
  keys.ann = await of("ann", ["run", "flows"]);
  keys.runs = await of("ann", ["run"]);
  keys.few = await of("ann", ["run", "flows"], { flows: ["echo"] });
  keys.eve = await of("eve", ["run", "flows"]);
  keys.ops = await of("ops", ["run", "flows", "operate"]);
  expect(await call("ann", "PUT", "/flows/drafted", drafted)).toMatchObject({ http: 201 });
});
afterAll(async () => {
  await service.server.close();
  removeFolder(folder);
});

async function done(): Promise<string> {
  const { id } = await call("ann", "POST", "/flows/drafted/runs", { input: { query: "tea" } });
  const answer = await call("ann", "POST", `/runs/${id}/waits/drafted%2Fask`, { answer: "yes" });
  expect(answer).toMatchObject({ http: 200, status: "done", output: { text: "said yes to ann" } });
  ran.length = 0;
  return id;
}

describe("POST /runs/:id/fork", () => {
  it("is described, and runs what follows from another setting, an output and an answer", async () => {
    const { paths } = await call("ann", "GET", "/openapi.json");
    expect(Object.keys(paths)).toEqual(expect.arrayContaining(["/runs/{id}/fork", "/runs/{id}/diff/{other}"]));
    const id = await done();
    const fork = (body: object, who = "ann") => call(who, "POST", `/runs/${id}/fork`, body);
    const answered = await fork({ at: "drafted/ask", answer: "no" });
    expect(answered).toMatchObject({ http: 200, status: "done", output: { text: "said no to ann" } });
    expect(answered.fork).toEqual({ of: id, change: { at: "drafted/ask", answer: "no" } });
    expect(ran).toEqual(["no"]);
    const asked = await fork({ at: "drafted/draft", config: { template: "On {topic}." } });
    expect(asked).toMatchObject({ http: 200, status: "waiting", waits: [{ payload: "On said tea to ann." }] });
    const given = await fork({ at: "drafted/first", output: { text: "milk" } });
    expect(given).toMatchObject({ status: "waiting", waits: [{ payload: "About milk." }] });
    expect(ran).toEqual(["no"]);
    expect(await call("ann", "POST", `/runs/${given.id}/waits/drafted%2Fask`, { answer: "yes" })).toMatchObject({
      status: "done",
      output: { draft: "About milk." },
    });
    const difference = await call("ann", "GET", `/runs/${id}/diff/${given.id}`);
    expect(difference.steps.map(({ path }: { path: string }) => path)).toEqual([
      "drafted/ask",
      "drafted/draft",
      "drafted/first",
    ]);
  });

  it("answers as a run that is started: a stream, 202, and once for an Idempotency-Key", async () => {
    const id = await done();
    const body = { at: "drafted/ask", answer: "no" };
    const stream = await call("ann", "POST", `/runs/${id}/fork`, body, { accept: "text/event-stream" });
    expect(stream.text).toMatch(/event: run\ndata: .*"status":"done"/);
    expect(await call("ann", "POST", `/runs/${id}/fork`, body, { prefer: "respond-async" })).toMatchObject({
      http: 202,
    });
    const once = { "idempotency-key": "one" };
    const [first, second] = [
      await call("ann", "POST", `/runs/${id}/fork`, body, once),
      await call("ann", "POST", `/runs/${id}/fork`, body, once),
    ];
    expect(second).toMatchObject({ http: 200, id: first.id });
    expect(await call("ann", "POST", `/runs/${id}/fork`, { ...body, answer: "x" }, once)).toMatchObject({ http: 409 });
  });

  it("is for whoever may see the run; changes of what a node does or gives need the scope of flows", async () => {
    const id = await done();
    const fork = async (who: string, body: object) => {
      const { http, code, status } = await call(who, "POST", `/runs/${id}/fork`, body);
      return `${http} ${code ?? status}`;
    };
    const answer = { at: "drafted/ask", answer: "no" };
    const config = { at: "drafted/draft", config: { template: "x" } };
    const output = { at: "drafted/first", output: { text: "x" } };
    for (const body of [answer, config, output])
      for (const who of ["eve", "few"]) expect(await fork(who, body)).toBe("404 NOT_FOUND");
    expect(await fork("runs", answer)).toBe("200 done");
    expect(await fork("runs", config)).toBe("403 FORBIDDEN");
    expect(await fork("runs", output)).toBe("403 FORBIDDEN");
    const { id: mine } = await call("ops", "POST", `/runs/${id}/fork`, answer);
    // whoever forks it owns the fork
    expect(await call("ann", "GET", `/runs/${mine}`)).toMatchObject({ http: 404 });
    expect(await call("eve", "GET", `/runs/${id}/diff/${id}`)).toMatchObject({ http: 404 });
    expect(await call("ann", "GET", `/runs/${id}/diff/${mine}`)).toMatchObject({ http: 404 });
  });

  it.each([
    [{ at: "drafted/none", answer: 1 }, 404, "NOT_FOUND"],
    [{ at: "drafted/first", answer: "x" }, 400, "BAD_INPUT"],
    [{ at: "drafted/ask", answer: 7 }, 400, "BAD_INPUT"],
    [{ at: "drafted/first", output: { text: 7 } }, 400, "BAD_INPUT"],
    [{ at: "drafted/draft", config: { nothing: 1 } }, 400, "INVALID_FLOW"],
    [{ at: "drafted/draft", operator: "no.such" }, 400, "INVALID_FLOW"],
    [{ at: "drafted/ask", answer: "x", output: {} }, 400, "BAD_ARGUMENT"],
    [{ at: "drafted/ask", answers: "x" }, 400, "BAD_ARGUMENT"],
  ])("refuses %j, and begins nothing", async (body, http, code) => {
    const id = await done();
    const before = (await call("ann", "GET", "/runs?limit=1000")).runs.length;
    expect(await call("ann", "POST", `/runs/${id}/fork`, body)).toMatchObject({ http, code });
    expect((await call("ann", "GET", "/runs?limit=1000")).runs).toHaveLength(before);
  });

  it("takes what is before from the record after a restart too, and keeps the run that it needs", async () => {
    const id = await done();
    const asked = await call("ann", "POST", `/runs/${id}/fork`, {
      at: "drafted/draft",
      config: { template: "On {topic}." },
    });
    await service.server.close();
    service = await startService(folder);
    await service.runs.prune({ runs: 0, ageMs: 0 });
    const answered = await call("ann", "POST", `/runs/${asked.id}/waits/drafted%2Fask`, { answer: "yes" });
    expect(answered).toMatchObject({
      http: 200,
      status: "done",
      output: { text: "said yes to ann", draft: "On said tea to ann." },
    });
    expect(ran).toEqual([]);
    await service.runs.prune({ runs: 0, ageMs: 0 });
    expect(await call("ann", "GET", `/runs/${id}`)).toMatchObject({ http: 404 });
  });
});
