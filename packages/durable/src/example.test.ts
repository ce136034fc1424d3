import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "@jest/globals";
import { hasPostgres, needs, PostgresServer } from "@tessera/testkit";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const program = `${root}docs/examples/durable.mjs`;
let server: PostgresServer | undefined;
afterAll(() => server?.remove());

function start(...words: string[]) {
  const child = spawn(
    process.execPath,
    ["--conditions=@tessera/source", `--import=${root}apps/setup/sources.mjs`, program, ...words],
    { env: { ...process.env, DATABASE_URL: server!.url }, stdio: ["ignore", "pipe", "inherit"] },
  );
  let printed = "";
  child.stdout.on("data", (part) => {
    printed += part;
  });
  const ended = new Promise<string>((resolve) => child.on("exit", () => resolve(printed)));
  return { child, ended };
}

describe("the page on durable runs", () => {
  it("shows its example as it is", () => {
    const page = readFileSync(`${root}docs/durable.md`, "utf8");
    expect(/^```js\n(.*?)^```$/ms.exec(page)?.[1]).toBe(readFileSync(program, "utf8"));
  });

  needs(hasPostgres, "PostgreSQL is not installed")("its example greets", async () => {
    server = await PostgresServer.start();
    const worker = start("work");
    expect((await start("run", "first-1", "Ann").ended).trim()).toBe("done Hello, Ann!");
    worker.child.kill("SIGTERM");
    await worker.ended;
    expect(worker.child.exitCode).toBe(0);
  });
});
