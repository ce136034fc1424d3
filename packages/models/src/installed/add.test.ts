import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { TesseraError } from "@tessera/core";
import { ggufOf, spoken } from "../formats/gguf-model.fixture.js";
import { openDecoderModel, openEncoderModel } from "../formats/open-model.js";
import { findModel, listModels } from "../tools/catalogue.js";
import { addModel, removeModel } from "./add.js";
import { type StubRepository, stubHub } from "./hub.fixture.js";

const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));

async function filesOf(folder: string, large: RegExp): Promise<StubRepository["files"]> {
  const files: Record<string, { bytes: Buffer; large: boolean }> = {};
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name).slice(folder.length + 1);
    files[path] = { bytes: await readFile(join(folder, path)), large: large.test(path) };
  }
  return files;
}

let home: string;
let before: string | undefined;
let hub: ReturnType<typeof stubHub>;
let address: string;
let tiny: Buffer;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "tessera-added-"));
  before = process.env.TESSERA_HOME;
  process.env.TESSERA_HOME = home;
  tiny = await ggufOf("llama", spoken, true);
  const bert = await filesOf(fixture("bert-tiny"), /safetensors$/);
  hub = stubHub({
    "someone/bert-tiny": {
      files: {
        ...bert,
        "pytorch_model.bin": { bytes: Buffer.from("pickle") },
        "README.md": { bytes: Buffer.from("# x") },
      },
      licence: "apache-2.0",
    },
    "someone/quants": {
      files: { "small.Q4.gguf": { bytes: tiny, large: true }, "large.Q8.gguf": { bytes: tiny, large: true } },
    },
    "someone/gated": { files: { "one.gguf": { bytes: tiny, large: true } }, gated: true, licence: "llama3" },
    "someone/pickles": { files: { "pytorch_model.bin": { bytes: Buffer.from("pickle") } } },
    "someone/hostile": { files: { "../../../escape.json": { bytes: Buffer.from("{}") }, "a.gguf": { bytes: tiny } } },
  });
  address = await hub.start();
});
beforeEach(() => {
  hub.asked.length = 0;
});
afterAll(async () => {
  await hub.stop();
  if (before === undefined) delete process.env.TESSERA_HOME;
  else process.env.TESSERA_HOME = before;
  await rm(home, { recursive: true, force: true });
});

const failure = async (work: Promise<unknown>): Promise<TesseraError> => {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(TesseraError);
  return error as TesseraError;
};

