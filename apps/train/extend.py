"""Extends a mixture of experts: new modules learn new text while the old model stays as it is, bit for bit.

    python extend.py RUN STREAM OUT --attention 2 --feedforward 4 --steps 300 --minutes 10     again until it has ended

After ModuleFormer's description: every layer gets new modules, every router new rows, p = softmax over old and new rows
together. Only the new weights learn; an L2 penalty on the new router rows limits what they draw away from old modules.
OUT is a run like any other (`moe.py evaluate`, `export_language_model.py write`).
"""

import argparse
import copy
import dataclasses
import json
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from moe import LanguageModel, Pretraining, Router, Shape, load_run, read_stream
from trainer import Schedule, Trainer


class Appended(nn.Module):
    """weight = [old; new] along the modules: the old ones are a buffer, which no optimiser reaches."""

    def __init__(self, old: Tensor) -> None:
        super().__init__()
        self.register_buffer("old", old.detach().clone())

    def forward(self, new: Tensor) -> Tensor:
        return torch.cat([self.old, new])

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight[len(self.old) :].clone()


def widened(shape: Shape, attention: int, feedforward: int) -> Shape:
    more = {
        name: dataclasses.replace(modules, experts=modules.experts + count)
        for name, modules, count in (("attention", shape.attention, attention), ("feedforward", shape.feedforward, feedforward))
    }
    return dataclasses.replace(shape, **more)


def parts(model: LanguageModel) -> list[tuple[nn.Module, list[nn.Module]]]:
    """(part, [what holds one slice a module]) of every layer, attention first."""
    return [
        (part, [part.gate.output, part.output, part.query if hasattr(part, "query") else part.input])
        for layer in model.layers for part in (layer.attention, layer.feedforward)
    ]  # fmt: skip


def extend(model: LanguageModel, attention: int, feedforward: int, seed: int = 1) -> LanguageModel:
    """A model with that many modules more in every layer, of which only the new ones learn.

    A new module starts as a copy of an old one, drawn at random, with a hundredth of its spread as noise, and its router row
    likewise, so that it is chosen where its model was. Raises ValueError for a dense model.
    """
    if model.shape.gate is None:
        raise ValueError("a dense model has no modules to extend")
    generator = torch.Generator().manual_seed(seed)
    extended = copy.deepcopy(model).requires_grad_(False)
    extended.shape = widened(model.shape, attention, feedforward)
    for number, (part, holders) in enumerate(parts(extended)):
        count = feedforward if number % 2 else attention
        if count == 0:
            continue
        drawn = torch.randint(len(holders[0].weight), (count,), generator=generator)
        for holder in holders:
            old = holder.weight.detach()
            noise = torch.randn(count, *old.shape[1:], generator=generator) * old.std() / 100
            holder.weight = nn.Parameter(torch.cat([old, old[drawn] + noise]))
            parametrize.register_parametrization(holder, "weight", Appended(old), unsafe=True)
        part.gate.output.out_features += count
    return extended


def plain(model: LanguageModel) -> LanguageModel:
    """The extended model with ordinary weights, to be evaluated, exported or extended again."""
    whole = LanguageModel(model.shape)
    state = model.state_dict()
    for name in [name for name in state if name.endswith(".parametrizations.weight.original")]:
        stem = name.removesuffix(".parametrizations.weight.original")
        new, old = state.pop(name), state.pop(f"{stem}.parametrizations.weight.0.old")
        state[f"{stem}.weight"] = torch.cat([old, new])
    whole.load_state_dict(state)
    return whole


def kept(model: LanguageModel, places: list[Tensor]) -> LanguageModel:
    """Only the modules at `places`, one list for each part (attention first in each layer), alike in number for all layers."""
    attention, feedforward = len(places[0]), len(places[1])
    extra = attention - model.shape.attention.experts, feedforward - model.shape.feedforward.experts
    smaller = copy.deepcopy(model)
    smaller.shape = widened(model.shape, *extra)
    for (part, holders), chosen in zip(parts(smaller), places, strict=True):
        for holder in holders:
            holder.weight = nn.Parameter(holder.weight.detach()[chosen].clone())
        part.gate.output.out_features = len(chosen)
    return smaller


def without_new(model: LanguageModel, old: Shape) -> LanguageModel:
    """The extended model's first modules: the old model."""
    whole = plain(model) if any(parametrize.is_parametrized(holder) for _, holders in parts(model) for holder in holders) else model
    counts = (old.attention.experts, old.feedforward.experts)
    return kept(whole, [torch.arange(counts[number % 2]) for number in range(2 * old.layers)])


class Extension(Pretraining):
    """Pretraining of the new modules, with `regulariser` times the squared norm of the new router rows."""

    def __init__(self, *arguments, regulariser: float, **named) -> None:
        super().__init__(*arguments, **named)
        self.regulariser = regulariser

    def loss(self, ids: Tensor) -> tuple[Tensor, dict[str, float], int]:
        loss, figures, count = super().loss(ids)
        routers = [module.output for module in self.model.modules() if isinstance(module, Router)]
        rows = [router.parametrizations.weight.original for router in routers if parametrize.is_parametrized(router)]
        penalty = sum((row.square().sum() for row in rows), loss.new_zeros(()))
        return loss + self.regulariser * penalty, {**figures, "rows": penalty.item()}, count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("stream", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--attention", type=int, default=2)
    parser.add_argument("--feedforward", type=int, default=4)
    parser.add_argument("--regulariser", type=float, default=1e-3)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    model, size = load_run(chosen.run)
    extended = extend(model, chosen.attention, chosen.feedforward, chosen.seed)
    settings = size["pretraining"]
    task = Extension(
        extended, read_stream(chosen.stream, "train"), settings["batch"], settings["length"], chosen.seed, settings["balance"],
        regulariser=chosen.regulariser,
    )  # fmt: skip
    schedule = Schedule(chosen.steps, chosen.rate, warmup=max(1, chosen.steps // 10), decay=0.0, betas=(0.9, 0.95))
    ended = Trainer(task, schedule, chosen.out / "extension").run(chosen.minutes)
    for kind, count in (("attention", chosen.attention), ("feedforward", chosen.feedforward)):
        size["shape"][kind]["experts"] += count
    (chosen.out / "size.json").write_text(json.dumps(size, indent=1))
    (chosen.out / "pretraining").mkdir(exist_ok=True)
    torch.save({"model": plain(extended).state_dict()}, chosen.out / "pretraining" / "checkpoint.pt")
    print("the extension has ended" if ended else "stopped by --minutes: the same command goes on")


if __name__ == "__main__":
    main()
