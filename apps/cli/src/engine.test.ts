import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { type Encoder, TesseraError } from "@tessera/core";
import { type Engine, type EngineKind, referenceEngine } from "@tessera/models";
import { openSource } from "./codebase.js";
import { openEngine, openNamed } from "./engine.js";
import { tessera } from "./program.fixture.js";
import { Terminal } from "./terminal.js";

const why = "engine gpu: a card of this test, fp32, self-test passed";
const home = process.env.TESSERA_HOME;
let work: string;
beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), "tessera-cli-engine-"));
  process.env.TESSERA_HOME = join(work, "home");
  await mkdir(join(work, "source"));
  await writeFile(join(work, "source/heron.md"), "# Heron\n\nThe heron eats fish.\n");
});
afterEach(async () => {
  if (home === undefined) delete process.env.TESSERA_HOME;
  else process.env.TESSERA_HOME = home;
  await rm(work, { recursive: true, force: true });
});

/** A chooser over an engine that tells what happens to it, in order, and a terminal that keeps what it was told. */
function observed({ json = false, fails = false } = {}) {
  const events: string[] = [];
  const out = new PassThrough();
  const err = new PassThrough();
  const inner = referenceEngine();
  const engine: Engine = {
    ...inner,
    info: { kind: "gpu", device: "a card of this test", dtype: "fp32" },
    async loadEncoder(model) {
      events.push("load");
      if (fails) throw new TesseraError("MODEL_FAILED", "the card is on fire");
      const session = await inner.loadEncoder(model);
      return {
        exits: session.exits,
        hidden: session.hidden,
        encode(...given) {
          events.push("encode");
          return session.encode(...given);
        },
        async close() {
          events.push("unload");
          await session.close();
        },
      };
    },
  };
  const choose = async (kind?: EngineKind) => {
    events.push(`choose ${kind}`);
    return { engine, reason: why, close: async () => void events.push("close") };
  };
  const terminal = new Terminal({ json, stack: false }, out, err);
  return { events, choose, terminal, said: () => String(err.read() ?? ""), printed: () => String(out.read() ?? "") };
}

describe("the engine of a model", () => {
  it("is told with its reason in one line on standard error, unless the CPU was asked for", async () => {
    for (const kind of [undefined, "auto", "gpu"] as const) {
      const { choose, terminal, said, printed } = observed();
      await openEngine(terminal, kind, choose);
      expect([said(), printed()]).toEqual([`${why}\n`, ""]);
    }
    const { choose, terminal, said, events } = observed();
    await openEngine(terminal, "cpu", choose);
    expect([said(), events]).toEqual(["", ["choose cpu"]]);
    const quiet = observed({ json: true });
    await openEngine(quiet.terminal, "auto", quiet.choose);
    expect([quiet.said(), quiet.printed()]).toEqual(["", ""]);
  });

  it("ends after the model, and when the model cannot be loaded", async () => {
    const { events, choose, terminal } = observed();
    const encoder = await openNamed(terminal, { encoder: "code-encoder", engine: "gpu" }, choose);
    expect(encoder.model?.revision).toMatch(/-gpu-fp32$/);
    await encoder.close();
    expect(events).toEqual(["choose gpu", "load", "unload", "close"]);

    const broken = observed({ fails: true });
    await expect(
      openNamed(broken.terminal, { encoder: "code-encoder", engine: "auto" }, broken.choose),
    ).rejects.toThrow("on fire");
    expect(broken.events).toEqual(["choose auto", "load", "close"]);
  });

  it("is not looked for where there is no such model", async () => {
    const { events, choose, terminal } = observed();
    await expect(openNamed(terminal, { encoder: "none", engine: "gpu" }, choose)).rejects.toMatchObject({
      code: "UNKNOWN_RESOURCE",
    });
    expect(events).toEqual([]);
  });
});

describe("the index of a folder", () => {
  const source = () => join(work, "source");

  it("is computed by the engine, which ends with it", async () => {
    const { events, choose, terminal, said } = observed();
    const opened = await openSource(terminal, source(), { encoder: "code-encoder", engine: "auto" }, choose);
    expect(said().split("\n")[0]).toBe(why);
    await opened.close();
    expect(events[0]).toBe("choose auto");
    expect(events).toContain("encode");
    expect(events.slice(-2)).toEqual(["unload", "close"]);
  });

  it("closes the engine where the index cannot be made", async () => {
    const { events, choose, terminal } = observed({ fails: true });
    await expect(
      openSource(terminal, source(), { encoder: "code-encoder", engine: "gpu" }, choose),
    ).rejects.toMatchObject({ code: "MODEL_FAILED" });
    expect(events).toEqual(["choose gpu", "load", "close"]);
  });

  it("has no engine with the hash encoder, and says so to whom asked for one", async () => {
    const { events, choose, terminal, said } = observed();
    await (await openSource(terminal, source(), { encoder: "hash", engine: "gpu" }, choose)).close();
    expect(said()).toMatch(/^engine cpu: the hash encoder is no model$/m);
    await (await openSource(terminal, source(), { encoder: "hash" }, choose)).close();
    expect(said()).not.toContain("engine");
    expect(events).toEqual([]);
  });
});

describe("the default encoder", () => {
  it("indexes the first exit of our encoder, and does without the model where it cannot be computed, saying so", async () => {
    const { choose, terminal, said } = observed();
    const folder = join(work, "source");
    const opened = await openSource(terminal, folder, {}, choose);
    const { encoder } = opened.resources.encoder as { encoder: Encoder };
    expect(encoder.space({})).toMatch(/^code-encoder-2@\w+\/exit-0\/width-384$/);
    expect(encoder.closer).toMatchObject({ exit: 6 });
    await opened.close();
    expect(said()).not.toContain("engine");

    const missing = new TesseraError("DEPENDENCY_MISSING", "onnxruntime-node cannot be loaded");
    const without = await openSource(terminal, folder, {}, () => Promise.reject(missing));
    expect((without.resources.encoder as { encoder: Encoder }).encoder.space({})).toMatch(/^hash:768:\w+$/);
    await without.close();
    expect(said()).toContain("vectors by hash features alone: onnxruntime-node cannot be loaded");
    await expect(openSource(terminal, folder, { encoder: "code-encoder" }, () => Promise.reject(missing))).rejects.toBe(
      missing,
    );
  });
});

describe("--engine", () => {
  it("is one of three, TESSERA_ENGINE where it is not given, and by itself looks for a GPU", async () => {
    const index = (words: string[], engine?: string) =>
      tessera(["index", "source", ...words], work, { TESSERA_ENGINE: engine });
    expect(await index(["--engine", "tpu"])).toMatchObject({
      code: 2,
      err: expect.stringContaining("Allowed choices are auto, cpu, gpu"),
    });
    expect(await index([], "tpu")).toMatchObject({ code: 2, err: expect.stringContaining("TESSERA_ENGINE") });
    expect((await index(["--encoder", "hash"], "auto")).err).toContain("engine cpu: the hash encoder");
    expect((await index(["--engine", "cpu"], "auto")).err).not.toContain("engine");
    expect((await index([])).err).not.toContain("engine");
    const { err } = await index(["--encoder", "code-encoder"]);
    expect(err.split("\n").filter((line) => /^engine (cpu|gpu): ./.test(line))).toHaveLength(1);
  });
});
