"""Emergent mixture of experts: the feedforward of a dense model as experts, without a parameter more.

After "Unlocking Emergent Modularity in Large Language Models" (arXiv 2310.10908): neurons are clustered by their keys
(the rows of `input`) into groups of one size, the gate of a group is the mean of its keys, and each token runs the `top`
groups of largest gate with weight 1. `top` = all groups is the dense model; so is a merged one, up to the order of neurons.

    python emoe.py convert RUN OUT --layers 3 --experts 64 --top 16     a dense run, its neurons in the order of the experts
"""

import argparse
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from moe import Feedforward, LanguageModel, load_run

CHOICES = ("top", "bottom")


def balanced_clusters(keys: Tensor, clusters: int, seed: int = 0, rounds: int = 20) -> Tensor:
    """The cluster of each row of `keys` [rows, width]: k-means of the rows at unit length, every cluster of the same size.

    In each round rows are given out by regret: the row that loses most by not getting its nearest free cluster comes first.
    Raises ValueError where the clusters do not divide the rows.
    """
    if len(keys) % clusters:
        raise ValueError(f"{clusters} experts do not divide {len(keys)} neurons")
    size = len(keys) // clusters
    points = F.normalize(keys.detach().double(), dim=-1)
    generator = torch.Generator().manual_seed(seed)
    centres = points[torch.randperm(len(points), generator=generator)[:clusters]]
    labels = torch.full((len(points),), -1)
    for _ in range(rounds):
        fresh = assign(torch.cdist(points, centres), size)
        if torch.equal(fresh, labels):
            break
        labels = fresh
        centres = torch.stack([points[labels == cluster].mean(0) for cluster in range(clusters)])
    return labels


def assign(distances: Tensor, size: int) -> Tensor:
    """[rows, clusters] → a cluster a row, `size` rows each, given out greedily by regret."""
    rows, clusters = distances.shape
    open_distances = distances.clone()
    labels = torch.full((rows,), -1)
    room = torch.full((clusters,), size)
    for _ in range(rows):
        nearest = open_distances.topk(min(2, clusters), largest=False).values
        regret = (nearest[:, -1] - nearest[:, 0]).nan_to_num(posinf=torch.finfo(torch.float64).max)
        row = int(regret.masked_fill(labels >= 0, -1).argmax())
        cluster = int(open_distances[row].argmin())
        labels[row] = cluster
        room[cluster] -= 1
        if room[cluster] == 0:
            open_distances[:, cluster] = float("inf")
    return labels


class Emergent(nn.Module):
    """Stands in for a dense Feedforward, whose weights it takes, sorted by expert.

    gate: "average" (avg-k: the mean key, which follows the keys and has no gradient) or "learned" (a matrix that starts
    there). choice: "top", or "bottom" for the control that runs the groups of least gate.
    """

    def __init__(self, dense: Feedforward, labels: Tensor, top: int, gate: str = "average", choice: str = "top") -> None:
        super().__init__()
        if choice not in CHOICES:
            raise ValueError(f"{choice} is none of {CHOICES}")
        self.experts, self.top, self.choice = int(labels.max()) + 1, top, choice
        order = labels.argsort(stable=True)
        self.norm, self.input, self.output = dense.norm, dense.input, dense.output
        with torch.no_grad():
            self.input.weight.copy_(self.input.weight[order])
            self.output.weight.copy_(self.output.weight[:, order])
        self.learned = nn.Parameter(self.keys().clone()) if gate == "learned" else None

    def keys(self) -> Tensor:
        """The mean key of each expert: [experts, hidden]."""
        return self.input.weight.detach().unflatten(0, (self.experts, -1)).mean(1)

    def mask(self, u: Tensor) -> Tensor:
        """[…, hidden] → which experts run, […, experts]; a learned gate passes its gradient straight through."""
        scores = u @ (self.keys() if self.learned is None else self.learned).to(u.dtype).T
        ranked = scores.sort(dim=-1, descending=self.choice == "top", stable=True).indices
        hard = torch.zeros_like(scores).scatter(-1, ranked[..., : self.top], 1.0)
        if self.learned is None:
            return hard
        soft = scores.softmax(-1)
        return hard + soft - soft.detach()

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        u = self.norm(x)
        hidden = F.gelu(F.linear(u, self.input.weight), approximate="tanh")
        kept = hidden.unflatten(-1, (self.experts, -1)) * self.mask(u)[..., None]
        return F.linear(kept.flatten(-2), self.output.weight), None

    def merged(self, dense: Feedforward) -> Feedforward:
        """The dense layer again: every neuron runs."""
        dense.load_state_dict({name: weight for name, weight in self.state_dict().items() if name != "learned"})
        return dense


def convert(model: LanguageModel, layers: list[int], experts: int, top: int, *, gate: str = "average", choice: str = "top", random: int | None = None) -> None:  # fmt: skip
    """Turns those layers (from 0) of a dense model into experts, in place; `random` draws the clusters by that seed."""
    if model.shape.gate is not None:
        raise ValueError("only a dense model becomes emergent experts")
    for number in layers:
        dense = model.layers[number].feedforward
        labels = balanced_clusters(dense.input.weight, experts)
        if random is not None:
            labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(random))]
        model.layers[number].feedforward = Emergent(dense, labels, top, gate, choice)


def merge(model: LanguageModel) -> None:
    """Turns every emergent layer back into a dense one, in place."""
    for layer in model.layers:
        if isinstance(layer.feedforward, Emergent):
            layer.feedforward = layer.feedforward.merged(Feedforward(model.shape))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    converting = parser.add_subparsers(dest="command", required=True).add_parser("convert")
    converting.add_argument("run", type=Path)
    converting.add_argument("out", type=Path)
    converting.add_argument("--layers", type=int, nargs="+", required=True)
    converting.add_argument("--experts", type=int, default=64)
    converting.add_argument("--top", type=int, default=16)
    chosen = parser.parse_args()
    model, size = load_run(chosen.run)
    convert(model, chosen.layers, chosen.experts, chosen.top)
    size["emergent"] = {"layers": chosen.layers, "experts": chosen.experts, "top": chosen.top}
    (chosen.out / "pretraining").mkdir(parents=True, exist_ok=True)
    (chosen.out / "size.json").write_text(json.dumps(size, indent=1))
    torch.save({"model": model.state_dict()}, chosen.out / "pretraining" / "checkpoint.pt")


if __name__ == "__main__":
    main()
