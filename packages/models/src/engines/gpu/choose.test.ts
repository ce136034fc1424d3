import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { needs, softwareDriver, withoutDriver } from "@tessera/testkit";
import { chooseEngine } from "./choose.js";
import type { Machine } from "./presence.js";

const onDevice = (name: string, work: () => Promise<void>): void =>
  // compilers in software take their time
  needs(softwareDriver !== undefined, withoutDriver)(name, work);

const nodeOptions = process.env.NODE_OPTIONS;
let work: string;
beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), "tessera-choose-"));
});
/** A machine on Linux with these device files. */
async function machine(...devices: string[]): Promise<Machine> {
  for (const folder of ["dev/dri", "icd"]) await mkdir(join(work, folder), { recursive: true });
  for (const name of devices) await writeFile(join(work, "dev", name), "");
  const [dev, icd, cache] = ["dev", "icd", "cache/tessera"].map((name) => join(work, name)) as [string, string, string];
  return { platform: "linux", devices: dev, drivers: [icd], cache };
}
/** The GPU's process of this test dies at once. */
const broken = '--import="data:text/javascript,process.exit(3)"';

afterEach(async () => {
  await rm(work, { recursive: true, force: true });
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
    const { engine, reason } = await chooseEngine("auto", { machine: await machine("nvidia0") });
    expect(engine.info.kind).toBe("cpu");
    // what it wrote may come after its end
    expect(reason).toMatch(/^engine cpu: the GPU's process ended \(code 3[^\n]*$/);
  });

  it("asks no driver where the machine has no GPU", async () => {
    process.env.NODE_OPTIONS = broken;
    for (const devices of [[], ["null", "nvidiactl"], ["dri/card0"]])
      expect((await chooseEngine("auto", { machine: await machine(...devices) })).reason).toBe(
        "engine cpu: this machine has no GPU",
      );
    // asked for by name, it is tried all the same
    await expect(chooseEngine("gpu", { machine: await machine() })).rejects.toMatchObject({ code: "MODEL_FAILED" });
    for (const device of ["nvidia3", "dxg", "dri/renderD128"]) {
      await rm(join(work, "cache"), { recursive: true, force: true });
      const { reason } = await chooseEngine("auto", { machine: await machine(device) });
      expect(reason).toContain("the GPU's process ended (code 3");
      await rm(join(work, "dev"), { recursive: true });
    }
  });

  it("believes a refusal for a day, until a driver changes", async () => {
    process.env.NODE_OPTIONS = broken;
    const here = await machine("nvidia0");
    const first = (await chooseEngine("auto", { machine: here })).reason;
    process.env.NODE_OPTIONS = '--import="data:text/javascript,process.exit(4)"';
    expect((await chooseEngine("auto", { machine: here })).reason).toBe(`${first} (as found before)`);

    await writeFile(join(work, "icd/card.json"), "{}");
    expect((await chooseEngine("auto", { machine: here })).reason).toContain("code 4");
    await utimes(join(work, "icd/card.json"), 1, 1);
    process.env.NODE_OPTIONS = broken;
    expect((await chooseEngine("auto", { machine: here })).reason).toContain("code 3");

    const kept = await readdir(here.cache);
    expect(kept).toHaveLength(3);
    const yesterday = JSON.stringify({ reason: "old", at: Date.now() - 86_400_001 });
    for (const text of ["{", "null", '{"reason":1}', yesterday, '{"reason":"of tomorrow","at":9e15}']) {
      for (const name of kept) await writeFile(join(here.cache, name), text);
      expect((await chooseEngine("auto", { machine: here })).reason).toContain("code 3");
    }
  });

  onDevice("never takes a GPU in software by itself, but when asked to", async () => {
    const { engine, reason } = await chooseEngine("auto", { driver: softwareDriver });
    expect(engine.info.kind).toBe("cpu");
    expect(reason).toMatch(/software$/);
    const asked = await chooseEngine("gpu", { driver: softwareDriver });
    expect(asked.engine.info.kind).toBe("gpu");
    await asked.close();
  });
});
