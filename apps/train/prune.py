"""Specialises a mixture of experts: concentrates its load on one domain, then drops the modules that carry none.

    python prune.py concentrate RUN STREAM OUT --weight 0.01 --steps 200 --minutes 10     again until it has ended
    python prune.py prune RUN STREAM OUT --keep 0.5 [--random SEED]

After ModuleFormer's description: fine-tune without the balance loss and with `weight` times the marginal entropy of every
router, count on held-out text how often each module is chosen, keep the most frequent. OUT is a run like any other.
"""

import argparse
import json
from pathlib import Path

import numpy
import torch
from torch import Tensor

from extend import kept
from moe import LanguageModel, Pretraining, load_run, read_stream
from trainer import Schedule, Trainer


@torch.no_grad()
def counts(model: LanguageModel, stream: numpy.ndarray, length: int = 256, windows: int = 32) -> list[Tensor]:
    """How often each module is chosen on windows spread over the stream; one vector a part, attention first in each layer."""
    starts = numpy.linspace(0, len(stream) - length - 1, windows).astype(int)
    total = None
    for start in starts:
        _, routes = model(torch.from_numpy(stream[start : start + length].astype(numpy.int64))[None])
        found = [routed.chosen.flatten().bincount(minlength=routed.probabilities.shape[1]) for routed in routes]
        total = found if total is None else [a + b for a, b in zip(total, found, strict=True)]
    return total


def most_used(used: list[Tensor], keep: float, tops: tuple[int, int]) -> list[Tensor]:
    """The places of the `keep` share of modules chosen most in each part, at least as many as run for a token; ties to the lower."""
    places = []
    for number, count in enumerate(used):
        size = max(tops[number % 2], round(keep * len(count)))
        places.append(count.argsort(descending=True, stable=True)[:size].sort().values)
    return places


def prune(model: LanguageModel, used: list[Tensor], keep: float) -> LanguageModel:
    return kept(model, most_used(used, keep, (model.shape.attention.top, model.shape.feedforward.top))).eval()


def at_random(used: list[Tensor], seed: int) -> list[Tensor]:
    """Counts that mean nothing: the control of pruning by frequency."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randperm(len(count), generator=generator) for count in used]


def save(model: LanguageModel, size: dict, out: Path) -> None:
    for kind in ("attention", "feedforward"):
        size["shape"][kind]["experts"] = getattr(model.shape, kind).experts
    (out / "pretraining").mkdir(parents=True, exist_ok=True)
    (out / "size.json").write_text(json.dumps(size, indent=1))
    torch.save({"model": model.state_dict()}, out / "pretraining" / "checkpoint.pt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("concentrate", "prune"):
        command = commands.add_parser(name)
        for argument in ("run", "stream", "out"):
            command.add_argument(argument, type=Path)
        if name == "prune":
            command.add_argument("--keep", type=float, default=0.5)
            command.add_argument("--random", type=int, metavar="SEED", help="drop modules drawn at random: a control")
        else:
            command.add_argument("--weight", type=float, default=0.01)
            command.add_argument("--steps", type=int, default=200)
            command.add_argument("--rate", type=float, default=3e-4)
            command.add_argument("--minutes", type=float, default=10)
            command.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    model, size = load_run(chosen.run)
    if chosen.command == "prune":
        used = counts(model, read_stream(chosen.stream, "held-out"))
        save(prune(model, used if chosen.random is None else at_random(used, chosen.random), chosen.keep), size, chosen.out)
        return
    settings = size["pretraining"]
    task = Pretraining(model, read_stream(chosen.stream, "train"), settings["batch"], settings["length"], chosen.seed, 0.0, chosen.weight)
    schedule = Schedule(chosen.steps, chosen.rate, warmup=max(1, chosen.steps // 10), betas=(0.9, 0.95))
    ended = Trainer(task, schedule, chosen.out / "concentration").run(chosen.minutes)
    save(model, size, chosen.out)
    print("the concentration has ended" if ended else "stopped by --minutes: the same command goes on")


if __name__ == "__main__":
    main()
