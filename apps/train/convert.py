"""Turns published checkpoints of ModuleFormer (MoLM: .bin pickles) into safetensors, without running what is pickled.

    python convert.py FOLDER OUT [--dtype float32]     FOLDER as published: config.json and pytorch_model*.bin

Names and shapes stay as published; buffers that follow from the shape (attn.mask, attn.cum_weight) are left out. Several
shards stay several, with model.safetensors.index.json. `python convert.py random OUT` writes a small random checkpoint of
the same layout with what it computes (golden.json), for the tests of packages/models.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from pickle import UnpicklingError

import safetensors.torch
import torch
from torch import Tensor

from bundle import dump_golden
from moe import LanguageModel, Modules, Shape

BUFFERS = (".attn.mask", ".attn.cum_weight")
SPECIMEN = {
    "model_type": "moduleformer", "vocab_size": 160, "n_embd": 24, "n_layer": 2, "n_head": 1, "att_hidden": 24,
    "n_att_experts": 4, "k_att": 2, "ffd_hidden": 12, "n_mlp_experts": 5, "k_mlp": 2, "gating_size": 6, "gate_type": "mlp",
    "activation_function": "gelu_new", "block_size": 64, "history_length": 0, "layer_norm_epsilon": 1e-5, "tie_word_embeddings": False,
}  # fmt: skip


class UnsafePickle(Exception):
    """A shard asks for more than tensors: nothing of it was run."""


def read_shard(path: Path) -> dict[str, Tensor]:
    """The tensors of a .bin file. Raises UnsafePickle where it names anything but tensors and their parts."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise UnsafePickle(f"{path}: {str(error).splitlines()[0]}") from error
    if not isinstance(found, dict) or not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in found.items()):
        raise UnsafePickle(f"{path} holds something else than named tensors")
    return found


