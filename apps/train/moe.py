"""The mixture-of-experts language model, after ModuleFormer (arXiv 2306.04640): its model, its losses, its pretraining.

    python moe.py stream CORPUS STREAM --millions 20     tokenises mined text: STREAM.train.npy and STREAM.held-out.npy
    python moe.py train SIZE STREAM RUN --minutes 10     again until it says that the stage has ended
    python moe.py evaluate RUN STREAM                    held-out perplexity, and how evenly the modules are used

docs/models/decoder-bundle.md has the formulas; the names of the parameters here are the names of its tensors. A shape
without "gate" is a dense rival of one module (dense.py makes their sizes).
"""

import argparse
import itertools
import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import tokenizer as tokens
from recall import look_back, recalled
from trainer import Schedule, Task, Trainer, generator_at

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Modules:
    """Modules of one kind in one layer: how many, how many run for a token, and how wide one is."""

    size: int
    experts: int = 1
    top: int = 1


@dataclass(frozen=True)
class Shape:
    vocabulary: int
    hidden: int
    layers: int
    context: int
    attention: Modules
    feedforward: Modules
    heads: int
    gate: int | None = None
    current: bool = True
    normEpsilon: float = 1e-5

    @staticmethod
    def of(document: dict) -> "Shape":
        """From a size file or the config.json of a bundle whose layers are alike."""
        attention = dict(document["attention"])
        heads, current = attention.pop("heads"), attention.pop("current", True)
        plain = {name: document[name] for name in ("hidden", "layers", "context")}
        return Shape(
            vocabulary=document.get("vocabulary", tokens.SIZE), attention=Modules(**attention),
            feedforward=Modules(**document["feedforward"]), heads=heads, current=current, gate=document.get("gate"), **plain,
        )  # fmt: skip


def full(x: Tensor) -> Tensor:
    """At least fp32, whatever the rest is computed in."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


# ---------------------------------------------------------------- routing


class Routed(NamedTuple):
    """Where each token's modules stand in the list of (token, module) pairs sorted by module."""

    probabilities: Tensor  # [tokens, modules], fp32
    chosen: Tensor  # [tokens, top], best first
    order: Tensor  # [tokens · top]: pair numbers sorted by module, token · top + place
    counts: list[int]  # pairs of each module
    weights: Tensor  # [tokens · top]: the probability of each pair in that order


class Router(nn.Module):
    """p = softmax(output · gelu(input · x + bias)) over all modules; the `top` largest, ties to the lower index, not renormalised."""

    def __init__(self, hidden: int, gate: int, modules: Modules) -> None:
        super().__init__()
        self.input = nn.Linear(hidden, gate)
        self.output = nn.Linear(gate, modules.experts, bias=False)
        self.top = modules.top

    def forward(self, x: Tensor) -> Routed:
        with torch.autocast(x.device.type, enabled=False):
            probabilities = self.output(F.gelu(self.input(full(x)))).softmax(-1)
        ranked = probabilities.sort(dim=-1, descending=True, stable=True)
        chosen = ranked.indices[:, : self.top]
        flat = chosen.reshape(-1)
        order = flat.argsort(stable=True)
        counts = flat.bincount(minlength=probabilities.shape[-1]).tolist()
        return Routed(probabilities, chosen, order, counts, ranked.values[:, : self.top].reshape(-1)[order])


class Experts(nn.Module):
    """One matrix a module: weight [modules, out, in]; rows come sorted by module. Of one dense module: [out, in]."""

    def __init__(self, modules: Modules, outputs: int, inputs: int, spread: float, routed: bool) -> None:
        super().__init__()
        shape = (modules.experts, outputs, inputs) if routed else (outputs, inputs)
        self.weight = nn.Parameter(torch.randn(shape) * spread)

    def forward(self, x: Tensor, routed: Routed | None) -> Tensor:
        if routed is None:
            return F.linear(x, self.weight)
        return torch.cat([F.linear(part, weight) for part, weight in zip(x.split(routed.counts), self.weight, strict=True)])


