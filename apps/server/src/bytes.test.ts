import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { freshFolder, removeFolder, startService } from "./service.fixture.js";

const folder = freshFolder();
afterAll(() => removeFolder(folder));

describe("limits in bytes", () => {
  it("hold for 150 runs of 40 nodes with inputs of a megabyte in a heap of 512 MB", () => {
    const bytes = 64 << 20;
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [
        "--expose-gc",
        "--max-old-space-size=512",
        "--conditions=@tessera/source",
        `--import=${new URL("../../setup/sources.mjs", import.meta.url)}`,
        fileURLToPath(new URL("bytes.fixture.ts", import.meta.url)),
        folder,
        "150",
        String(bytes),
      ],
      { encoding: "utf8" },
    );
    expect([status, status === 0 ? "" : stderr]).toEqual([0, ""]);
    const { heaps, disk, left } = JSON.parse(stdout) as { heaps: number[]; disk: number; left: number };
    const at50 = heaps[4]!;
    expect(Math.abs(heaps.at(-1)! - at50)).toBeLessThan(0.05 * at50);
    expect(disk).toBeLessThan(bytes);
    expect(left).toBeGreaterThan(5); // as many as fit
  });
});

describe("a long value in events", () => {
  const own = freshFolder();
  let service: Awaited<ReturnType<typeof startService>>;
  beforeAll(async () => {
    service = await startService(own);
  });
  afterAll(async () => {
    await service.server.close();
    removeFolder(own);
  });

  it("is named, and given to who may see the run; no other run gives it", async () => {
    const { headers } = await service.key();
    const query = "long ".repeat(2000);
    const start = async (payload: object) =>
      (await service.server.inject({ method: "POST", url: "/flows/echo/runs", headers, payload })).json();
    const run = await start({ input: { query } });
    expect(run.input.query).toBe(query);
    const other = await start({ input: { query: "short" } });
    const get = (url: string, as = headers) => service.server.inject({ url, headers: as });
    const { events } = (await get(`/runs/${run.id}`)).json();
    const [begin] = events;
    expect(begin).toMatchObject({ type: "flow-start", data: { input: { query: { bytes: query.length + 2 } } } });
    const hash = begin.data.input.query.$value;
    expect((await get(`/runs/${run.id}/values/${hash}`)).json()).toBe(query);
    expect((await get(`/runs/${other.id}/values/${hash}`)).statusCode).toBe(404);
    const stranger = await service.key();
    expect((await get(`/runs/${run.id}/values/${hash}`, stranger.headers)).statusCode).toBe(404);
  });
});
