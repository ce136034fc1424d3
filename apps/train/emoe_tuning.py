"""Does emergent modularity help tuning? One dense base learns to route CLINC's requests, arm by arm, paired by seed.

    python emoe_tuning.py run RUN OUT [--seeds 16]     trains what OUT/emoe-tuning.jsonl does not hold yet
    python emoe_tuning.py report OUT                   differences from the dense arm, one JSON line each

RUN is a dense run of moe.py over bytes. The utterances of each intent are clustered by their words; one cluster in four is a
phrasing that no training sees: accuracy there is the figure outside the domain. A seed draws the training examples, the
head and the order, alike for every arm. The learning rate is chosen on the dense arm, by validation, with other seeds.

Arms: dense; emoe (experts by clustered keys, avg-k gate); merged (the emoe arm, dense again for the test); sparse (the dense
arm, made emergent for the test only); learned (a gate that learns); random (clusters drawn); bottom (the experts of least
gate). After arXiv 2310.10908, section 4.
"""

import argparse
import copy
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import emoe
import tokenizer as tokens
from moe import LanguageModel, load_run, spell

CLINC = Path(os.environ.get("TESSERA_DATA", Path(__file__).parent.parent.parent.parent / "shared" / "data")) / "clinc"
TRAINED = ("dense", "emoe", "learned", "random", "bottom")
TESTED = {"emoe": "merged", "dense": "sparse"}
MARGIN = 0.5  # points within which two arms count as equivalent


@dataclass(frozen=True)
class Settings:
    intents: int = 30
    examples: int = 16
    validation: int = 10
    tested: int = 30
    epochs: int = 6
    batch: int = 32
    layers: tuple[int, ...] = (3,)
    experts: int = 64
    top: int = 16
    rates: tuple[float, ...] = (3e-4, 6e-4, 1.2e-3)


@dataclass(frozen=True)
class Utterances:
    """Ids [text, bytes …, end] and the intent of each."""

    ids: list[list[int]]
    intents: list[int]


