import { describe, expect, it } from "@jest/globals";
import { ran, release, serviceForEachTest, startService } from "./service.fixture.js";

const own = serviceForEachTest();

const post = (url: string, payload: object, headers: object) =>
  own.service.server.inject({ method: "POST", url, payload, headers: { ...headers } });
const run = (flow: string, payload: object, headers: object) => post(`/flows/${flow}/runs`, payload, headers);

describe("one Idempotency-Key", () => {
  it("of fifty requests at once is one run and takes one place, also of a key that has one place", async () => {
    for (const concurrency of [1, 16]) {
      const { headers } = await own.service.key({ limits: { concurrency } });
      const keyed = { ...headers, "idempotency-key": "order" };
      const sent = Array.from({ length: 50 }, () => run("hold", { input: { query: "q" } }, keyed));
      const ended = Promise.all(sent);
      // it waits until it is let go: all have come by then
      const letGo = setInterval(release, 20);
      const answers = await ended;
      clearInterval(letGo);
      expect(answers.map(({ statusCode }) => statusCode)).toEqual(Array(50).fill(200));
      expect(new Set(answers.map((one) => one.json().id)).size).toBe(1);
      expect(ran).toHaveLength(1);
      ran.length = 0;
      // the one place is free again
      expect((await run("echo", { input: { query: "next" } }, headers)).statusCode).toBe(200);
      ran.length = 0;
    }
  });

  it("of fifty requests at once, each other in one thing, answers the same ones alone", async () => {
    const { headers } = await own.service.key({ limits: { concurrency: 1 } });
    const keyed = { ...headers, "idempotency-key": "order" };
    const body = { input: { query: "q" }, seed: 1, budget: { steps: 5 } };
    const other = [
      { ...body, seed: 2 },
      { ...body, budget: { steps: 4 } },
      { ...body, input: { query: "r" } },
    ];
    const first = await run("echo", body, { ...keyed, prefer: "respond-async" });
    const answers = await Promise.all(other.flatMap((one) => [run("echo", one, keyed), run("echo", body, keyed)]));
    expect(first.statusCode).toBe(202);
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([409, 200, 409, 200, 409, 200]);
    expect(ran).toEqual(["q"]);
  });

  it.each<[string, object, object, number]>([
    ["the same", { seed: 0 }, {}, 200],
    ["no budget in another way", { budget: {} }, {}, 200],
    ["another seed", {}, { seed: 1 }, 409],
    ["a seed left out", { seed: 1 }, {}, 409],
    ["another budget", { budget: { calls: 3 } }, { budget: { calls: 4 } }, 409],
    ["a budget left out", { budget: { calls: 3 } }, {}, 409],
    ["a budget added", {}, { budget: { tokens: 100 } }, 409],
  ])("with %s, also after a restart", async (_, first, second, status) => {
    const { headers } = await own.service.key({ limits: { callsPerDay: 100, tokensPerDay: 1000 } });
    const keyed = { ...headers, "idempotency-key": "order" };
    const input = { query: "q" };
    expect((await run("echo", { input, ...first }, keyed)).statusCode).toBe(200);
    const again = async () => {
      const answer = await run("echo", { input, ...second }, keyed);
      expect([answer.statusCode, answer.json().code]).toEqual([status, status === 409 ? "CONFLICT" : undefined]);
    };
    await again();
    await own.service.server.close();
    own.service = await startService(own.folder);
    await again();
    expect(ran).toEqual(["q"]);
  });

  it("with another flow is a conflict; the keys of another principal are others", async () => {
    const ann = await own.service.key({ principal: { id: "ann" } });
    const bob = await own.service.key({ principal: { id: "bob" } });
    const key = { "idempotency-key": "order" };
    const body = { input: { query: "q" } };
    const { id } = (await run("echo", body, { ...ann.headers, ...key })).json();
    expect((await run("twice", body, { ...ann.headers, ...key })).json()).toMatchObject({ code: "CONFLICT" });
    expect((await run("echo", body, { ...bob.headers, ...key })).json().id).not.toBe(id);
  });
});

describe("a run that ended by its budget", () => {
  const body = { input: { query: "q" }, budget: { steps: 1 } };

  it("goes on with a larger one, behind its finished steps, and its key stays its key", async () => {
    const { headers } = await own.service.key({ principal: { id: "ann" } });
    const keyed = { ...headers, "idempotency-key": "order" };
    const ended = (await run("twice", body, keyed)).json();
    expect(ended).toMatchObject({ status: "budget", output: {} });
    const resume = (payload: object) => post(`/runs/${ended.id}/resume`, payload, headers);
    for (const budget of [undefined, { steps: 1 }, { steps: 0 }]) {
      const refused = await resume({ ...(budget && { budget }) });
      expect([refused.statusCode, refused.json().code]).toEqual([409, "CONFLICT"]);
      expect(refused.json().hint).toMatch(/larger/);
    }
    const larger = await run("twice", { ...body, budget: { steps: 10 } }, keyed);
    expect([larger.statusCode, larger.json().hint]).toEqual([409, expect.stringMatching(/resume/)]);
    const resumed = await resume({ budget: { steps: 10 } });
    expect([resumed.statusCode, resumed.json().status]).toEqual([200, "running"]);
    expect(await own.service.runs.settled(ended.id)).toMatchObject({
      status: "done",
      output: { text: "said said q to ann to ann" },
      spent: { steps: 2 },
    });
    expect(ran).toEqual(["q", "said q to ann"]);
    expect((await run("twice", body, keyed)).json()).toMatchObject({ id: ended.id, status: "done" });
    const again = await resume({ budget: { steps: 20 } });
    expect([again.statusCode, again.json().code]).toEqual([409, "CONFLICT"]);
  });

  it("is taken up once by twenty who ask at once, in one place", async () => {
    const { headers } = await own.service.key({ limits: { concurrency: 1 } });
    const { id } = (await run("twice", body, headers)).json();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => post(`/runs/${id}/resume`, { budget: { steps: 2 } }, headers)),
    );
    expect(answers.map(({ statusCode }) => statusCode).sort()).toEqual([200, ...Array(19).fill(409)]);
    expect((await own.service.runs.settled(id)).status).toBe("done");
    expect(ran).toHaveLength(2);
    expect((await run("echo", { input: { query: "next" } }, headers)).statusCode).toBe(200);
  });

  it("refuses a budget that is none", async () => {
    const { headers } = await own.service.key();
    const { id } = (await run("twice", body, headers)).json();
    for (const budget of [{ steps: -1 }, { steps: 1.5 }, { other: 1 }, 3])
      expect((await post(`/runs/${id}/resume`, { budget }, headers)).json()).toMatchObject({ code: "BAD_ARGUMENT" });
  });
});
