import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { mulberry32 } from "@tessera/core/internal";
import { type Tensor, writeSafetensors } from "@tessera/models/internal";
import { root, tessera } from "../program.fixture.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tessera-generate-"));
  await writeRandomMolm(folder);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A checkpoint of one layer in MoLM's layout with our tokenizer. */
async function writeRandomMolm(folder: string): Promise<void> {
  const random = mulberry32(2);
  const tensors = new Map<string, Tensor>();
  const tensor = (name: string, ...shape: number[]): void => {
    const length = shape.reduce((product, size) => product * size, 1);
    tensors.set(name, { shape, values: Float32Array.from({ length }, () => random() - 0.5) });
  };
  const layer = "transformer.h.0";
  for (const norm of [`${layer}.ln_1`, `${layer}.ln_2`, "transformer.ln_f"]) {
    tensor(`${norm}.weight`, 8);
    tensor(`${norm}.bias`, 8);
  }
  for (const name of [`${layer}.attn.q_proj`, `${layer}.mlpf`]) {
    tensor(`${name}.experts.weight`, 3, 8, 8);
    tensor(`${name}.output_experts.weight`, 3, 8, 8);
    tensor(`${name}.gate.w_gate.0.weight`, 4, 8);
    tensor(`${name}.gate.w_gate.0.bias`, 4);
    tensor(`${name}.gate.w_gate.3.weight`, 3, 4);
  }
  tensor("transformer.wte.weight", 16384, 8);
  tensor("lm_head.weight", 16384, 8);
  const config = {
    model_type: "moduleformer",
    vocab_size: 16384,
    n_embd: 8,
    n_layer: 1,
    n_head: 1,
    att_hidden: 8,
    n_att_experts: 3,
    k_att: 2,
    ffd_hidden: 8,
    n_mlp_experts: 3,
    k_mlp: 2,
    gating_size: 4,
    block_size: 64,
  };
  await writeFile(join(folder, "config.json"), JSON.stringify(config));
  await writeFile(join(folder, "model.safetensors"), writeSafetensors(tensors));
  await copyFile(join(root, "packages/models/tokenizer/tokenizer.json"), join(folder, "tokenizer.json"));
}

describe("tessera models generate", () => {
  it("answers a prompt, the same for the same seed", async () => {
    const ask = (seed: number) =>
      tessera(
        `models generate --model ${folder} --prompt Hello --temperature 1 --max-tokens 5 --json --seed ${seed}`.split(
          " ",
        ),
        folder,
      );
    const [first, again, other] = [await ask(1), await ask(1), await ask(2)];
    expect(first.code).toBe(0);
    const answer = JSON.parse(first.out);
    expect(answer).toMatchObject({ finish: expect.any(String), usage: { completion: 5 } });
    expect(answer.text.length).toBeGreaterThan(0);
    expect(again.out).toBe(first.out);
    expect(JSON.parse(other.out).text).not.toBe(answer.text);
  });

  it("says what is wrong with a model that is not there, and with a prompt that is empty", async () => {
    const missing = await tessera(["models", "generate", "--model", "none", "--prompt", "x"], folder);
    expect(missing.code).not.toBe(0);
    expect(missing.err).toContain("UNKNOWN_RESOURCE");
    const empty = await tessera(["models", "generate", "--model", folder, "--prompt", ""], folder);
    expect(empty.code).not.toBe(0);
    expect(empty.err).toContain("the prompt is empty");
  });
});
