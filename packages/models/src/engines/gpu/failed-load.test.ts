import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { encoderModel } from "../../architectures/tessera-encoder.js";
import { readBundle } from "../../formats/bundle.js";
import { randomDecoder } from "../../tools/random-decoder.js";
import { writeRandomEncoder } from "../../tools/random-encoder.js";
import type { Engine } from "../engine.js";
import { chooseEngine, gpuOnDemand } from "./choose.js";
import { gpuEngine } from "./engine.js";

// No GPU is needed: the process that would own it is told to open, and to refuse every model.

const variables = ["NODE_OPTIONS", "TESSERA_PLANTED_PID"] as const;
const before = variables.map((name) => process.env[name]);
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tessera-failed-load-"));
  process.env.TESSERA_PLANTED_PID = join(folder, "pid");
  process.env.NODE_OPTIONS = `${before[0] ?? ""} --import=${new URL("./refuse-models.fixture.mjs", import.meta.url).href}`;
});
afterEach(async () => {
  for (const [i, name] of variables.entries())
    if (before[i] === undefined) delete process.env[name];
    else process.env[name] = before[i];
  await rm(folder, { recursive: true, force: true });
});

/** Whether the process that was planted still runs. */
async function runs(): Promise<boolean> {
  const pid = Number(await readFile(process.env.TESSERA_PLANTED_PID!, "utf8"));
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

const cache = { blocks: 4, blockTokens: 16 };
const loads: Record<string, (engine: Engine) => Promise<unknown>> = {
  async encoder(engine) {
    await writeRandomEncoder(join(folder, "encoder"), { shape: "tiny", golden: 1 });
    return engine.loadEncoder(encoderModel(await readBundle(join(folder, "encoder"))));
  },
  decoder: (engine) => engine.loadDecoder(randomDecoder({ shape: "tiny" }), cache),
};

describe("a load that fails", () => {
  it("is planted: the process lives on in an engine that its caller closes", async () => {
    const engine = await gpuEngine();
    await expect(loads.decoder!(engine)).rejects.toMatchObject({ code: "MODEL_FAILED" });
    expect(await runs()).toBe(true);
    await engine.close();
    expect(await runs()).toBe(false);
  });

  for (const [kind, load] of Object.entries(loads))
    it(`leaves no process where the GPU was opened for the ${kind} alone`, async () => {
      await expect(load(gpuOnDemand())).rejects.toMatchObject({
        code: "MODEL_FAILED",
        message: expect.stringContaining("the model was refused"),
      });
      expect(await runs()).toBe(false);
    });

  it("leaves no process where an engine is chosen", async () => {
    await expect(chooseEngine("gpu")).rejects.toMatchObject({ code: "MODEL_FAILED" });
    expect(await runs()).toBe(false);
  });
});
