import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { oldFolder, oldToken } from "./old-folder.fixture.js";
import { freshFolder, ran, removeFolder, startService } from "./service.fixture.js";

let folder: string;
beforeEach(() => {
  folder = freshFolder();
  for (const [name, content] of Object.entries(oldFolder)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
});
afterEach(() => removeFolder(folder));

const id = "c742b5865fd5c0f91f8344b16d0f0be954dd9107a55dca00ccd766a22c4a6360";
const headers = { authorization: `Bearer ${oldToken}` };

describe("a folder that a service of cf1deb2 left", () => {
  it("opens with its runs, events, records, keys, indexes and flows, and again after that", async () => {
    for (const life of ["first", "second"]) {
      const { server, runs } = await startService(folder);
      const get = async (url: string) => (await server.inject({ url, headers })).json();
      const run = await get(`/runs/${id}`);
      expect([life, run.status, run.output.text]).toEqual([life, "done", "said q to ann"]);
      expect(run.events.map(({ sequence }: { sequence: number }) => sequence)).toEqual([1, 2, 3, 4, 5, 6]);
      expect(Object.keys(await runs.records(id))).toHaveLength(1);
      expect((await runs.list({ limit: 9 })).some((one) => one.id === id)).toBe(true);
      const found = await server.inject({
        method: "POST",
        url: "/flows/find/runs",
        headers,
        payload: { input: { query: "yellow" } },
      });
      expect(found.json().output.hits.map((hit: { passage: { id: string } }) => hit.passage.id)).toEqual(["a"]);
      // one Idempotency-Key is one run, also across the change of layout
      ran.length = 0;
      const same = await server.inject({
        method: "POST",
        url: "/flows/echo/runs",
        headers: { ...headers, "idempotency-key": "one" },
        payload: { input: { query: "q" } },
      });
      expect([same.statusCode, same.json().id, ran.length]).toEqual([200, id, 0]);
      await server.close();
      if (life === "first")
        expect(["runs", "budgets.json"].map((name) => existsSync(join(folder, name)))).toEqual([false, false]);
    }
  });

  it("that is damaged says which file", async () => {
    const name = "indexes/docs.jsonl";
    writeFileSync(join(folder, name), readFileSync(join(folder, name), "utf8").replace("upsert", "upser"));
    await expect(startService(folder)).rejects.toMatchObject({ code: "INDEX_CORRUPT", path: join(folder, name) });
  });
});
