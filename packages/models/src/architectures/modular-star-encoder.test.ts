import { cp, mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { codeEncoder } from "../encoders/code-encoder.js";
import { ragged } from "../engines/engine.js";
import { referenceEngine } from "../engines/reference/engine.js";
import { openCheckpoint, openEncoderModel } from "../formats/open-model.js";
import { readSafetensors, writeSafetensors } from "../formats/safetensors.js";
import { type EncoderVerdict, verifyModel } from "../tools/verify-model.js";
import { readStarEncoder } from "./modular-star-encoder.js";

// a random checkpoint in the published layout; `apps/train/star_checkpoint.py` wrote it, with PyTorch's golden outputs
const fixture = fileURLToPath(new URL("../fixtures/star-encoder", import.meta.url));

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tessera-star-"));
  await cp(fixture, folder, { recursive: true });
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe("a checkpoint of ModularStarEncoder's layout", () => {
  it("reaches PyTorch's outputs at every exit, on the reference and on the CPU engine", async () => {
    const [reference, int8, fp32] = await verifyModel(fixture);
    for (const verdict of [reference!, int8!, fp32!] as EncoderVerdict[]) {
      expect(verdict.missing).toBeUndefined();
      expect(verdict).toMatchObject({ kind: "encoder", exits: [{ layer: 1 }, { layer: 2 }, { layer: 4 }] });
      expect(verdict.passed).toBe(true);
    }
    for (const { difference } of (fp32 as EncoderVerdict).exits) expect(difference).toBeLessThan(1e-4);
  });

  it("frames a text with separators, its instruction, and a closing cls", async () => {
    const model = await readStarEncoder(await openCheckpoint(folder), { language: "rust" });
    const seen: number[][] = [];
    const engine = referenceEngine();
    const encoder = await codeEncoder(
      model,
      {
        ...engine,
        loadEncoder: async (loaded) => {
          const session = await engine.loadEncoder(loaded);
          const encode: typeof session.encode = (batch, exit) => {
            seen.push([...batch.ids]);
            return session.encode(batch, exit);
          };
          return { ...session, encode };
        },
      },
      // a token a character
      {
        encode: async (texts, most) =>
          ragged(texts.map((text) => Array.from(text, (c) => c.charCodeAt(0)).slice(0, most))),
      },
    );
    await encoder.encode(["ab"], { kind: "code" });
    const instruction = Array.from("Represent this rust code snippet for retrieval:", (c) => c.charCodeAt(0));
    expect(seen).toEqual([[2, ...instruction, 2, 97, 98, 1]]);
  });

  it("is refused where the config and the tensors do not fit, or weights are cut short", async () => {
    const config = JSON.parse(await readFile(join(folder, "config.json"), "utf8"));
    for (const change of [
      { num_key_value_heads: 3 },
      { num_key_value_heads: 4 },
      { matryoshka_layers: [1, 2] },
      { matryoshka_layers: [1, 2, 3, 4] },
      { num_hidden_layers: 5, matryoshka_layers: [1, 2, 5] },
      { hidden_act: "relu" },
      { sep_token_id: undefined },
    ]) {
      await writeFile(join(folder, "config.json"), JSON.stringify({ ...config, ...change }));
      await expect(openEncoderModel(folder)).rejects.toMatchObject({ code: "BAD_BUNDLE" });
    }
    await writeFile(join(folder, "config.json"), JSON.stringify(config));
    await truncate(join(folder, "model.safetensors"), 20_000);
    await expect(openEncoderModel(folder)).rejects.toMatchObject({ code: "BAD_BUNDLE" });
  });

  it("is read as it was published: its marks stand in the tokenizer's files, its default exit is the one in the middle", async () => {
    const { sep_token_id, cls_token_id, rope_theta, ...published } = JSON.parse(
      await readFile(join(folder, "config.json"), "utf8"),
    );
    const config = { ...published, rope_parameters: { rope_theta, rope_type: "default" } };
    await writeFile(join(folder, "config.json"), JSON.stringify(config));
    await expect(openEncoderModel(folder)).rejects.toMatchObject({ code: "BAD_BUNDLE" });
    const added = [
      { content: "<sep>", id: sep_token_id },
      { content: "<cls>", id: cls_token_id },
    ];
    await writeFile(join(folder, "tokenizer.json"), JSON.stringify({ added_tokens: added }));
    const { frames, default: usual } = await openEncoderModel(folder);
    expect(frames.text).toMatchObject({
      before: [sep_token_id, expect.any(String), sep_token_id],
      after: [cls_token_id],
    });
    expect(usual).toEqual({ query: 2, index: 2 });
    await rm(join(folder, "tokenizer.json"));
    await writeFile(join(folder, "added_tokens.json"), JSON.stringify({ "<sep>": 7, "<cls>": 8 }));
    expect((await openEncoderModel(folder)).frames.code).toMatchObject({ after: [8] });
  });

  it("that was cut after one exit keeps that one", async () => {
    const path = join(folder, "model.safetensors");
    const tensors = readSafetensors(await readFile(path), path);
    const kept = [...tensors].filter(([name]) => !/layers\.[23]|projection_fn\.[02]/.test(name));
    await writeFile(path, writeSafetensors(new Map(kept)));
    const config = JSON.parse(await readFile(join(folder, "config.json"), "utf8"));
    await writeFile(join(folder, "config.json"), JSON.stringify({ ...config, till_layer: 2 }));
    const model = await openEncoderModel(folder);
    expect(model.exits.map(({ layer }) => layer)).toEqual([2]);
    const golden = JSON.parse(await readFile(join(folder, "golden.json"), "utf8")).cases[4];
    const session = await referenceEngine().loadEncoder(model);
    const vector = await session.encode(ragged([golden.ids]), 2);
    for (const [i, value] of vector.entries()) expect(value).toBeCloseTo(golden.vectors[2][i], 5);
  });
});
