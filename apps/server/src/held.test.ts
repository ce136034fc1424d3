import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import { find, freshFolder, release, removeFolder, startService } from "./service.fixture.js";

let folder: string;
let service: Awaited<ReturnType<typeof startService>>;
beforeEach(async () => {
  folder = freshFolder();
  service = await startService(folder);
});
afterEach(async () => {
  await service.server.close();
  removeFolder(folder);
});

/** Every file of the folder with its content, but the lock. */
const files = (): Record<string, string> =>
  Object.fromEntries(
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((name) => name !== "lock" && statSync(join(folder, name)).isFile())
      .sort()
      .map((name) => [name, readFileSync(join(folder, name), "utf8")]),
  );

describe("a service that lost its folder to another process", () => {
  it("writes nothing more in it: no run, step, event, budget, flow or index", async () => {
    const warnings = jest.spyOn(process, "emitWarning").mockImplementation(() => {});
    const { headers } = await service.key({
      scopes: ["run", "flows", "indexes"],
      limits: { callsPerDay: 100 },
    });
    const call = async (method: "PUT" | "POST" | "DELETE", url: string, payload?: object) => {
      const answer = await service.server.inject({ method, url, headers, ...(payload && { payload }) });
      return [answer.statusCode, answer.body && answer.json().code];
    };
    const passages = { passages: [{ id: "a", text: "bananas" }] };
    await call("PUT", "/indexes/docs");
    await call("POST", "/indexes/docs/passages", passages);
    expect((await call("PUT", "/flows/find", find))[0]).toBe(201);
    const inject = (flow: string) =>
      service.server.inject({
        method: "POST",
        url: `/flows/${flow}/runs`,
        headers: { ...headers, prefer: "respond-async" },
        payload: { input: { query: "q" } },
      });
    const { id: done } = (await inject("echo")).json();
    await service.runs.settled(done);
    const { id: held } = (await inject("hold")).json();
    while (Object.keys(await service.runs.records(held)).length === 0) await new Promise((next) => setTimeout(next, 5));
    await new Promise((next) => setTimeout(next, 200)); // its events are written

    const other = JSON.stringify({ token: "another", pid: 1, host: "another", started: null });
    writeFileSync(join(folder, "lock"), other);
    const before = files();
    const refused = [409, "INDEX_LOCKED"];
    expect(await call("POST", "/flows/echo/runs", { input: { query: "q" } })).toEqual(refused);
    expect(await call("POST", `/runs/${held}/resume`)).toEqual([409, "CONFLICT"]);
    expect(await call("PUT", "/indexes/more")).toEqual(refused);
    expect(await call("POST", "/indexes/docs/passages", passages)).toEqual(refused);
    expect(await call("POST", "/indexes/docs/passages/delete", { ids: ["a"] })).toEqual(refused);
    expect(await call("PUT", "/flows/find", { ...find, output: {} })).not.toEqual([201, undefined]);
    expect(await call("PUT", "/flows/again", { ...find, name: "again" })).toEqual(refused);
    expect(await call("DELETE", "/flows/find")).toEqual(refused);
    release();
    // the step ends, and cannot be recorded: so does the run
    const ended = await service.runs.settled(held);
    expect(ended).toMatchObject({ status: "failed", error: { code: "INDEX_LOCKED" } });
    await expect(service.runs.prune({ runs: 0, ageMs: 0 })).rejects.toMatchObject({ code: "INDEX_LOCKED" });
    await service.server.close();
    expect(files()).toEqual(before);
    expect(readFileSync(join(folder, "lock"), "utf8")).toBe(other); // and leaves the other's lock
    expect(warnings.mock.calls.map(([said]) => String(said))).toEqual(
      expect.arrayContaining([expect.stringContaining("another process took")]),
    );
    // what was refused has changed nothing here either
    warnings.mockRestore();
  });
});
