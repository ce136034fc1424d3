import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { afterAll, describe, expect, it } from "@jest/globals";
import { modelService } from "../model-service.fixture.js";
import { Terminal } from "../terminal.js";
import { init } from "./init.js";

const made: string[] = [];
const fresh = (): string => {
  made.push(mkdtempSync(join(tmpdir(), "tessera-init-")));
  return made.at(-1)!;
};
afterAll(() => {
  for (const folder of made) rmSync(folder, { recursive: true, force: true });
});

async function run(folder: string, places: { name: string; endpoint: string }[]) {
  let out = "";
  const into = new Writable({
    write(chunk: Buffer, _, done) {
      out += chunk.toString();
      done();
    },
  });
  await init(new Terminal({ json: false, stack: false }, into, into), { folder, places });
  return { out, config: JSON.parse(readFileSync(join(folder, "tessera.config.json"), "utf8")) };
}

describe("init", () => {
  it("takes the model of a service that runs here, and leaves out what does not answer", async () => {
    const service = modelService(() => "");
    const endpoint = await service.start();
    const places = [
      { name: "Ollama", endpoint: "http://127.0.0.1:9/v1" },
      { name: "llama.cpp", endpoint },
    ];
    const { out, config } = await run(fresh(), places);
    service.stop();
    expect(config).toEqual({ source: ".", model: { endpoint, model: "tiny" } });
    expect(out).toContain(`found tiny (llama.cpp at ${endpoint})`);
  });

  it("tells of a key and does not use it, and never writes over a config", async () => {
    const folder = fresh();
    writeFileSync(join(folder, ".env"), "MISTRAL_API_KEY=secret-of-mine\n");
    const { out, config } = await run(folder, []);
    expect(config).toEqual({ source: "." });
    expect(out).toContain("MISTRAL_API_KEY");
    expect(out).not.toContain("secret-of-mine");
    await expect(run(folder, [])).rejects.toThrow("there is a config already");
  });
});
