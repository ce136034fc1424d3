// what the service charges a key for: budgets are given by the meter, none is asked for
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { flow, operator, text } from "@tessera/core";
import { z } from "zod";
import { serve } from "./serve.js";
import { freshFolder, removeFolder } from "./service.fixture.js";

let folder: string;
beforeEach(() => {
  folder = freshFolder();
});
afterEach(() => removeFolder(folder));

const turns = async (count: number) => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};
const about = { module: "generation", submodule: "test", summary: "Calls." } as const;
let calls = 0;
/** Makes its calls one after the other, each reported when it is made. */
const asks = operator({
  name: "test.asks",
  version: 1,
  about,
  config: z.strictObject({ calls: z.int().default(1), hangs: z.boolean().default(false) }),
  ports: { input: { value: text }, output: { value: text } },
  bound: ({ calls }) => ({ calls, tokens: 0 }),
  setup:
    ({ calls: count, hangs }) =>
    async ({ value }, { spend }) => {
      for (let left = count; left > 0; left--) {
        calls++;
        if (hangs) await new Promise(() => {});
        spend({ calls: 1 });
        await turns(20);
      }
      return { value };
    },
});
const waits = operator({
  name: "test.waits",
  version: 1,
  about,
  config: z.strictObject({}),
  ports: { input: { value: text }, output: { value: text } },
  setup:
    () =>
    async ({ value }) => {
      await turns(5);
      return { value };
    },
});

const verified = flow("verified", { value: "text" }, (f, { value }) => {
  const a = f.node("a", asks({ calls: 2 }), { value });
  const p = f.node("p", waits(), { value });
  return { verified: a.value, text: f.node("b", asks(), { value: p.value }).value };
}).document;
const timed = flow("timed", { value: "text" }, (f, { value }) => {
  f.node(
    "a",
    asks({ hangs: true }),
    { value },
    { policy: { timeoutMs: 20, retry: { attempts: 10 }, onError: "skip" } },
  );
  return { text: value };
}).document;
const flows = { verified, timed: { ...timed, output: { text: { first: ["a.value", { value: "none" }] } } } };

async function service(name: string) {
  const { server, url } = await serve({ folder, flows, operators: [asks, waits] as never, port: 0 });
  const key = async (limits: object) => {
    const { KeyRing } = await import("./keys.js");
    const ring = await KeyRing.open(`${folder}/keys`);
    return (await ring.create({ name: "test", limits })).token;
  };
  const run = async (token: string) => {
    const response = await fetch(`${url}/flows/${name}/runs`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify({ input: { value: "v" } }),
    });
    return { code: response.status, body: (await response.json()) as Record<string, unknown> };
  };
  return { server, key, run };
}

describe("the budget that the service gives a run", () => {
  it("is never used up by a flow that keeps to its bound", async () => {
    const { server, key, run } = await service("verified");
    const { code, body } = await run(await key({}));
    await server.close();
    expect(code).toBe(200);
    expect(body).toMatchObject({ status: "done", output: { verified: "v", text: "v" }, spent: { calls: 3 } });
  });

  it("counts calls of attempts that were timed out against the key's day", async () => {
    calls = 0;
    const { server, key, run } = await service("timed");
    try {
      const token = await key({ callsPerDay: 12 });
      let charged = 0;
      for (let runs = 0; runs < 100 && charged < 12; runs++) {
        const { body } = await run(token);
        charged += (body.spent as { calls: number }).calls;
        // an attempt that was timed out before its work began made no call
        expect(charged).toBe(calls);
      }
      expect(calls).toBe(12);
      expect(await run(token)).toMatchObject({ code: 429, body: { code: "QUOTA_EXHAUSTED" } });
    } finally {
      await server.close();
    }
  });
});
