"""Writes and reads bundles: docs/models/bundle.md is the format.

The stored int8 weights with one fp32 scale per output channel are the model. What they lost against the training
weights is measured here once, on export, and stands in the card.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import safetensors.torch
import torch

SHARD_BYTES = 15 * 1024 * 1024
LEAST_SCALED = 2.0**-119  # a row below this counts as zero
TOLERANCE = 1e-5  # of every component of a golden vector, in fp32


class BadBundle(Exception):
    """The folder is not a bundle, or was altered."""


def quantise(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """[..., out, in] → int8 of the same shape and fp32 scales [..., out]; round half to even."""
    weight = weight.detach().float()
    most = weight.abs().amax(dim=-1)
    scale = torch.where(most < LEAST_SCALED, torch.ones_like(most), most / 127)
    return (weight / scale[..., None]).round().clamp(-127, 127).to(torch.int8), scale


def quantise_all(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Matrices become `name` (int8) and `name.scale`; vectors stay fp32."""
    stored = {}
    for name, weight in state.items():
        if weight.dim() < 2:
            stored[name] = weight.detach().float().contiguous()
        else:
            stored[name], stored[f"{name}.scale"] = quantise(weight)
    return stored


def dequantise_all(stored: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The fp32 weights that the stored ones mean."""
    return {
        name: weight.float() * stored[f"{name}.scale"][..., None] if weight.dtype == torch.int8 else weight
        for name, weight in stored.items()
        if not name.endswith(".scale")
    }


def quantisation_loss(state: dict[str, torch.Tensor]) -> dict[str, float]:
    """|W − q·scale| / |W| in the Frobenius norm: the mean over the matrices, and the worst."""
    losses = []
    for weight in state.values():
        if weight.dim() >= 2:
            values, scale = quantise(weight)
            difference = weight.detach().float() - values.float() * scale[..., None]
            losses.append((difference.norm() / weight.detach().float().norm().clamp_min(1e-30)).item())
    return {"mean": sum(losses) / len(losses), "worst": max(losses)}


def write(
    folder: Path,
    config: dict,
    state: dict[str, torch.Tensor],
    tokenizer: Path | None,
    golden: Callable[[dict[str, torch.Tensor]], dict],
    card: str,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Writes a bundle. `golden` gets the dequantised fp32 weights and returns golden.json's document.

    The folder is written beside its place and moved there whole, so that no half of a bundle is ever seen.
    """
    fresh = folder.with_name(folder.name + ".writing")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    stored = quantise_all(state)
    _write_weights(fresh, stored, shard_bytes)
    if tokenizer:  # a fixture for tests is given ids
        shutil.copyfile(tokenizer, fresh / "tokenizer.json")
    (fresh / "golden.json").write_text(dump_golden(golden(dequantise_all(stored))))
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(fresh.iterdir())}
    (fresh / "config.json").write_text(
        json.dumps({"format": "tessera-bundle", "formatVersion": 1, **config, "files": files}, indent=2) + "\n"
    )
    (fresh / "CARD.md").write_text(card)
    for path in fresh.iterdir():
        path.chmod(0o644)
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def dump_golden(document: dict) -> str:
    """JSON with nine significant digits, which tell every fp32 number from its neighbours."""

    def shorten(value):
        if isinstance(value, float):
            return float(f"{value:.9g}")
        if isinstance(value, dict):
            return {key: shorten(inner) for key, inner in value.items()}
        return [shorten(inner) for inner in value] if isinstance(value, list) else value

    return json.dumps(shorten(document), ensure_ascii=False, separators=(",", ":")) + "\n"


def _write_weights(folder: Path, stored: dict[str, torch.Tensor], shard_bytes: int) -> None:
    groups: list[dict[str, torch.Tensor]] = [{}]
    for name, tensor in stored.items():
        groups[-1][name] = tensor
        if len(safetensors.torch.save(groups[-1])) > shard_bytes and len(groups[-1]) > 1:
            groups.append({name: groups[-1].pop(name)})
    if len(groups) == 1:
        safetensors.torch.save_file(groups[0], folder / "model.safetensors")
        return
    places = {}
    for number, group in enumerate(groups, 1):
        file = f"model-{number:05d}-of-{len(groups):05d}.safetensors"
        safetensors.torch.save_file(group, folder / file)
        places.update(dict.fromkeys(group, file))
    total = sum(tensor.numel() * tensor.element_size() for tensor in stored.values())
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": total}, "weight_map": places}, indent=1)
    )


def read(folder: Path) -> tuple[dict, dict[str, torch.Tensor]]:
    """(config, dequantised fp32 weights). Raises BadBundle where a file is missing, surplus in its index or altered."""
    try:
        config = json.loads((folder / "config.json").read_text())
        files = config["files"]
    except (OSError, ValueError, KeyError) as error:
        raise BadBundle(f"{folder / 'config.json'}: {error}") from error
    stored: dict[str, torch.Tensor] = {}
    for name, expected in files.items():
        try:
            content = (folder / name).read_bytes()
        except OSError as error:
            raise BadBundle(f"{folder / name}: {error}") from error
        if hashlib.sha256(content).hexdigest() != expected:
            raise BadBundle(f"{folder / name} was altered: its SHA-256 is not the one in config.json")
        if name.endswith(".safetensors"):
            stored.update(safetensors.torch.load(content))
    return config, dequantise_all(stored)


def differences(expected: dict, found: dict) -> Iterable[float]:
    """The absolute differences of all numbers of two golden documents; infinite where their shapes differ."""
    if isinstance(expected, dict) and isinstance(found, dict) and expected.keys() == found.keys():
        for key in expected:
            yield from differences(expected[key], found[key])
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for left, right in zip(expected, found, strict=True):
            yield from differences(left, right)
    elif isinstance(expected, (int, float)) and isinstance(found, (int, float)):
        yield abs(expected - found)
    elif expected != found:
        yield float("inf")


def check(folder: Path, golden: Callable[[dict, dict[str, torch.Tensor]], dict]) -> float:
    """The largest difference between golden.json and what `golden(config, weights)` computes now."""
    config, state = read(folder)
    expected = json.loads((folder / "golden.json").read_text())
    return max(differences(expected, golden(config, state)), default=float("inf"))
