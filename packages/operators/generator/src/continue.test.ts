import { describe, expect, it } from "@jest/globals";
import type { Capability, Hit } from "@tessera/core";
import { hostOf, runOperator, scriptedModel, testOperator } from "@tessera/testkit";
import { continuation } from "./continue.js";

const hits: Hit[] = [{ passage: { id: "a", text: "It waits.", metadata: {} }, score: 1, provenance: [] }];
const run = async (said: string, config: object = {}, draft?: string, capabilities: Capability[] = []) => {
  const model = scriptedModel(() => said, { capabilities });
  const output = await runOperator(
    continuation,
    { model: "writer", ...config },
    { query: "Why?", hits, ...(draft !== undefined && { draft }) },
    { host: hostOf({ "model/writer": model }) },
  );
  return { ...output, request: model.requests[0]! } as Record<string, unknown> & {
    request: (typeof model.requests)[0];
  };
};

testOperator(continuation, {
  host: () => hostOf({ "model/writer": scriptedModel(() => " Then it stops. And more.") }),
  cases: [
    {
      name: "adds one sentence",
      config: { model: "writer" },
      input: { query: "Why?", draft: "It waits.", hits },
      output: { text: "Then it stops.", draft: "It waits. Then it stops.", done: false },
    },
    {
      name: "begins without a draft and passages",
      config: { model: "writer" },
      input: { query: "Why?" },
      output: { text: "Then it stops.", draft: "Then it stops.", done: false },
    },
  ],
});

describe("generator.continue", () => {
  it.each(["END", " end".toUpperCase(), "**END**.", "", "  \n", "NO ANSWER"])(
    "%j ends the answer as it is",
    async (said) => {
      expect(await run(said, {}, "It waits.")).toMatchObject({ text: "", draft: "It waits.", done: true });
    },
  );

  it("is done where the sentence says so", async () => {
    const config = { until: "answer is" };
    expect(await run("So the Answer is 42. More.", config)).toMatchObject({ text: "So the Answer is 42.", done: true });
    expect(await run("It might be 42.", config)).toMatchObject({ done: false });
  });

  it("lets a model that can go on from the draft itself, and ends when it does", async () => {
    const one = await run(" Then it stops. And more.", {}, "It waits.", ["prefix"]);
    expect(one).toMatchObject({ text: "Then it stops.", done: false });
    expect(one.request.prefix).toBe("It waits.");
    expect(one.request.messages[1]!.content).not.toContain("<draft-");
    expect(await run(" Then it stops.", {}, "It waits.", ["prefix"])).toMatchObject({ done: true });
  });

  it("shows the draft, fenced, to one that cannot", async () => {
    const { request } = await run("Then it stops.", {}, "It waits.");
    expect(request.prefix).toBeUndefined();
    expect(request.messages[1]!.content).toMatch(/<draft-[0-9a-f]{8} number="1">\nIt waits\.\n/);
  });

  it("gives the tokens of the sentence alone", async () => {
    const { tokens } = await run("Then it stops. And more.", { logprobs: true }, "", ["logprobs"]);
    expect((tokens as { text: string }[]).map(({ text }) => text)).toEqual(["Then", " it", " stops."]);
    await expect(run("x", { logprobs: true })).rejects.toMatchObject({ code: "MISSING_CAPABILITY" });
  });
});
