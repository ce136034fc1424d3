import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import { operator, text } from "@tessera/core";
import { z } from "zod";
import { freshFolder, operators, ran, removeFolder, startService } from "./service.fixture.js";

let folder: string;
beforeEach(() => {
  folder = freshFolder();
});
afterEach(() => {
  jest.restoreAllMocks();
  removeFolder(folder);
});

/** The operator "test.hold" of a later version, which waits for nothing. */
const raised = operator({
  name: "test.hold",
  version: 2,
  about: { module: "data", submodule: "test", summary: "For tests." },
  config: z.strictObject({}),
  ports: { input: { query: text }, output: { text } },
  setup:
    () =>
    ({ query }) => ({ text: `${query}, raised` }),
});

describe("a run whose operator has another version by now", () => {
  it("is refused, until whoever resumes it accepts the change; finished steps stand", async () => {
    jest.spyOn(process, "emitWarning").mockImplementation(() => {});
    let service = await startService(folder, { closeWithin: 0 });
    const { headers } = await service.key();
    const post = (url: string, payload?: object, more: object = {}) =>
      service.server.inject({ method: "POST", url, headers: { ...headers, ...more }, ...(payload && { payload }) });
    const begun = await post("/flows/hold/runs", { input: { query: "q" } }, { prefer: "respond-async" });
    const { id } = begun.json();
    while (Object.keys(await service.runs.records(id)).length === 0) await new Promise((go) => setTimeout(go, 2));
    await service.server.close();
    ran.length = 0;
    service = await startService(folder, {
      operators: operators.map((one) => (one.name === raised.name ? raised : one)),
    });

    expect((await post(`/runs/${id}/resume`, { acceptChanges: "yes" })).json()).toMatchObject({ code: "BAD_ARGUMENT" });
    for (const payload of [{}, { acceptChanges: false }]) {
      expect((await post(`/runs/${id}/resume`, payload)).statusCode).toBe(200);
      expect(await service.runs.settled(id)).toMatchObject({ status: "failed", error: { code: "CONFLICT" } });
    }
    const resumed = await post(`/runs/${id}/resume`, { acceptChanges: true });
    expect(resumed.json()).toMatchObject({ id, status: "running", acceptChanges: true });
    const output = { text: expect.stringMatching(/^said q to .*, raised$/) };
    expect(await service.runs.settled(id)).toMatchObject({ status: "done", output });
    expect(ran).toEqual([]);
    await service.server.close();
  });
});