def gathered(x: Tensor, routed: Routed) -> Tensor:
    """The token of each pair, in the order of the pairs: [tokens · top, hidden]."""
    return x[routed.order // routed.chosen.shape[1]]


def combined(results: Tensor, routed: Routed, count: int) -> Tensor:
    """Σ over a token's modules of p_e · result: [tokens, hidden]."""
    weighted = results * routed.weights.to(results.dtype)[:, None]
    return results.new_zeros(count, results.shape[-1]).index_add(0, routed.order // routed.chosen.shape[1], weighted)


# ---------------------------------------------------------------- layers


def exponential(x: Tensor) -> Tensor:
    """exp in place, by way of exp2: on a CPU exp takes ten times as long where its result underflows."""
    return x.mul_(math.log2(math.e)).exp2_()


class StickBreaking(torch.autograd.Function):
    """Attention with the weights a_ij = exp(l_ij − Σ_{j ≤ m ≤ i} softplus(l_im)), l = query · key / √size, in fp32.

    query [rows, shares, length, size], key and value [rows, length, size] → as query: the shares of a row see the same keys.
    Query i sees key i where `current` is set. Keys stand from the last to the first, so that a break takes from what follows
    by one cumulative sum; the gradient a ⊙ g − sigmoid(l) ⊙ Σ_{m ≤ j} a_im g_im sums the other way. BLOCK queries at a time,
    and on a CPU few rows, keep scores in the cache; they are made again for the gradient.
    """

    BLOCK = 256
    SCORES = 2**18  # at once on a CPU, unless one row's block has more

    @staticmethod
    def blocks(query: Tensor, key: Tensor, current: bool) -> Iterator[tuple[slice, slice, slice, Tensor, Tensor, Tensor]]:
        """(rows, queries, keys, scores, softplus of them, weights); the last three are [rows, shares · queries, keys]."""
        rows, shares, length, size = query.shape
        together = max(1, StickBreaking.SCORES // (shares * min(StickBreaking.BLOCK, length) * length)) if query.device.type == "cpu" else rows
        for row, start in itertools.product(range(0, rows, together), range(0, length, StickBreaking.BLOCK)):
            end = min(start + StickBreaking.BLOCK, length)
            at, queries, keys = slice(row, row + together), slice(start, end), slice(length - end, length)
            scores = full(query[at, :, queries].flatten(1, 2) @ key[at, keys].mT) / math.sqrt(size)
            ahead = torch.ones(end - start, end - start, dtype=torch.bool, device=query.device).triu(1 if current else 0).flip(-1)
            scores.unflatten(1, (shares, -1))[..., : end - start].masked_fill_(ahead, -math.inf)
            breaks = F.softplus(scores)
            yield at, queries, keys, scores, breaks, exponential(scores - breaks.cumsum(-1))

    @staticmethod
    def forward(context, query: Tensor, key: Tensor, value: Tensor, current: bool) -> Tensor:
        key, value = key.flip(1), value.flip(1)
        found = torch.empty_like(query)
        for at, queries, keys, _, _, weights in StickBreaking.blocks(query, key, current):
            found[at, :, queries] = (weights.to(value.dtype) @ value[at, keys]).unflatten(1, (query.shape[1], -1))
        context.save_for_backward(query, key, value)
        context.current = current
        return found

    @staticmethod
    def backward(context, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        query, key, value = context.saved_tensors
        to_query, to_key, to_value = torch.empty_like(query), torch.zeros_like(full(key)), torch.zeros_like(full(value))
        for at, queries, keys, scores, breaks, weights in StickBreaking.blocks(query, key, context.current):
            asked, given = (tensor[at, :, queries].flatten(1, 2) for tensor in (query, gradient))
            passed = full(given @ value[at, keys].mT) * weights
            before = passed.sum(-1, keepdim=True) - passed.cumsum(-1) + passed
            to_scores = ((passed - exponential(scores - breaks) * before) / math.sqrt(query.shape[-1])).to(query.dtype)
            to_query[at, :, queries] = (to_scores @ key[at, keys]).unflatten(1, (query.shape[1], -1))
            to_key[at, keys] += to_scores.mT @ asked
            to_value[at, keys] += weights.to(value.dtype).mT @ given
        return to_query, to_key.flip(1).to(key.dtype), to_value.flip(1).to(value.dtype), None


class Attention(nn.Module):
    """Mixture of attention heads: a query and an output matrix a module, keys and values shared by all."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        hidden, size, routed = shape.hidden, shape.attention.size, shape.gate is not None
        self.shape = shape
        self.norm = nn.LayerNorm(hidden, shape.normEpsilon)
        self.gate = Router(hidden, shape.gate, shape.attention) if routed else None
        self.key_value = nn.Linear(hidden, 2 * size)
        self.query = Experts(shape.attention, size, hidden, hidden**-0.5, routed)
        self.output = Experts(shape.attention, hidden, size, (2 * shape.layers * size) ** -0.5, routed)

    def forward(self, x: Tensor) -> tuple[Tensor, Routed | None]:
        batch, length, hidden = x.shape
        heads, size, top = self.shape.heads, self.shape.attention.size, self.shape.attention.top
        u = self.norm(x)
        flat = u.reshape(-1, hidden)
        routed = self.gate(flat) if self.gate else None
        if routed:
            sorted_queries = self.query(gathered(flat, routed), routed)
            query = sorted_queries[routed.order.argsort()].view(batch, length, top, heads, size // heads)
        else:
            query = self.query(flat, None).view(batch, length, 1, heads, size // heads)
        query = query.permute(0, 3, 2, 1, 4).flatten(0, 1)
        key, value = self.key_value(u).view(batch, length, 2, heads, size // heads).permute(2, 0, 3, 1, 4).flatten(1, 2)
        found = StickBreaking.apply(query, key, value, self.shape.current)  # [batch · heads, top, length, size / heads]
        found = found.unflatten(0, (batch, heads)).permute(0, 3, 2, 1, 4).reshape(-1, size)  # a row a pair, token by token
        if routed is None:
            return self.output(found, None).view_as(x), None
        return combined(self.output(found[routed.order], routed), routed, batch * length).view_as(x), routed


class Feedforward(nn.Module):
    """Σ over the chosen e of p_e · output_e · gelu(input_e · u), gelu in its tanh form."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        hidden, size, routed = shape.hidden, shape.feedforward.size, shape.gate is not None
        self.norm = nn.LayerNorm(hidden, shape.normEpsilon)
        self.gate = Router(hidden, shape.gate, shape.feedforward) if routed else None
        self.input = Experts(shape.feedforward, size, hidden, hidden**-0.5, routed)
        self.output = Experts(shape.feedforward, hidden, size, (2 * shape.layers * size) ** -0.5, routed)

    def forward(self, x: Tensor) -> tuple[Tensor, Routed | None]:
        flat = self.norm(x).reshape(-1, x.shape[-1])
        routed = self.gate(flat) if self.gate else None
        inputs = gathered(flat, routed) if routed else flat
        results = self.output(F.gelu(self.input(inputs, routed), approximate="tanh"), routed)
        return (combined(results, routed, len(flat)) if routed else results).view_as(x), routed


class Layer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention = Attention(shape)
        self.feedforward = Feedforward(shape)


class LanguageModel(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.hidden)
        nn.init.normal_(self.embedding.weight, std=shape.hidden**-0.5)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.hidden, shape.normEpsilon)

    def forward(self, ids: Tensor) -> tuple[Tensor, list[Routed]]:
        """[batch, length] → the normed trunk [batch, length, hidden] and the routing of every layer, attention first."""
        x = self.embedding(ids)
        routes = []
        for layer in self.layers:
            for part in (layer.attention, layer.feedforward):
                change, routed = part(x)
                x = x + change
                if routed is not None:
                    routes.append(routed)
        return self.norm(x), routes

    def logits(self, x: Tensor) -> Tensor:
        return F.linear(x, self.embedding.weight)

    def parameter_counts(self) -> dict[str, int]:
        """Of the body: all parameters, and those that run for one token."""
        body = {name: weight.numel() for name, weight in self.named_parameters() if not name.startswith("embedding")}

        def share(name: str) -> float:
            if self.shape.gate is None or not name.endswith(("query.weight", "output.weight", "input.weight")) or ".gate." in name:
                return 1.0
            modules = self.shape.attention if ".attention." in name else self.shape.feedforward
            return modules.top / modules.experts

        active = sum(count * share(name) for name, count in body.items())
        return {"total": sum(body.values()), "active": round(active), "embedding": self.embedding.weight.numel()}


# ---------------------------------------------------------------- losses


def entropy(p: Tensor) -> Tensor:
    return -(p * (p + 1e-8).log()).sum(-1)


def mutual_information_loss(routes: list[Routed]) -> Tensor:
    """Σ over routers of H(e | x) − H(e) = −I(X; E): each token sure of its modules, all modules used alike (ModuleFormer, §3.3)."""
    return sum(entropy(routed.probabilities).mean() - entropy(routed.probabilities.mean(0)) for routed in routes)


def concentration_loss(routes: list[Routed]) -> Tensor:
    """Σ over routers of the marginal entropy H(e): few modules carry the domain, so that the others can be pruned."""
    return sum(entropy(routed.probabilities.mean(0)) for routed in routes)


def next_token_loss(model: LanguageModel, ids: Tensor, weights: Tensor | None = None) -> tuple[Tensor, list[Routed]]:
    """Mean cross-entropy of every next token, or weighted by `weights` [batch, length] (or a mask), which stand at the token itself."""
    x, routes = model(ids[:, :-1])
    target = ids[:, 1:]
    if weights is None:
        return F.cross_entropy(model.logits(x.reshape(-1, x.shape[-1])).float(), target.reshape(-1)), routes
    kept = weights[:, 1:] != 0
    losses = F.cross_entropy(model.logits(x[kept]).float(), target[kept], reduction="none")
    weight = weights[:, 1:][kept].to(losses.dtype)
    return (losses * weight).sum() / weight.sum(), routes


# ---------------------------------------------------------------- pretraining


class Pretraining(Task):
    """Windows of a stream of tokens, drawn by (seed, step), a share of them `recalled`. The losses of routing are added with their
    weights."""

    def __init__(self, model: LanguageModel, stream: numpy.ndarray, batch: int, length: int, seed: int, balance: float, concentration: float = 0.0, recall: float = 0.0) -> None:  # fmt: skip
        self.model, self.stream, self.size, self.length, self.seed = model, stream, batch, length, seed
        self.balance, self.concentration, self.recall = balance, concentration, recall

    def batch(self, step: int) -> Tensor:
        generator = generator_at(self.seed, step)
        starts = generator.integers(0, len(self.stream) - self.length - 1, self.size)
        windows = [self.stream[start : start + self.length + 1] for start in starts]
        if self.recall:
            windows = [recalled(window, generator) if generator.random() < self.recall else window for window in windows]
        return torch.from_numpy(numpy.stack(windows).astype(numpy.int64)).to(self.model.embedding.weight.device)

    def loss(self, ids: Tensor) -> tuple[Tensor, dict[str, float], int]:
        loss, routes = next_token_loss(self.model, ids)
        figures = {"text": loss.item()}
        if routes and self.balance:
            balance = mutual_information_loss(routes)
            figures["balance"] = balance.item()
            loss = loss + self.balance * balance
        if routes and self.concentration:
            concentration = concentration_loss(routes)
            figures["concentration"] = concentration.item()
            loss = loss + self.concentration * concentration
        return loss, figures, ids.numel()


def spell(texts: list[str]) -> list[list[int]]:
    """The bytes of each text, as ids after the marks."""
    return [[len(tokens.RESERVED) + byte for byte in tokens.well_formed(text).encode()] for text in texts]


def write_streams(corpus: Path, out: Path, millions: float, spelt: bool = False, seed: int = 5) -> None:
    """`<language> text <end>` one after another, documents drawn without replacement until there are enough tokens.

    `spelt`: bytes in place of the tokenizer's merges, for sizes with a vocabulary of 384: 128 marks and 256 bytes.
    """
    tokenizer = tokens.load()
    encode = spell if spelt else lambda texts: tokens.encode(tokenizer, texts)
    for split, share in (("train", 1.0), ("held-out", 0.02)):
        wanted = int(millions * 1e6 * share)
        lines = (corpus / "raw" / f"{split}.jsonl").read_text().splitlines()
        random.Random(seed).shuffle(lines)
        pieces, total = [], 0
        for start in range(0, len(lines), 256):
            documents = [json.loads(line) for line in lines[start : start + 256]]
            found = encode([document["text"] for document in documents])
            for document, ids in zip(documents, found, strict=True):
                mark = tokens.ID.get(document["language"], tokens.ID["text"])
                pieces.append(numpy.array([mark, *ids, tokens.ID["end"]], numpy.uint16))
                total += len(pieces[-1])
            if total >= wanted:
                break
        numpy.save(out.with_name(f"{out.name}.{split}.npy"), numpy.concatenate(pieces)[:wanted])


def read_stream(stream: Path, split: str) -> numpy.ndarray:
    return numpy.load(stream.with_name(f"{stream.name}.{split}.npy"), mmap_mode="r")


@torch.no_grad()
def evaluate(model: LanguageModel, stream: numpy.ndarray, length: int = 512, windows: int = 64) -> dict:
    """Perplexity over `windows` windows of held-out text, the loss of each, and each router's marginal entropy as a share of its most."""
    model.eval()
    losses, used = [], []
    for start in numpy.linspace(0, len(stream) - length - 1, windows).astype(int):
        ids = torch.from_numpy(stream[start : start + length + 1].astype(numpy.int64))[None]
        loss, routes = next_token_loss(model, ids.to(model.embedding.weight.device))
        losses.append(loss.item())
        used.append([routed.probabilities.mean(0) for routed in routes])
    marginals = [torch.stack(parts).mean(0) for parts in zip(*used, strict=True)]
    evenness = [round((entropy(p) / math.log(len(p))).item(), 4) for p in marginals]
    mean = sum(losses) / windows
    return {"loss": mean, "perplexity": math.exp(mean), "evenness": evenness, **model.parameter_counts(), "windows": [round(loss, 5) for loss in losses]}  # fmt: skip


# ---------------------------------------------------------------- commands


CHANGED = {"steps": int, "batch": int, "length": int, "recall": float}  # settings of a pretraining that a command may change


def read_size(name: str) -> dict:
    return json.loads((HERE / "sizes" / f"{name}.json").read_text())


def load_run(run: Path, stage: str = "pretraining") -> tuple[LanguageModel, dict]:
    size = json.loads((run / "size.json").read_text())
    model = LanguageModel(Shape.of(size["shape"]))
    model.load_state_dict(torch.load(run / stage / "checkpoint.pt", map_location="cpu", weights_only=True)["model"])
    return model.eval(), size


def train(size_name: str, stream: Path, run: Path, minutes: float, seed: int, precision: str, device: str, changed: dict[str, float] | None = None) -> bool:  # fmt: skip
    """`changed` replaces settings of the size's pretraining; the run's size.json says what was used."""
    size = read_size(size_name)
    size["pretraining"] |= changed or {}
    run.mkdir(parents=True, exist_ok=True)
    (run / "size.json").write_text(json.dumps({**size, "seed": seed}, indent=1))
    torch.manual_seed(seed)
    model = LanguageModel(Shape.of(size["shape"])).to(device)
    settings = size["pretraining"]
    if settings.get("recall"):
        look_back(model)
    task = Pretraining(model, read_stream(stream, "train"), settings["batch"], settings["length"], seed, settings["balance"], recall=settings.get("recall", 0.0))
    schedule = Schedule(settings["steps"], settings["rate"], warmup=max(1, min(100, settings["steps"] // 10)), betas=(0.9, 0.95))
    return Trainer(task, schedule, run / "pretraining", precision, device).run(minutes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    streaming = commands.add_parser("stream")
    streaming.add_argument("corpus", type=Path)
    streaming.add_argument("stream", type=Path)
    streaming.add_argument("--millions", type=float, default=20)
    streaming.add_argument("--bytes", action="store_true", help="for the sizes mixture-bytes and dense-bytes-…")
    training = commands.add_parser("train")
    training.add_argument("size")
    training.add_argument("stream", type=Path)
    training.add_argument("run", type=Path)
    training.add_argument("--minutes", type=float, default=10)
    training.add_argument("--seed", type=int, default=1)
    training.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    training.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    training.add_argument("--threads", type=int, help="CPU threads")
    for name, kind in CHANGED.items():
        training.add_argument(f"--{name}", type=kind, help="in place of the size's own")
    figures = commands.add_parser("evaluate")
    figures.add_argument("run", type=Path)
    figures.add_argument("stream", type=Path)
    figures.add_argument("--windows", type=int, default=64)
    chosen = parser.parse_args()
    if chosen.command == "stream":
        write_streams(chosen.corpus, chosen.stream, chosen.millions, chosen.bytes)
    elif chosen.command == "train":
        if chosen.threads:
            torch.set_num_threads(chosen.threads)
        changed = {name: value for name in CHANGED if (value := getattr(chosen, name))}
        ended = train(chosen.size, chosen.stream, chosen.run, chosen.minutes, chosen.seed, chosen.precision, chosen.device, changed)
        print("the stage has ended" if ended else "stopped by --minutes: the same command goes on")
    else:
        measured = evaluate(load_run(chosen.run)[0], read_stream(chosen.stream, "held-out"), windows=chosen.windows)
        print(json.dumps({"run": chosen.run.name, **measured}))


if __name__ == "__main__":
    main()
