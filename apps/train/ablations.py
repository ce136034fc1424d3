"""What each part of the encoder's training brings: arms of equal steps from one bag stage, paired by seed.

    python ablations.py CORPUS RUN FOLDER [--steps 60] [--seeds 3]

RUN is a run of encoder.py whose stage "bag" has ended; every arm goes on from it with the same batches. Arms: all parts;
without distillation; without the cross terms; one model for each exit alone; and, for the stage "language" before the
pairs, with and without the repository loss. An arm that has its figures in FOLDER is not trained again. Prints one JSON
line for each comparison: the difference of MRR among 1,000 (held-out repositories) from the arm it is paired with, the mean
over the seeds, with a 95 % bootstrap interval over queries, and the difference of every seed.
"""

import argparse
import json
from pathlib import Path

import numpy
import torch

from encoder import DATA, HERE, Encoder, Language, Pairs, Shape, ranks_by_exit
from trainer import Schedule, Trainer
from views import read_pairs, read_questions

SIZE = json.loads((HERE / "sizes" / "encoder-small.json").read_text())
EXITS = SIZE["shape"]["exits"]
ARMS = ("all", "distillation", "cross", *(f"alone-{exit}" for exit in EXITS), "language", "repository")


def train(arm: str, seed: int, steps: int, corpus: Path, pairs: list[dict], bag: Path, folder: Path) -> dict[str, numpy.ndarray]:
    """The reciprocal ranks of one arm and seed, from FOLDER where they are there."""
    path = folder / f"{arm}-{seed}.npz"
    if path.exists():
        return dict(numpy.load(path))
    torch.manual_seed(seed)
    model = Encoder(Shape.of(SIZE["shape"]))
    model.load_state_dict(torch.load(bag / "bag" / "checkpoint.pt", map_location="cpu", weights_only=True)["model"])
    model.embedding.requires_grad_(False)
    if arm in ("language", "repository"):
        task = Language(model, corpus, 8, seed, frozenset({arm} & {"repository"}))
        Trainer(task, Schedule(steps // 2, 3e-4, warmup=10), folder / f"{arm}-{seed}" / "language").run(60)
    alone = int(arm.removeprefix("alone-")) if arm.startswith("alone-") else None
    task = Pairs(model, pairs, 64, seed, left_out=frozenset({arm} & {"distillation", "cross"}), longest=96, alone=alone)
    Trainer(task, Schedule(steps, 3e-4, warmup=10), folder / f"{arm}-{seed}" / "pairs").run(60)
    ranks = ranks_by_exit(model, read_pairs(corpus / "pairs" / "development.jsonl"), limit=2_000)
    found = {name: values.numpy() for name, values in ranks.items()}
    numpy.savez(path, **found)
    return found


def compare(arms: dict[str, list[dict[str, numpy.ndarray]]], arm: str, base: str, figure: str) -> dict:
    """arm minus base."""
    seeds = numpy.stack([own[figure] - other[figure] for own, other in zip(arms[arm], arms[base], strict=True)])
    each = seeds.mean(0)
    generator = numpy.random.default_rng(1)
    means = each[generator.integers(0, len(each), (2_000, len(each)))].mean(1)
    low, high = numpy.quantile(means, (0.025, 0.975))
    line = {"arm": arm, "against": base, "figure": figure, "base": float(numpy.mean([other[figure] for other in arms[base]]))}
    return {**line, "difference": float(each.mean()), "low": float(low), "high": float(high), "seeds": seeds.mean(1).round(5).tolist()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, help="CPU threads")
    chosen = parser.parse_args()
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    pairs = read_pairs(chosen.corpus / "pairs" / "train.jsonl") + 3 * read_questions(DATA)
    arms: dict[str, list] = {arm: [] for arm in ARMS}
    for seed in range(1, chosen.seeds + 1):
        for arm in ARMS:
            arms[arm].append(train(arm, seed, chosen.steps, chosen.corpus, pairs, chosen.run, chosen.folder))
    last = max(EXITS)
    whole = f"width {SIZE['shape']['widths'][-1]}"
    own = [f"exit {exit} {whole}" for exit in EXITS]
    crossed = [f"exit {exit} on {last}" for exit in EXITS if exit != last]
    for arm, base, figures in (
        *((f"alone-{exit}", "all", [f"exit {exit} {whole}"]) for exit in EXITS),
        ("distillation", "all", own),
        ("cross", "all", [*own, *crossed]),
        ("language", "all", own),
        ("repository", "language", own),
    ):
        for figure in figures:
            print(json.dumps(compare(arms, arm, base, figure)), flush=True)


if __name__ == "__main__":
    main()
