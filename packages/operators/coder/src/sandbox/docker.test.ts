import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { docker } from "./docker.js";

// the drivers' conformance is held by conformance.test.ts; this is the command line's own part
describe("the command line of docker", () => {
  const folder = mkdtempSync(join(tmpdir(), "tessera-docker-"));
  const path = join(folder, "docker");
  const given = {
    DOCKER_HOST: "unix:///run/user/1/docker.sock",
    XDG_RUNTIME_DIR: "/run/user/1",
    TESSERA_TEST_SECRET: "x",
  };
  const before = { ...process.env };
  beforeAll(() => {
    Object.assign(process.env, given);
    writeFileSync(
      path,
      `#!${process.execPath}\nconsole.log(JSON.stringify({ env: process.env, args: process.argv.slice(2) }));`,
    );
    chmodSync(path, 0o755);
  });
  afterAll(() => {
    rmSync(folder, { recursive: true });
    process.env = before;
  });

  it("is told where its daemon is, and nothing else of the host; the container is told nothing", async () => {
    const limits = { wallMs: 10_000, memoryMb: 64, outputBytes: 100_000 };
    const { output } = await docker({ path }).run({ language: "python", source: "1" }, limits);
    const { env, args } = JSON.parse(output) as { env: Record<string, string>; args: string[] };
    expect(env).toMatchObject({ DOCKER_HOST: given.DOCKER_HOST, XDG_RUNTIME_DIR: given.XDG_RUNTIME_DIR });
    expect(env.TESSERA_TEST_SECRET).toBeUndefined();
    expect(args.filter((word) => /^(-e|--env|--env-file|-v|--volume|--mount|--privileged)/.test(word))).toEqual([]);
  });
});
