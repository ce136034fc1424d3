"""The experiments of docs/models/moe.md on abilities of the mixture: one JSON line an arm and seed, resumable.

    python experiments.py extension SIZE STREAM OUT        a language learnt: new modules, full fine-tuning, LoRA; 3 seeds
    python experiments.py specialisation SIZE STREAM OUT   one language kept: half of the modules, by use and at random

A base is trained on the stream without the new language, once (OUT/base); each arm goes on from it for `--steps`.
OUT/<experiment>.jsonl keeps what was measured, and arms that stand there are not run again. Perplexities come with the loss
of every window, so that differences are paired by window: `"change"` is the rise of old-domain (specialisation: of kept)
perplexity in per cent with a 95 % bootstrap interval.
"""

import argparse
import copy
import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

import prune
import tokenizer as tokens
from extend import Extension, extend, plain
from moe import LanguageModel, Pretraining, Shape, next_token_loss, read_size, read_stream
from trainer import Schedule, Trainer

WINDOWS = 48
SEEDS = (1, 2, 3)
WEIGHTS = (0.0, 0.01, 0.1, 1.0)  # of concentration
REGULARISERS = (1e-3, 1e-2, 1e-1)  # of the new router rows


def split_by_language(stream: numpy.ndarray, language: str) -> tuple[numpy.ndarray, numpy.ndarray]:
    """(documents of the language, all others), cut where a document's mark stands."""
    marks = numpy.isin(stream, [tokens.ID[name] for name in (*tokens.LANGUAGES, "text")])
    starts = numpy.flatnonzero(marks)
    parts = numpy.split(numpy.asarray(stream), starts)[1:]
    inside = [part for part in parts if part[0] == tokens.ID[language]]
    outside = [part for part in parts if part[0] != tokens.ID[language]]
    return numpy.concatenate(inside), numpy.concatenate(outside)


@torch.no_grad()
def losses(model: LanguageModel, stream: numpy.ndarray, length: int) -> numpy.ndarray:
    """The mean loss of each of WINDOWS windows spread over the stream."""
    model.eval()
    starts = numpy.linspace(0, len(stream) - length - 1, WINDOWS).astype(int)
    rows = [torch.from_numpy(stream[start : start + length + 1].astype(numpy.int64))[None] for start in starts]
    return numpy.array([next_token_loss(model, row)[0].item() for row in rows])


def change(after: numpy.ndarray, before: numpy.ndarray, samples: int = 2_000) -> dict[str, float | list[float]]:
    """The rise of perplexity in per cent, paired by window, with its 95 % bootstrap interval."""
    difference = after - before
    drawn = numpy.random.default_rng(0).integers(0, len(difference), (samples, len(difference)))
    low, high = numpy.quantile(difference[drawn].mean(1), [0.025, 0.975])
    per_cent = [100 * math.expm1(value) for value in (difference.mean(), low, high)]
    return {"per cent": round(per_cent[0], 2), "interval": [round(value, 2) for value in per_cent[1:]]}


class LowRank(nn.Module):
    """weight + up · down, of the given rank, for the last two axes (LoRA); it starts as the weight itself."""

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        *many, outputs, inputs = weight.shape
        self.down = nn.Parameter(torch.randn(*many, rank, inputs) / math.sqrt(inputs))
        self.up = nn.Parameter(torch.zeros(*many, outputs, rank))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.up @ self.down


def low_rank(model: LanguageModel, trainable: int) -> LanguageModel:
    """LoRA on queries, keys and values, outputs and feedforward, of the rank that has nearest to `trainable` parameters."""
    adapted = copy.deepcopy(model).requires_grad_(False)
    parts = [part for layer in adapted.layers for part in (layer.attention, layer.feedforward)]
    holders = [getattr(part, name) for part in parts for name in ("query", "key_value", "input", "output") if hasattr(part, name)]
    cost = sum(math.prod(holder.weight.shape[:-2]) * sum(holder.weight.shape[-2:]) for holder in holders)
    rank = max(1, round(trainable / cost))
    for holder in holders:
        parametrize.register_parametrization(holder, "weight", LowRank(holder.weight, rank), unsafe=True)
    return adapted


