import { afterEach, describe, expect, it } from "@jest/globals";
import { needs } from "@tessera/testkit";
import type { Engine } from "../../engine.js";
import { referenceEngine } from "../reference.js";
import { chooseEngine, selfTest } from "./choose.js";
import { softwareDriver, withoutDriver } from "./driver.fixture.js";

const onDevice = needs(softwareDriver !== undefined, withoutDriver);

/** An engine whose vectors went through `change`. */
const changed = (change: (vectors: Float32Array) => Float32Array): Engine => ({
  ...referenceEngine(),
  async loadEncoder(model) {
    const session = await referenceEngine().loadEncoder(model);
    return { ...session, encode: async (batch, exit) => change(await session.encode(batch, exit)) };
  },
});

const nodeOptions = process.env.NODE_OPTIONS;
afterEach(() => {
  if (nodeOptions === undefined) delete process.env.NODE_OPTIONS;
  else process.env.NODE_OPTIONS = nodeOptions;
});

describe("choosing an engine", () => {
  it("takes the CPU where there is no GPU, and says why", async () => {
    const { engine, reason } = await chooseEngine("auto", { driver: "/nowhere/driver.json" });
    expect(engine.info.kind).toBe("cpu");
    expect(reason).toMatch(/^engine cpu: no GPU was found$/);
    await expect(chooseEngine("gpu", { driver: "/nowhere/driver.json" })).rejects.toMatchObject({
      code: "DEPENDENCY_MISSING",
    });
    expect((await chooseEngine("cpu")).reason).toBe("engine cpu: asked for");
  });

  it("says in one line why, however much a dying driver writes", async () => {
    process.env.NODE_OPTIONS = '--import="data:text/javascript,console.error(`first%5Cnsecond`);process.exit(3)"';
    const { engine, reason } = await chooseEngine("auto");
    expect(engine.info.kind).toBe("cpu");
    // what it wrote may come after its end
    expect(reason).toMatch(/^engine cpu: the GPU's process ended \(code 3[^\n]*$/);
  });

  onDevice("never takes a GPU in software by itself, but when asked to", async () => {
    const { engine, reason } = await chooseEngine("auto", { driver: softwareDriver });
    expect(engine.info.kind).toBe("cpu");
    expect(reason).toMatch(/software$/);
    const asked = await chooseEngine("gpu", { driver: softwareDriver });
    expect(asked.engine.info.kind).toBe("gpu");
    await asked.close();
  });

  it("finds engines that compute wrongly", async () => {
    expect(await selfTest(referenceEngine())).toBeUndefined();
    expect(await selfTest(changed((vectors) => vectors.fill(Number.NaN)))).toMatch(/cosine of NaN/);
    expect(await selfTest(changed((vectors) => vectors.map((value, i) => (i === 48 ? 1 : value))))).toMatch(/cosine/);
    expect(
      await selfTest(
        changed(() => {
          throw new Error("lost");
        }),
      ),
    ).toBe("lost");
  });
});
