"""Tiny random checkpoints of decoder families as transformers saves them, with golden logits and routes.

    python tiny_decoders.py ../../packages/models/src/fixtures/decoders            # transformers 5.24.0: weights, golden
    python tiny_decoders.py ../../packages/models/src/fixtures/decoders --configs  # transformers 4.57.1: config-4.json beside them

Weights are saved in fp16; golden logits are computed in fp32 from these. Needs torch, transformers, safetensors.
"""

import argparse
import base64
import json
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file

SHARED = dict(
    vocab_size=64,
    hidden_size=32,
    intermediate_size=40,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=128,
    rms_norm_eps=1e-5,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=0,
)
EXPERTS = dict(num_experts_per_tok=2)
LLAMA3 = dict(
    rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32
)
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32)
FAMILIES = {
    "llama": ("Llama", dict(tie_word_embeddings=True, rope_theta=10000.0)),
    "llama-scaled": ("Llama", dict(attention_bias=True, mlp_bias=True, rope_theta=500.0, rope_scaling=LLAMA3)),
    "llama-yarn": ("Llama", dict(rope_theta=500.0, rope_scaling=YARN)),
    "mistral": ("Mistral", dict(sliding_window=64, head_dim=16, rope_theta=1000.0)),
    "qwen2": ("Qwen2", dict(rope_theta=1000.0)),
    "qwen3": ("Qwen3", dict(head_dim=16, rope_theta=1000.0)),
    "granite": (
        "Granite",
        dict(
            embedding_multiplier=3.0,
            attention_multiplier=0.2,
            residual_multiplier=0.3,
            logits_scaling=2.0,
            rope_theta=1000.0,
        ),
    ),
    "granitemoe": (
        "GraniteMoe",
        dict(
            EXPERTS,
            num_local_experts=5,
            embedding_multiplier=3.0,
            attention_multiplier=0.2,
            residual_multiplier=0.3,
            logits_scaling=2.0,
            rope_theta=1000.0,
        ),
    ),
    "olmoe": ("Olmoe", dict(EXPERTS, num_experts=5, rope_theta=1000.0)),
    "qwen2moe": (
        "Qwen2Moe",
        dict(
            EXPERTS,
            num_experts=5,
            moe_intermediate_size=24,
            shared_expert_intermediate_size=16,
            decoder_sparse_step=1,
            mlp_only_layers=[0],
            rope_theta=1000.0,
        ),
    ),
    "qwen3moe": (
        "Qwen3Moe",
        dict(EXPERTS, num_experts=5, moe_intermediate_size=24, norm_topk_prob=True, head_dim=16, rope_theta=1000.0),
    ),
    "mixtral": ("Mixtral", dict(EXPERTS, num_local_experts=5, sliding_window=None, rope_theta=1000.0)),
    "jetmoe": (
        "JetMoe",
        dict(
            EXPERTS,
            num_local_experts=4,
            kv_channels=8,
            num_key_value_heads=2,
            rope_theta=1000.0,
        ),
    ),
}


def configured(family, settings):
    config = getattr(transformers, f"{family}Config")
    options = {**SHARED, **settings}
    if family == "JetMoe":
        options.pop("num_attention_heads")
    if "4." == transformers.__version__[:2] or "rope_theta" not in options:
        return config(**options)
    rules = {"rope_theta": options.pop("rope_theta"), **(options.pop("rope_scaling", None) or {"rope_type": "default"})}
    return config(**options, rope_parameters=rules)


def make(name, folder):
    family, settings = FAMILIES[name]
    torch.manual_seed(24)
    model = getattr(transformers, f"{family}ForCausalLM")(configured(family, settings)).eval()
    with torch.no_grad():
        for parameter in model.named_parameters():
            key, value = parameter
            middle = 1.0 if "norm" in key else 0.0
            spread = 0.2 if value.dim() == 1 else 1.2 / value.shape[-1] ** 0.5
            value.copy_(middle + spread * torch.randn_like(value))
    model.half().save_pretrained(folder)
    # read again: half() rounds the frequencies of the rotation too
    model = type(model).from_pretrained(folder, dtype=torch.float32).eval()
    ids = torch.randint(3, 64, (1, 40), generator=torch.Generator().manual_seed(7))
    routed = "num_experts_per_tok" in settings
    with torch.no_grad():
        found = model(ids, **({"output_router_logits": True} if routed and family != "JetMoe" else {}))
    logits = found.logits[0].float().contiguous()
    golden = {
        "transformers": transformers.__version__,
        "ids": ids[0].tolist(),
        "logits": base64.b64encode(logits.numpy().tobytes()).decode(),
    }
    if routed and family != "JetMoe":
        chosen = [each.float().topk(settings["num_experts_per_tok"], dim=-1).indices for each in found.router_logits]
        golden["routes"] = [each.reshape(-1, settings["num_experts_per_tok"]).tolist() for each in chosen]
    (folder / "golden.json").write_text(json.dumps(golden) + "\n")
    (folder / "generation_config.json").unlink(missing_ok=True)
    print(name, sorted(load_file(folder / "model.safetensors"))[:40], (folder / "model.safetensors").stat().st_size)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("output", type=Path)
    parser.add_argument("--configs", action="store_true")
    options = parser.parse_args()
    for name, (family, settings) in FAMILIES.items():
        folder = options.output / name
        folder.mkdir(parents=True, exist_ok=True)
        if options.configs:
            model = getattr(transformers, f"{family}ForCausalLM")(configured(family, settings))
            names = sorted(key for key in load_file(folder / "model.safetensors"))
            model.half().save_pretrained(folder / "four")
            assert sorted(load_file(folder / "four" / "model.safetensors")) == names, name
            (folder / "four" / "config.json").rename(folder / "config-4.json")
            for file in (folder / "four").iterdir():
                file.unlink()
            (folder / "four").rmdir()
        else:
            make(name, folder)


if __name__ == "__main__":
    main()