def tune(model: LanguageModel, stream: numpy.ndarray, folder: Path, settings: dict, steps: int, rate: float, seed: int, **weights: float) -> LanguageModel:  # fmt: skip
    """Goes on from the model, on the stream; `weights` are those of the losses of routing."""
    kind = Extension if "regulariser" in weights else Pretraining
    task = kind(model, stream, settings["batch"], settings["length"], seed, weights.pop("balance", 0.0), **weights)
    schedule = Schedule(steps, rate, warmup=max(1, steps // 10), betas=(0.9, 0.95), decay=0.0)
    Trainer(task, schedule, folder).run(minutes=600)
    return model


def trainable(model: LanguageModel) -> int:
    return sum(weight.numel() for weight in model.parameters() if weight.requires_grad)


def extension(base: LanguageModel, new: tuple, old: tuple, settings: dict, out: Path, steps: int) -> Iterable[tuple[str, Callable[[], dict]]]:  # fmt: skip
    """Arms of the extension: (name, what measures it)."""
    length = settings["length"]
    before = losses(base, old[1], length), losses(base, new[1], length)

    def arm(kind: str, seed: int, regulariser: float | None = None) -> dict:
        torch.manual_seed(seed)
        more = (base.shape.attention.experts // 2, base.shape.feedforward.experts // 2)
        extended = extend(base, *more, seed=seed)
        weights = {"balance": settings["balance"]}
        if regulariser:
            model, weights = extended, weights | {"regulariser": regulariser}
        else:
            model = copy.deepcopy(base) if kind == "full fine-tuning" else low_rank(base, trainable(extended))
        count = trainable(model)
        tune(model, new[0], out / f"{kind.replace(' ', '-').replace(',', '')}-{seed}", settings, steps, 1e-3, seed, **weights)
        model = plain(model) if regulariser else model
        after = losses(model, old[1], length), losses(model, new[1], length)
        return {"trainable": count, "old": change(after[0], before[0]), "new": change(after[1], before[1])}

    kinds = {**{f"new modules, regulariser {value:g}": value for value in REGULARISERS}, "full fine-tuning": None, "LoRA": None}
    for seed in SEEDS:
        for kind, regulariser in kinds.items():
            yield f"{kind} {seed}", lambda kind=kind, seed=seed, regulariser=regulariser: arm(kind, seed, regulariser)


def specialisation(base: LanguageModel, new: tuple, old: tuple, settings: dict, out: Path, steps: int, weights: Iterable[float] = WEIGHTS) -> Iterable[tuple[str, Callable[[], dict]]]:  # fmt: skip
    """Arms of the specialisation: tuned with concentration or without, then half of the modules kept by use or at random."""
    length = settings["length"]
    for weight in weights:
        def tuned(weight: float = weight) -> LanguageModel:
            return tune(copy.deepcopy(base), new[0], out / f"concentration-{weight}", settings, steps, 3e-4, 1, concentration=weight).eval()

        def by_use(weight: float = weight, tuned=tuned) -> dict:
            model = tuned()
            used = prune.counts(model, new[1], length)
            half = sum((count.sort(descending=True).values[: len(count) // 2].sum() / count.sum()).item() for count in used) / len(used)
            whole = losses(model, new[1], length)
            return {"kept share of use": round(half, 4), "tuning": change(whole, losses(base, new[1], length)), "pruned": change(losses(prune.prune(model, used, 0.5), new[1], length), whole)}  # fmt: skip

        def drawn(seed: int, tuned=tuned) -> dict:
            model = tuned()
            chance = prune.at_random(prune.counts(model, new[1], length), seed)
            return {"pruned": change(losses(prune.prune(model, chance, 0.5), new[1], length), losses(model, new[1], length))}

        yield f"concentration {weight}, by use", by_use
        for seed in SEEDS:
            yield f"concentration {weight}, at random {seed}", lambda seed=seed, drawn=drawn: drawn(seed)


def run(experiment: str, size_name: str, stream: Path, out: Path, language: str, steps: int, **more: Iterable[float]) -> None:
    size = read_size(size_name)
    settings = size["pretraining"]
    new, old = zip(*(split_by_language(read_stream(stream, split), language) for split in ("train", "held-out")), strict=True)
    torch.manual_seed(1)
    base = LanguageModel(Shape.of(size["shape"]))
    known = old if experiment == "extension" else tuple(read_stream(stream, split) for split in ("train", "held-out"))
    folder = out / ("base" if experiment == "extension" else "base-all")
    tune(base, known[0], folder, settings, settings["steps"], settings["rate"], 1, balance=settings["balance"]).eval()
    log = out / f"{experiment}.jsonl"
    done = {json.loads(line)["arm"] for line in log.read_text().splitlines()} if log.exists() else set()
    for name, measure in {"extension": extension, "specialisation": specialisation}[experiment](base, new, old, settings, out, steps, **more):
        if name in done:
            continue
        line = json.dumps({"experiment": experiment, "size": size_name, "language": language, "steps": steps, "arm": name, **measure()})
        print(line, flush=True)
        with open(log, "a") as file:
            file.write(line + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", choices=("extension", "specialisation"))
    parser.add_argument("size")
    parser.add_argument("stream", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--language", default="go")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--weights", type=float, nargs="+", help="of concentration, in place of 0, 0.01, 0.1 and 1")
    parser.add_argument("--threads", type=int)
    chosen = parser.parse_args()
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    more = {"weights": chosen.weights} if chosen.weights else {}
    run(chosen.experiment, chosen.size, chosen.stream, chosen.out, chosen.language, chosen.steps, **more)


if __name__ == "__main__":
    main()
