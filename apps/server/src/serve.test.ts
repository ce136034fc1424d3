import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { flow } from "@tessera/core";
import { serve } from "./serve.js";
import { flows, freshFolder, removeFolder } from "./service.fixture.js";

let folder: string;
beforeEach(() => {
  folder = freshFolder();
});
afterEach(() => removeFolder(folder));

const begin = () => serve({ folder, flows: {}, port: 0 });

/** A service in a process of its own, once it listens. */
async function beginElsewhere() {
  const program = `
    const { serve } = await import(${JSON.stringify(new URL("./serve.ts", import.meta.url).href)});
    await serve({ folder: ${JSON.stringify(folder)}, flows: {}, port: 0 });
    console.log("listens");`;
  const sources = fileURLToPath(new URL("../../setup/sources.mjs", import.meta.url));
  const child = spawn(
    process.execPath,
    ["--conditions=@tessera/source", `--import=${sources}`, "--input-type=module", "--eval", program],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  await once(child.stdout, "data");
  return child;
}

describe("the folder of a service", () => {
  it("is held by one process, and taken over from one that was killed", async () => {
    const other = await beginElsewhere();
    try {
      await expect(begin()).rejects.toMatchObject({
        code: "INDEX_LOCKED",
        path: folder,
        message: expect.stringContaining(`process ${other.pid} on `),
      });
    } finally {
      other.kill("SIGKILL");
      await once(other, "exit");
    }
    expect(existsSync(join(folder, "lock"))).toBe(true);
    const { server } = await begin();
    expect(JSON.parse(readFileSync(join(folder, "lock"), "utf8"))).toMatchObject({ pid: process.pid });
    await server.close();
  });

  it("is held by one service of a process, and free after it closed or failed to begin", async () => {
    const { server, url } = await begin();
    await expect(begin()).rejects.toMatchObject({ code: "INDEX_LOCKED" });
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    await server.close();
    expect(existsSync(join(folder, "lock"))).toBe(false);
    await expect(serve({ folder, flows: { broken: { ...flows.echo!, name: "broken" } }, port: 0 })).rejects.toThrow();
    expect(existsSync(join(folder, "lock"))).toBe(false);
    await (await begin()).server.close();
  });
});

describe("an observer of the service", () => {
  it("is told of every run and how it ended", async () => {
    const heard: string[] = [];
    const said = flow("said", { query: "text" }, (_, { query }) => ({ text: query })).document;
    const observer = {
      run: ({ document: { name } }: { document: { name: string } }) => ({
        ended: (failure?: { code: string }) => void heard.push(`${name} ${failure?.code ?? "done"}`),
      }),
    };
    const { server, firstKey } = await serve({ folder, flows: { said }, port: 0, observer });
    const { statusCode } = await server.inject({
      method: "POST",
      url: "/flows/said/runs",
      headers: { authorization: `Bearer ${firstKey}` },
      payload: { input: { query: "hi" } },
    });
    await server.close();
    expect([statusCode, heard]).toEqual([200, ["said done"]]);
  });
});
