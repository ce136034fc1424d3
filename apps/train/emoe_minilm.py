"""Emergent experts on a real pretrained model: MiniLM learns CLINC's intents, arm by arm, paired by seed.

    python emoe_minilm.py run MINILM OUT [--seeds 8] [--clusters exact|regret]   trains what OUT/emoe-tuning.jsonl does not hold yet
    python emoe_minilm.py clusters MINILM               inertia of the exact balanced clusters beside ours, by layer
    python emoe_minilm.py report OUT                    differences from the dense arm, one JSON line each

MINILM is the folder of all-MiniLM-L6-v2, as in bert_encoder.py. All but its embeddings is tuned, with a linear head on the mean of the last
states. The data, seeds, splits and arms are those of emoe_tuning.py; "oos" is the area under the ROC curve by which the largest
probability tells CLINC's requests outside all intents from the tested ones. The learned arm has the release's cosine gate.
Its clusters need scipy besides requirements.txt.
"""

import argparse
import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import balanced
import emoe
import emoe_tuning
from bert import BertExits, load_minilm
from bert_texts import ids_of
from emoe_tuning import CLINC, Settings, Utterances, Way
from encoder import pool
from trainer import Packed

SETTINGS = Settings(layers=(4,), rates=(5e-5, 1e-4, 2e-4))
WIDTH = 256  # of the cosine gate's projection
COLDEST = 0.5  # its starting temperature is 1 / this


class Experts(nn.Module):
    """Stands in for the first matrix of a feedforward: zero where the expert of a neuron does not run, as is GELU of it then.

    gate: "average" (the mean key of an expert, which follows the keys and has no gradient) or "cosine" (learned; chosen experts weigh
    by a softmax over them, with a mean of 1). choice: "top", or "bottom" for the control.
    """

    def __init__(self, keys: nn.Linear, labels: Tensor, top: int, gate: str = "average", choice: str = "top") -> None:
        super().__init__()
        self.keys, self.top, self.choice, self.experts = keys, top, choice, int(labels.max()) + 1
        self.register_buffer("labels", labels)
        self.gate = Cosine(keys.in_features, self.experts) if gate == "cosine" else None

    def forward(self, x: Tensor) -> Tensor:
        scores = F.linear(x, self.average().to(x.dtype)) if self.gate is None else self.gate(x)
        chosen = scores.topk(self.top, largest=self.choice == "top").indices
        weights = torch.ones_like(chosen, dtype=x.dtype)
        if self.gate is not None:
            weights = self.top * scores.gather(-1, chosen).softmax(-1).to(x.dtype)
        runs = torch.zeros(scores.shape, dtype=x.dtype).scatter(-1, chosen, weights)
        return self.keys(x) * runs[..., self.labels]

    def average(self) -> Tensor:
        keys = self.keys.weight.detach()
        return torch.zeros(self.experts, keys.shape[1]).index_add_(0, self.labels, keys) * self.experts / len(keys)


class Cosine(nn.Module):
    """exp(min(τ, ln 100)) times the cosine of a projected state with each expert's vector: the gate of the release."""

    def __init__(self, hidden: int, experts: int) -> None:
        super().__init__()
        self.project = nn.Linear(hidden, WIDTH, bias=False)
        self.vectors = nn.Parameter(torch.randn(experts, WIDTH) * 0.01)
        self.temperature = nn.Parameter(torch.tensor(1 / COLDEST).log())

    def forward(self, x: Tensor) -> Tensor:
        scale = self.temperature.clamp(max=numpy.log(100)).exp()
        return scale * F.normalize(self.project(x).float(), dim=-1) @ F.normalize(self.vectors, dim=-1).T


class Classifier(nn.Module):
    """An intent by a linear layer on the mean of the last states; the embeddings are not tuned."""

    def __init__(self, base: BertExits, intents: int) -> None:
        super().__init__()
        self.base = copy.deepcopy(base)
        for part in (self.base.words, self.base.positions, self.base.table, self.base.exits):
            part.requires_grad_(False)
        self.head = nn.Linear(base.shape.hidden, intents)

    def forward(self, ids: list[list[int]]) -> Tensor:
        batch = Packed.of(ids)
        with torch.autocast("cpu", torch.bfloat16):
            states = self.base.states(batch)[-1]
        return self.head(pool(states.float(), batch))