describe("a model of the hub", () => {
  it("is fetched with what it consists of, listed with its licence, opened by its name, and removed with its files", async () => {
    const heard: (string | undefined)[] = [];
    const progress: string[] = [];
    const added = await addModel("hub:someone/bert-tiny", {
      address,
      licence: (licence) => heard.push(licence),
      progress: (file, done, total) => {
        if (done === total) progress.push(file);
      },
    });
    expect(heard).toEqual(["apache-2.0"]);
    expect(added).toMatchObject({
      name: "bert-tiny",
      kind: "encoder",
      architecture: "bert",
      licence: "apache-2.0",
      source: `hub:someone/bert-tiny@${hub.commit}`,
    });
    const folder = join(home, "models/bert-tiny");
    expect(existsSync(join(folder, "pytorch_model.bin"))).toBe(false);
    expect(existsSync(join(folder, "1_Pooling/config.json"))).toBe(true);
    expect(progress).toContain("model.safetensors.index.json");
    expect((await openEncoderModel(await findModel("bert-tiny"))).blocks).toHaveLength(3);
    expect((await listModels()).find(({ name }) => name === "bert-tiny")).toMatchObject({ licence: "apache-2.0" });

    // again: everything is here
    hub.asked.length = 0;
    await addModel("hub:someone/bert-tiny", { address });
    expect(hub.asked).toEqual([]);

    await removeModel("bert-tiny");
    expect(existsSync(folder)).toBe(false);
    expect((await failure(findModel("bert-tiny"))).code).toBe("UNKNOWN_RESOURCE");
  });

  it("goes on where an attempt was cut off, and has the whole file's checksum", async () => {
    hub.cuts.set("small.Q4.gguf", 10_000);
    const how = { address, file: "small.Q4.gguf", name: "resumed" };
    expect((await failure(addModel("hub:someone/quants", how))).code).toMatch(/MODEL_FAILED|BAD_BUNDLE/);
    expect(existsSync(join(home, "models/resumed.json"))).toBe(false);
    const added = await addModel("hub:someone/quants", how);
    expect(hub.asked).toEqual(["small.Q4.gguf 0", expect.stringMatching(/^small\.Q4\.gguf [1-9]\d*$/)]);
    expect(await readFile(added.path)).toEqual(tiny);
    expect((await openDecoderModel(await findModel("resumed"))).layers).toHaveLength(2);
    await removeModel("resumed");
  });

  it("is not taken with another checksum, and the damaged part is not gone on with", async () => {
    hub.cuts.set("small.Q4.gguf", 10_000);
    const how = { address, file: "small.Q4.gguf", name: "damaged" };
    await failure(addModel("hub:someone/quants", how));
    const folder = join(home, "models/damaged");
    const [part] = await readdir(folder);
    const bytes = await readFile(join(folder, part!));
    bytes[100]! ^= 1;
    await writeFile(join(folder, part!), bytes);
    const error = await failure(addModel("hub:someone/quants", how));
    expect(error).toMatchObject({ code: "BAD_BUNDLE", message: expect.stringContaining("checksum") });
    await addModel("hub:someone/quants", how);
    expect(await readFile(join(folder, "small.Q4.gguf"))).toEqual(tiny);
    await removeModel("damaged");
  });

  it("is refused for what it is, in words", async () => {
    const several = await failure(addModel("hub:someone/quants", { address }));
    expect(several).toMatchObject({
      code: "BAD_ARGUMENT",
      hint: expect.stringContaining("small.Q4.gguf, large.Q8.gguf"),
    });
    expect((await failure(addModel("hub:someone/quants", { address, file: "none.gguf" }))).code).toBe(
      "UNKNOWN_RESOURCE",
    );
    expect((await failure(addModel("hub:someone/nothing", { address }))).code).toBe("UNKNOWN_RESOURCE");
    expect((await failure(addModel("hub:someone/pickles", { address }))).code).toBe("BAD_ARGUMENT");
    expect((await failure(addModel("hub:no-owner", { address }))).code).toBe("BAD_ARGUMENT");
    expect((await failure(addModel("hub:someone/gated", { address }))).hint).toContain("HF_TOKEN");
    expect((await addModel("hub:someone/gated", { address, token: "hf_secret" })).licence).toBe("llama3");
    await removeModel("gated");
    expect((await failure(addModel("hub:someone/hostile", { address }))).code).toBe("BAD_BUNDLE");
    expect(existsSync(join(home, "escape.json"))).toBe(false);
    const dead = await failure(addModel("hub:someone/x", { address: "http://127.0.0.1:9" }));
    expect(dead.code).toBe("MODEL_FAILED");
  });

  it("ends with the reason of its signal", async () => {
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(addModel("hub:someone/bert-tiny", { address, signal, name: "aborted" })).rejects.toThrow("enough");
  });
});

describe("a folder or a file of this machine", () => {
  it("has a name, and stays where it is when the name goes", async () => {
    const file = join(home, "My Model.gguf");
    await writeFile(file, tiny);
    expect((await failure(addModel(file))).code).toBe("BAD_ARGUMENT");
    expect(await addModel(file, { name: "mine" })).toMatchObject({
      kind: "decoder",
      architecture: "llama",
      source: file,
    });
    expect(await addModel(fixture("bert-tiny"), { name: "bert" })).toMatchObject({ kind: "encoder" });
    expect(await findModel("mine")).toBe(file);
    expect((await failure(addModel(fixture("bert-tiny"), { name: "mine" }))).code).toBe("CONFLICT");
    expect((await failure(addModel(fixture("bert-tiny"), { name: "code-encoder-2" }))).code).toBe("CONFLICT");
    await Promise.all(["mine", "bert"].map((name) => removeModel(name)));
    expect(existsSync(file)).toBe(true);
    expect(existsSync(join(fixture("bert-tiny"), "config.json"))).toBe(true);
  });

  it("is refused where it is no model, and what comes with Tessera stays", async () => {
    expect((await failure(addModel(join(home, "nothing")))).code).toBe("BAD_SOURCE");
    expect((await failure(addModel(home, { name: "home" }))).code).toBe("BAD_BUNDLE");
    await writeFile(join(home, "cut.gguf"), tiny.subarray(0, 5000));
    expect((await failure(addModel(join(home, "cut.gguf")))).code).toBe("BAD_BUNDLE");
    expect((await failure(removeModel("code-encoder-2"))).code).toBe("FORBIDDEN");
    expect((await failure(removeModel("../models"))).code).toBe("UNKNOWN_RESOURCE");
  });

  it("may be of an architecture that llama.cpp alone reads", async () => {
    const file = join(home, "other.gguf");
    await writeFile(file, await ggufOf("llama", { ...spoken, "general.architecture": "gemma9" }, true));
    const added = await addModel(file);
    expect(added.kind).toBeUndefined();
    expect(added).toMatchObject({ architecture: "gemma9", unread: expect.stringContaining("is not read") });
    await removeModel("other");
  });
});
