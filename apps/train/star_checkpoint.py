"""A small random checkpoint in the layout of ModularStarEncoder, with golden outputs for packages/models.

    python star_checkpoint.py FOLDER

Writes config.json, model.safetensors and golden.json. The body is StarCoder2 without its causal mask: LayerNorm with bias,
grouped-query attention with half-split rotary positions, a plain MLP with tanh GELU; after each layer of
`matryoshka_layers` a projection of its own, and the vector of the closing [cls] at unit length. hidden_states follow
transformers: the body's last norm is applied after the last layer only.
"""

import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

CONFIG = {
    "architectures": ["ModularStarEncoder"],
    "model_type": "starcoder2",
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "vocab_size": 160,
    "norm_epsilon": 1e-5,
    "rope_theta": 999999.44,
    "max_position_embeddings": 128,
    "hidden_act": "gelu_pytorch_tanh",
    "use_bias": True,
    "matryoshka_layers": [1, 2, 4],
    "sep_token_id": 2,
    "cls_token_id": 1,
}


def checkpoint(seed: int) -> dict[str, Tensor]:
    """Random tensors under the names of Starcoder2Model; biases and norms are random too, so that none can be forgotten."""
    draw = torch.Generator().manual_seed(seed)
    hidden, inner, size = CONFIG["hidden_size"], CONFIG["intermediate_size"], CONFIG["hidden_size"] // CONFIG["num_attention_heads"]
    shared = size * CONFIG["num_key_value_heads"]
    tensors: dict[str, Tensor] = {}

    def linear(name: str, rows: int, columns: int) -> None:
        tensors[f"{name}.weight"] = torch.randn(rows, columns, generator=draw) / columns**0.5
        tensors[f"{name}.bias"] = torch.randn(rows, generator=draw) / 10

    def norm(name: str) -> None:
        tensors[f"{name}.weight"] = 1 + torch.randn(hidden, generator=draw) / 10
        tensors[f"{name}.bias"] = torch.randn(hidden, generator=draw) / 10

    tensors["model.embed_tokens.weight"] = torch.randn(CONFIG["vocab_size"], hidden, generator=draw)
    for i in range(CONFIG["num_hidden_layers"]):
        layer = f"model.layers.{i}"
        norm(f"{layer}.input_layernorm")
        linear(f"{layer}.self_attn.q_proj", hidden, hidden)
        linear(f"{layer}.self_attn.k_proj", shared, hidden)
        linear(f"{layer}.self_attn.v_proj", shared, hidden)
        linear(f"{layer}.self_attn.o_proj", hidden, hidden)
        norm(f"{layer}.post_attention_layernorm")
        linear(f"{layer}.mlp.c_fc", inner, hidden)
        linear(f"{layer}.mlp.c_proj", hidden, inner)
    norm("model.norm")
    for i in range(len(CONFIG["matryoshka_layers"])):
        linear(f"projection_fn.{i}", hidden, hidden)
    return tensors


def hidden_states(tensors: dict[str, Tensor], ids: Tensor) -> list[Tensor]:
    """[tokens, hidden] before the first layer and after each; the last one normed."""
    heads, shared = CONFIG["num_attention_heads"], CONFIG["num_key_value_heads"]
    size = CONFIG["hidden_size"] // heads

    def linear(name: str, x: Tensor) -> Tensor:
        return F.linear(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"])

    def norm(name: str, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], tensors[f"{name}.weight"], tensors[f"{name}.bias"], CONFIG["norm_epsilon"])

    frequencies = CONFIG["rope_theta"] ** (-torch.arange(0, size, 2) / size)
    angles = torch.arange(len(ids))[:, None] * frequencies
    turn = torch.polar(torch.ones_like(angles), angles)[:, None]

    def rotate(x: Tensor) -> Tensor:
        left, right = x.chunk(2, -1)
        turned = torch.complex(left, right) * turn
        return torch.cat([turned.real, turned.imag], -1)

    x = tensors["model.embed_tokens.weight"][ids]
    states = [x]
    for i in range(CONFIG["num_hidden_layers"]):
        layer = f"model.layers.{i}"
        normed = norm(f"{layer}.input_layernorm", x)
        query = rotate(linear(f"{layer}.self_attn.q_proj", normed).view(-1, heads, size))
        key = rotate(linear(f"{layer}.self_attn.k_proj", normed).view(-1, shared, size))
        value = linear(f"{layer}.self_attn.v_proj", normed).view(-1, shared, size)
        key, value = (part.repeat_interleave(heads // shared, 1) for part in (key, value))
        attended = F.scaled_dot_product_attention(*(part.transpose(0, 1) for part in (query, key, value)))
        x = x + linear(f"{layer}.self_attn.o_proj", attended.transpose(0, 1).reshape(len(ids), -1))
        inner = F.gelu(linear(f"{layer}.mlp.c_fc", norm(f"{layer}.post_attention_layernorm", x)), approximate="tanh")
        x = x + linear(f"{layer}.mlp.c_proj", inner)
        states.append(x)
    return [*states[:-1], norm("model.norm", x)]


def golden(tensors: dict[str, Tensor], seed: int) -> dict:
    draw = torch.Generator().manual_seed(seed)
    cases = []
    for number, length in enumerate([1, 2, 3, 7, 16, 40, 128]):
        ids = torch.randint(CONFIG["vocab_size"], (length,), generator=draw)
        states = hidden_states(tensors, ids)
        vectors = {}
        for i, layer in enumerate(CONFIG["matryoshka_layers"]):
            exit = F.linear(states[layer], tensors[f"projection_fn.{i}.weight"], tensors[f"projection_fn.{i}.bias"])
            vectors[str(layer)] = [float(f"{value:.9g}") for value in F.normalize(exit[-1], dim=0).tolist()]
        kind = ("query", "code", "text")[number % 3]
        cases.append({"name": f"{length}-tokens", "kind": kind, "text": "", "ids": ids.tolist(), "vectors": vectors})
    return {"cases": cases}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    weights = checkpoint(seed=1)
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    (folder / "golden.json").write_text(json.dumps(golden(weights, seed=2)) + "\n")