def emergent(base: BertExits, arm: str, seed: int, settings: Settings, labels: dict[int, Tensor]) -> BertExits:
    """The base with experts in the layers of the settings; `labels` by layer."""
    changed = copy.deepcopy(base)
    how = {"learned": {"gate": "cosine"}, "bottom": {"choice": "bottom"}}.get(arm, {})
    for number in settings.layers:
        own = labels[number]
        if arm == "random":
            own = own[torch.randperm(len(own), generator=torch.Generator().manual_seed(seed))]
        changed.layers[number].up = Experts(changed.layers[number].up, own, settings.top, **how)
    return changed


def merge(base: BertExits) -> None:
    """All neurons run again, in place."""
    for layer in base.layers:
        if isinstance(layer.up, Experts):
            layer.up = layer.up.keys


def clusters_of(base: BertExits, settings: Settings, how: str, cache: Path) -> dict[int, Tensor]:
    """The expert of each neuron, by layer; kept in a file, since the exact assignment takes a minute a layer."""
    path = cache / f"clusters-{how}.pt"
    if not path.exists():
        make = balanced.exact_clusters if how == "exact" else emoe.balanced_clusters
        torch.save({number: make(base.layers[number].up.weight, settings.experts) for number in settings.layers}, path)
    return torch.load(path, weights_only=True)


def area(inside: Tensor, outside: Tensor) -> float:
    """The share of pairs, one of each, in which the one inside is larger; ties count half."""
    differences = inside[:, None] - outside[None, :]
    return float(((differences > 0).float() + 0.5 * (differences == 0).float()).mean())


def way_of(tokenizer, labels: dict[int, Tensor], others: list[str]) -> Way:
    """MiniLM as the experiment of emoe_tuning.py reads it."""

    def utterances(groups: list[list[str]]) -> Utterances:
        texts = [text for group in groups for text in group]
        return Utterances(ids_of(tokenizer, texts, 64), [intent for intent, group in enumerate(groups) for _ in group])

    @torch.no_grad()
    def outside(model: Classifier, test: Utterances) -> dict[str, float]:
        model.eval()
        sure = [model(ids).softmax(-1).max(-1).values for ids in (test.ids, ids_of(tokenizer, others, 64))]
        return {"oos": round(100 * area(*sure), 3)}

    return Way(
        utterances=utterances, classifier=Classifier, merge=lambda model: merge(model.base), more=outside,
        emergent=lambda base, arm, seed, settings: emergent(base, arm, seed, settings, labels),
    )  # fmt: skip


def show_clusters(base: BertExits, experts: int) -> None:
    for number, layer in enumerate(base.layers):
        keys = layer.up.weight
        points = F.normalize(keys.detach().double(), dim=-1).numpy()
        ways = {"exact": balanced.exact_clusters(keys, experts), "regret": emoe.balanced_clusters(keys, experts), "drawn": torch.arange(len(keys)) % experts}
        print(json.dumps({"layer": number, **{way: round(balanced.inertia(points, labels.numpy(), experts), 2) for way, labels in ways.items()}}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run")
    running.add_argument("minilm", type=Path)
    running.add_argument("out", type=Path)
    running.add_argument("--seeds", type=int, default=8)
    running.add_argument("--clusters", choices=("exact", "regret"), default="exact")
    commands.add_parser("clusters").add_argument("minilm", type=Path)
    commands.add_parser("report").add_argument("out", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.command == "report":
        emoe_tuning.report(chosen.out, ("inside", "outside", "oos"))
        return
    base, tokenizer = load_minilm(chosen.minilm)
    if chosen.command == "clusters":
        show_clusters(base, SETTINGS.experts)
        return
    chosen.out.mkdir(parents=True, exist_ok=True)
    document = json.loads((CLINC / "train-val.json").read_text())
    others = [text for text, _ in document["oos_train"] + document["oos_val"]]
    labels = clusters_of(base, SETTINGS, chosen.clusters, chosen.out)
    emoe_tuning.run(base, chosen.out, chosen.seeds, replace(SETTINGS), way=way_of(tokenizer, labels, others))


if __name__ == "__main__":
    main()