def convert(folder: Path, out: Path, dtype: torch.dtype | None = None) -> list[Path]:
    """Writes OUT/model*.safetensors and config.json; floats become `dtype` where one is given. Returns the files."""
    shards = sorted(folder.glob("pytorch_model*.bin"))
    if not shards:
        raise FileNotFoundError(f"{folder} has no pytorch_model*.bin")
    out.mkdir(parents=True, exist_ok=True)
    places, total, files = {}, 0, []
    for number, shard in enumerate(shards, 1):
        kept = {name: value for name, value in read_shard(shard).items() if not name.endswith(BUFFERS)}
        kept = {name: (value.to(dtype) if dtype and value.is_floating_point() else value).contiguous().clone() for name, value in kept.items()}
        name = "model.safetensors" if len(shards) == 1 else f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        safetensors.torch.save_file(kept, out / name, metadata={"format": "pt"})
        places.update(dict.fromkeys(kept, name))
        total += sum(value.numel() * value.element_size() for value in kept.values())
        files.append(out / name)
    if len(shards) > 1:
        index = {"metadata": {"total_size": total}, "weight_map": places}
        (out / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")
    (out / "config.json").write_text((folder / "config.json").read_text())
    return files


def shape_of(config: dict) -> Shape:
    """The shape that a published config.json means."""
    return Shape(
        vocabulary=config["vocab_size"], hidden=config["n_embd"], layers=config["n_layer"], heads=config["n_head"],
        context=config["block_size"] + config["history_length"], gate=config["gating_size"],
        attention=Modules(config["att_hidden"], config["n_att_experts"], config["k_att"]),
        feedforward=Modules(config["ffd_hidden"], config["n_mlp_experts"], config["k_mlp"]),
        normEpsilon=config.get("layer_norm_epsilon", 1e-5),
    )  # fmt: skip


def published_names(layers: int) -> Iterator[tuple[str, str, bool]]:
    """(published name, ours, whether the last two axes are swapped); key_value and head, which differ in kind, apart."""
    yield from ((f"transformer.{theirs}", ours, False) for theirs, ours in (
        ("wte.weight", "embedding.weight"), ("ln_f.weight", "norm.weight"), ("ln_f.bias", "norm.bias"),
    ))  # fmt: skip
    for i in range(layers):
        for theirs, ours, norm, experts in (
            ("attn.q_proj", "attention", "ln_1", ("query", "output")), ("mlpf", "feedforward", "ln_2", ("input", "output")),
        ):  # fmt: skip
            there, here = f"transformer.h.{i}", f"layers.{i}.{ours}"
            for part in ("weight", "bias"):
                yield f"{there}.{norm}.{part}", f"{here}.norm.{part}", False
                yield f"{there}.{theirs}.gate.w_gate.0.{part}", f"{here}.gate.input.{part}", False
            yield f"{there}.{theirs}.gate.w_gate.3.weight", f"{here}.gate.output.weight", False
            yield f"{there}.{theirs}.experts.weight", f"{here}.{experts[0]}.weight", True
            yield f"{there}.{theirs}.output_experts.weight", f"{here}.{experts[1]}.weight", True


def language_model_of(config: dict, weights: dict[str, Tensor]) -> tuple[LanguageModel, Tensor]:
    """(model, output embedding). Keys and values are the identity: the normed input itself, twice.

    Raises ValueError where the layout is another: several heads, or keys and values with weights of their own.
    """
    shape = shape_of(config)
    if shape.heads != 1 or shape.attention.size != shape.hidden:
        raise ValueError("keys and values are the identity only of one head as wide as the model")
    state = {ours: weights[theirs].float().mT if swapped else weights[theirs].float() for theirs, ours, swapped in published_names(shape.layers)}
    identity = torch.eye(shape.hidden)
    for i in range(shape.layers):
        state[f"layers.{i}.attention.key_value.weight"] = torch.cat([identity, identity])
        state[f"layers.{i}.attention.key_value.bias"] = torch.zeros(2 * shape.hidden)
    model = LanguageModel(shape)
    model.load_state_dict(state)
    return model.eval(), weights["lm_head.weight"].float()


def random_weights(config: dict, seed: int = 13) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = shape_of(config)
    state = LanguageModel(shape).state_dict()
    weights = {}
    for theirs, ours, swapped in published_names(shape.layers):
        value = torch.randn(state[ours].shape, generator=generator) / shape.hidden**0.5
        value = value + 1 if theirs.endswith((".ln_1.weight", ".ln_2.weight", ".ln_f.weight")) else value
        weights[theirs] = (value.mT if swapped else value).contiguous()
    return weights | {"lm_head.weight": torch.randn(shape.vocabulary, shape.hidden, generator=generator)}


@torch.no_grad()
def random_checkpoint(out: Path) -> None:
    weights = random_weights(SPECIMEN)
    model, head = language_model_of(SPECIMEN, weights)
    generator = torch.Generator().manual_seed(17)
    cases = []
    for name, length in (("one", 1), ("short", 5), ("longer", 30)):
        ids = torch.randint(0, model.shape.vocabulary, (1, length), generator=generator)
        x, routes = model(ids)
        logprobs = (x @ head.T)[0].log_softmax(-1)
        chosen = {kind: torch.stack([routed.chosen for routed in routes[first::2]], 1).tolist() for first, kind in enumerate(("attention", "feedforward"))}
        cases.append({
            "name": name, "ids": ids[0].tolist(), "logprobs": logprobs[:-1].gather(-1, ids[0, 1:, None])[:, 0].tolist(),
            "argmax": logprobs[:-1].argmax(-1).tolist(), "last": logprobs[-1].tolist(), **chosen,
        })  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    (out / "config.json").write_text(json.dumps(SPECIMEN, indent=1) + "\n")
    (out / "golden.json").write_text(dump_golden({"cases": cases}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="as published, or the word random")
    parser.add_argument("out", type=Path)
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"))
    chosen = parser.parse_args()
    if chosen.folder == "random":
        random_checkpoint(chosen.out)
        return
    try:
        files = convert(Path(chosen.folder), chosen.out, getattr(torch, chosen.dtype) if chosen.dtype else None)
    except (UnsafePickle, FileNotFoundError) as error:
        sys.exit(str(error))
    print("\n".join(map(str, files)))


if __name__ == "__main__":
    main()
