import { describe, expect, it } from "@jest/globals";
import { serviceForCallers, startService } from "./service.fixture.js";

const heard = { first: ["input.history", { value: "" }] };
const input = { query: "text", history: { optional: "text" } };
const said = { run: "text.template", with: { template: "{query} after [{history}]" } };
const talks = {
  version: 1,
  name: "talks",
  input,
  nodes: { said: { ...said, in: { query: "input.query", history: heard } } },
  output: { text: "said.text" },
};
const asks = {
  version: 1,
  name: "asks",
  input,
  nodes: {
    ask: { run: "flow.wait", with: { answer: "text" }, in: { payload: "input.query" } },
    said: { ...said, in: { query: "ask.answer", history: heard } },
  },
  output: { text: "said.text" },
};

const callers = {
  ann: { principal: { id: "ann" }, scopes: ["run", "flows"] },
  bob: { principal: { id: "bob" }, scopes: ["run"] },
  ops: { principal: { id: "ops" }, scopes: ["run", "operate"] },
  annTalks: { principal: { id: "ann" }, scopes: ["run"], flows: ["talks"] },
};
const { own, call } = serviceForCallers(callers, [talks, asks]);
const say = (who: string, thread: string, query: string, flow = "talks") =>
  call(who, "POST", `/flows/${flow}/runs`, { input: { query }, thread });

describe("the threads of a service", () => {
  it("give a run what was said before, and are listed, read and deleted by whose they are", async () => {
    expect(await say("ann", "t", "one")).toMatchObject({ http: 200, thread: "t", output: { text: "one after []" } });
    const second = await say("ann", "t", "two");
    expect(second.output).toEqual({ text: "two after [user: one\nassistant: one after []]" });
    // another principal has another thread of that id
    expect((await say("bob", "t", "x")).output).toEqual({ text: "x after []" });

    const { threads } = await call("ann", "GET", "/threads");
    expect(threads).toMatchObject([{ id: "t", principal: "ann", turns: 2, flows: ["talks"] }]);
    expect(await call("ann", "GET", "/threads/t")).toMatchObject({
      count: 2,
      turns: [
        { number: 0, user: "one", assistant: "one after []" },
        { number: 1, user: "two", run: second.id },
      ],
    });
    expect((await call("ann", "GET", "/threads/t?before=1&limit=5")).turns).toMatchObject([{ number: 0 }]);
    // those of others are for whoever operates the service
    expect(await call("bob", "GET", "/threads/t?principal=ann")).toMatchObject({ http: 403, code: "FORBIDDEN" });
    expect(await call("ops", "GET", "/threads/t?principal=ann")).toMatchObject({ http: 200, count: 2 });
    expect(await call("ops", "GET", "/threads/t")).toMatchObject({ http: 404 });
    expect(await call("bob", "DELETE", "/threads/t?principal=ann")).toMatchObject({ http: 403 });
    expect(await call("ann", "DELETE", "/threads/t")).toMatchObject({ http: 204 });
    expect(await call("ann", "DELETE", "/threads/t")).toMatchObject({ http: 404 });
    expect(await call("bob", "GET", "/threads/t")).toMatchObject({ http: 200, count: 1 });
    for (const bad of ["/threads?limit=0", "/threads/a%20b", "/threads/t?before=-1", "/threads?after=%00"])
      expect((await call("ann", "GET", bad)).http).toBe(400);
    expect((await say("ann", "../t", "x")).http).toBe(400);
  });

  it("have one run at a time; one that waits has its thread until it ends or is cancelled", async () => {
    const waiting = await say("ann", "w", "really?", "asks");
    expect(waiting).toMatchObject({ http: 200, status: "waiting", thread: "w" });
    const refused = await say("ann", "w", "x");
    expect(refused).toMatchObject({ http: 409, code: "CONFLICT" });
    expect(refused.message).toContain(waiting.id);
    // one that was refused is no run
    expect(
      (await call("ann", "GET", "/runs?limit=1000")).runs.filter((run: { status: string }) => run.status === "failed"),
    ).toEqual([]);
    expect(await call("ann", "GET", "/threads/w")).toMatchObject({ open: { run: waiting.id, flow: "asks" }, count: 0 });
    expect(await call("ann", "POST", `/runs/${waiting.id}/waits/asks%2Fask`, { answer: "yes" })).toMatchObject({
      status: "done",
    });
    expect((await call("ann", "GET", "/threads/w")).turns).toMatchObject([
      { user: "really?", assistant: "yes after []" },
    ]);
    const other = await say("ann", "w", "again?", "asks");
    expect(await call("ann", "POST", `/runs/${other.id}/cancel`)).toMatchObject({ status: "cancelled" });
    expect((await say("ann", "w", "y")).output.text).toContain("assistant: yes after []");
  });

  it("show nothing of other flows to a key that is for some alone", async () => {
    await say("ann", "mixed", "a");
    expect(await call("annTalks", "GET", "/threads/mixed")).toMatchObject({ http: 200 });
    const { id } = await say("ann", "mixed", "secret", "asks");
    await call("ann", "POST", `/runs/${id}/waits/asks%2Fask`, { answer: "secret" });
    expect(await call("annTalks", "GET", "/threads/mixed")).toMatchObject({ http: 404 });
    expect(await say("annTalks", "mixed", "what was it?")).toMatchObject({ http: 403 });
    const { threads } = await call("annTalks", "GET", "/threads");
    expect(threads.map((one: { id: string }) => one.id)).not.toContain("mixed");
  });

  it("go on in /v1, where the new message is sent alone", async () => {
    const chat = (messages: object[], more: object = {}) =>
      call("ann", "POST", "/v1/chat/completions", { model: "talks", messages, ...more });
    const user = (content: string) => ({ role: "user", content });
    const one = await chat([user("one")], { thread: "v" });
    expect(one.choices[0].message.content).toBe("one after []");
    const two = await chat([user("two")], { thread: "v" });
    expect(two.choices[0].message.content).toBe("two after [user: one\nassistant: one after []]");
    expect(await chat([user("one"), { role: "assistant", content: "?" }, user("two")], { thread: "v" })).toMatchObject({
      http: 400,
    });
    expect((await call("ann", "GET", "/threads/v")).count).toBe(2);
  });

  it("an Idempotency-Key gives its run again, and no second turn", async () => {
    const post = () =>
      own.service.server.inject({
        method: "POST",
        url: "/flows/talks/runs",
        headers: { ...own.keys.ann!, "idempotency-key": "once" },
        payload: { input: { query: "one" }, thread: "i" },
      });
    const [a, b] = await Promise.all([post(), post()]);
    expect([a.json().id, a.json().status]).toEqual([b.json().id, b.json().status]);
    expect((await call("ann", "GET", "/threads/i")).count).toBe(1);
  });

  it("stay when the service starts again", async () => {
    await say("ann", "kept", "one");
    await own.service.server.close();
    own.service = await startService(own.folder);
    expect((await say("ann", "kept", "two")).output).toEqual({
      text: "two after [user: one\nassistant: one after []]",
    });
  });
});