def phrasings(texts: list[str], clusters: int, seed: int, rounds: int = 20) -> numpy.ndarray:
    """The cluster of each text: k-means of its words' unit vectors, weighted by rarity."""
    words = sorted({word for text in texts for word in text.split()})
    place = {word: number for number, word in enumerate(words)}
    counts = numpy.zeros((len(texts), len(words)))
    for row, text in enumerate(texts):
        for word in text.split():
            counts[row, place[word]] += 1
    points = counts * numpy.log(len(texts) / (counts > 0).sum(0))
    points /= numpy.maximum(numpy.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    generator = numpy.random.default_rng(seed)
    centres = points[generator.permutation(len(points))[:clusters]]
    labels = numpy.full(len(points), -1)
    for _ in range(rounds):
        fresh = (points @ centres.T).argmax(1)
        if (fresh == labels).all():
            break
        labels = fresh
        centres = numpy.stack([points[labels == cluster].mean(0) if (labels == cluster).any() else centres[cluster] for cluster in range(clusters)])
    return labels


def split(rows: list[list[str]], intents: int) -> tuple[list[list[str]], list[list[str]]]:
    """(known, held out) utterances of each intent, of `intents` drawn: the cluster nearest to a quarter is held out."""
    names = sorted({intent for _, intent in rows})
    drawn = sorted(numpy.random.default_rng(7).permutation(len(names))[:intents])
    known, shifted = [], []
    for number in drawn:
        texts = sorted(text for text, intent in rows if intent == names[number])
        labels = phrasings(texts, 4, seed=7)
        sizes = numpy.bincount(labels, minlength=4)
        out = int(abs(sizes - len(texts) / 4).argmin())
        known.append([text for text, label in zip(texts, labels, strict=True) if label != out])
        shifted.append([text for text, label in zip(texts, labels, strict=True) if label == out])
    return known, shifted


def utterances(groups: list[list[str]]) -> Utterances:
    texts = [text for group in groups for text in group]
    ids = [[tokens.ID["text"], *spelt, tokens.ID["end"]] for spelt in spell(texts)]
    return Utterances(ids, [intent for intent, group in enumerate(groups) for _ in group])


class Classifier(nn.Module):
    """An intent by a linear layer on the trunk at the last token."""

    def __init__(self, base: LanguageModel, intents: int) -> None:
        super().__init__()
        self.base = copy.deepcopy(base)
        self.head = nn.Linear(base.shape.hidden, intents)

    def forward(self, ids: list[list[int]]) -> Tensor:
        ends = torch.tensor([len(row) - 1 for row in ids])
        padded = nn.utils.rnn.pad_sequence([torch.tensor(row) for row in ids], batch_first=True)
        with torch.autocast("cpu", torch.bfloat16):
            trunk, _ = self.base(padded)  # what stands after a token never reaches it
        return self.head(trunk[torch.arange(len(ids)), ends].float())


@torch.no_grad()
def accuracy(model: Classifier, data: Utterances) -> float:
    """In per cent; texts of like length run together."""
    model.eval()
    order = sorted(range(len(data.ids)), key=lambda place: len(data.ids[place]))
    right = 0
    for start in range(0, len(order), 64):
        places = order[start : start + 64]
        found = model([data.ids[place] for place in places]).argmax(-1)
        right += (found == torch.tensor([data.intents[place] for place in places])).sum().item()
    return 100 * right / len(order)


def batches(data: Utterances, size: int, generator: numpy.random.Generator) -> Iterator[list[int]]:
    """Batches of an epoch after another: of like length within each four, so that little is padded."""
    while True:
        order = generator.permutation(len(data.ids))
        for start in range(0, len(order) - size + 1, 4 * size):
            near = sorted(order[start : start + 4 * size].tolist(), key=lambda place: len(data.ids[place]))
            cut = [near[place : place + size] for place in range(0, len(near) - size + 1, size)]
            yield from (cut[number] for number in generator.permutation(len(cut)))


def tune(model: Classifier, data: Utterances, rate: float, seed: int, settings: Settings) -> None:
    """AdamW without decay, the rate falling to zero along a line."""
    steps = settings.epochs * (len(data.ids) // settings.batch)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)
    model.train()
    for step, places in zip(range(steps), batches(data, settings.batch, numpy.random.default_rng(seed)), strict=False):
        for group in optimiser.param_groups:
            group["lr"] = rate * (1 - step / steps)
        loss = F.cross_entropy(model([data.ids[place] for place in places]), torch.tensor([data.intents[place] for place in places]))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()


def emergent(base: LanguageModel, arm: str, seed: int, settings: Settings) -> LanguageModel:
    changed = copy.deepcopy(base)
    how = {"learned": {"gate": "learned"}, "random": {"random": seed}, "bottom": {"choice": "bottom"}}.get(arm, {})
    emoe.convert(changed, list(settings.layers), settings.experts, settings.top, **how)
    return changed


@dataclass(frozen=True)
class Way:
    """How a kind of base is read, becomes a classifier and experts, and what is measured besides accuracies."""

    utterances: Callable[[list[list[str]]], Utterances] = utterances
    classifier: Callable[[Any, int], nn.Module] = Classifier
    emergent: Callable[[Any, str, int, Settings], Any] = emergent
    merge: Callable[[nn.Module], None] = lambda model: emoe.merge(model.base)
    more: Callable[[nn.Module, Utterances], dict[str, float]] = lambda model, test: {}


def measure(
    base: nn.Module, arm: str, seed: int, rate: float, groups: tuple, settings: Settings, way: Way = Way()
) -> dict[str, dict[str, float]]:
    """Accuracies of a trained arm, and of what is tested from the same weights."""
    known, shifted = groups
    generator = numpy.random.default_rng(seed)
    mixed = [[group[place] for place in generator.permutation(len(group))] for group in known]
    cut = settings.examples, settings.examples + settings.validation
    train, validation = way.utterances([group[: cut[0]] for group in mixed]), way.utterances([group[cut[0] : cut[1]] for group in mixed])
    test, outside = way.utterances([group[cut[1] : cut[1] + settings.tested] for group in mixed]), way.utterances([group[: settings.tested] for group in shifted])
    torch.manual_seed(seed)
    model = way.classifier(base if arm == "dense" else way.emergent(base, arm, seed, settings), len(known))
    tune(model, train, rate, seed, settings)

    def figures() -> dict[str, float]:
        found = {"validation": validation, "inside": test, "outside": outside}
        return {**{name: round(accuracy(model, data), 3) for name, data in found.items()}, **way.more(model, test)}

    lines = {arm: figures()}
    if arm == "emoe":
        way.merge(model)
    elif arm == "dense":
        model.base = way.emergent(model.base, "emoe", seed, settings)
    if arm in TESTED:
        lines[TESTED[arm]] = figures()
    return lines


def run(base: nn.Module, out: Path, seeds: int, settings: Settings, clinc: Path = CLINC, way: Way = Way()) -> None:
    document = json.loads((clinc / "train-val.json").read_text())
    groups = split(document["train"] + document["val"], settings.intents)
    out.mkdir(parents=True, exist_ok=True)
    log = out / "emoe-tuning.jsonl"
    done = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def once(arm: str, seed: int, rate: float) -> list[dict]:
        found = [line for line in done if (line["seed"], line["rate"]) == (seed, rate) and line["trained"] == arm]
        if not found:
            measured = measure(base, arm, seed, rate, groups, settings, way)
            found = [{"arm": name, "trained": arm, "seed": seed, "rate": rate, **figures} for name, figures in measured.items()]
            done.extend(found)
            with open(log, "a") as file:
                file.writelines(json.dumps(line) + "\n" for line in found)
            print(json.dumps(found[0]), flush=True)
        return found

    chosen = max(settings.rates, key=lambda rate: sum(once("dense", seed, rate)[0]["validation"] for seed in (101, 102)))
    for seed in range(1, seeds + 1):
        for arm in TRAINED:
            once(arm, seed, chosen)


def compare(lines: list[dict], arm: str, base: str, figure: str, samples: int = 10_000) -> dict:
    """arm less base in points, paired by seed: 95 % by bootstrap over seeds; equivalent where 90 % lies within the margin."""
    values = {name: {line["seed"]: line[figure] for line in lines if line["arm"] == name and line["seed"] < 100} for name in (arm, base)}
    seeds = sorted(values[arm].keys() & values[base].keys())
    each = numpy.array([values[arm][seed] - values[base][seed] for seed in seeds])
    means = each[numpy.random.default_rng(0).integers(0, len(each), (samples, len(each)))].mean(1)
    low, lower, upper, high = numpy.quantile(means, (0.025, 0.05, 0.95, 0.975))
    return {
        "arm": arm, "against": base, "figure": figure, "seeds": len(seeds),
        "accuracy": round(float(numpy.mean([values[arm][seed] for seed in seeds])), 2),
        "difference": round(float(each.mean()), 3), "low": round(float(low), 3), "high": round(float(high), 3),
        "equivalent": bool(lower > -MARGIN and upper < MARGIN),
    }  # fmt: skip


def report(out: Path, figures: tuple[str, ...]) -> None:
    lines = [json.loads(line) for line in (out / "emoe-tuning.jsonl").read_text().splitlines()]
    pairs = [(arm, "dense") for arm in ("dense", "emoe", "merged", "sparse", "learned", "random", "bottom")] + [("merged", "emoe")]
    for arm, base in pairs:
        for figure in figures:
            print(json.dumps(compare(lines, arm, base, figure)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run")
    running.add_argument("base", type=Path, metavar="RUN")
    running.add_argument("out", type=Path)
    running.add_argument("--seeds", type=int, default=16)
    running.add_argument("--threads", type=int)
    commands.add_parser("report").add_argument("out", type=Path)
    chosen = parser.parse_args()
    if chosen.command == "run":
        if chosen.threads:
            torch.set_num_threads(chosen.threads)
        run(load_run(chosen.base)[0], chosen.out, chosen.seeds, Settings())
        return
    report(chosen.out, ("inside", "outside"))


if __name__ == "__main__":
    main()
