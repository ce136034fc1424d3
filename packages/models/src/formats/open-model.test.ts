import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { architectures } from "../architectures/registry.js";
import { kindOfCheckpoint, openDecoderModel, openEncoderModel } from "./open-model.js";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "tessera-open-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

async function folderOf(name: string, config: unknown): Promise<string> {
  await mkdir(join(root, name), { recursive: true });
  await writeFile(join(root, name, "config.json"), JSON.stringify(config));
  return join(root, name);
}

describe("a folder with a config", () => {
  it("of a type that is not read is refused by name, before any weights are looked for", async () => {
    const folder = await folderOf("unknown", { model_type: "deberta-v2" });
    for (const open of [openEncoderModel, openDecoderModel, kindOfCheckpoint]) {
      const error = await open(folder).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: "BAD_BUNDLE", path: join(folder, "config.json") });
      const { message } = error as Error;
      expect(message).toMatch(/^model_type "deberta-v2" is not read; read are /);
      for (const type of architectures.flatMap(({ types }) => types)) expect(message).toContain(type);
    }
    const bundle = await folderOf("bundle", { format: "tessera-bundle", architecture: "tessera-future" });
    await expect(openEncoderModel(bundle)).rejects.toThrow('"tessera-future" is not read');
  });

  it("that names no type, or is no object, is refused", async () => {
    await expect(openEncoderModel(await folderOf("none", {}))).rejects.toThrow("names no model_type");
    for (const config of [null, [], 5, "bert"])
      await expect(openEncoderModel(await folderOf("odd", config))).rejects.toMatchObject({ code: "BAD_BUNDLE" });
  });

  it("of the other kind is told apart", async () => {
    const folder = await folderOf("decoder", { model_type: "moduleformer" });
    expect(await kindOfCheckpoint(folder)).toBe("decoder");
    await expect(openEncoderModel(folder)).rejects.toMatchObject({ code: "MISSING_CAPABILITY" });
  });
});

describe("the registry", () => {
  it.each(["encoder", "decoder"])("gives every type one architecture that is an %s", (kind) => {
    const types = architectures.filter((one) => one.kind === kind).flatMap((architecture) => architecture.types);
    expect(new Set(types).size).toBe(types.length);
  });
});
