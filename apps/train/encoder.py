"""The multi-exit code encoder: its model, its losses, and its training in stages.

    python encoder.py train SIZE CORPUS RUN --minutes 10    the same command again goes on; prints when it has ended
    python encoder.py evaluate RUN PAIRS                    MRR among 1,000 at every exit and width

SIZE is sizes/SIZE.json; CORPUS is the output folder of mine.py, or what pack.py unpacks; RUN holds checkpoints and logs.

After "One Model to Train them All: Hierarchical Self-Distillation for Enhanced Early Layer Embeddings" (2025): losses
at every exit i weighted i / L. What the model computes is docs/models/bundle.md, and parameters have its tensors' names.
"""

import argparse
import json
import os
import random
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import tokenizer as tokens
from trainer import Packed, Schedule, Task, Trainer, generator_at, order
from views import Snippets, plain_view, read_pairs, read_questions, view

HERE = Path(__file__).parent
DATA = Path(os.environ.get("TESSERA_DATA", HERE.parent.parent.parent / "shared" / "data"))
SCALE = 20.0  # 1 / temperature of every softmax over similarities
EVALUATED = ("javascript", "typescript", "python")
STAGES = ("bag", "language", "pairs", "hard")


@dataclass(frozen=True)
class Shape:
    hidden: int
    layers: int
    heads: int
    intermediate: int
    exits: tuple[int, ...]
    widths: tuple[int, ...]
    maxTokens: dict[str, int]
    ropeTheta: float = 10_000.0
    normEpsilon: float = 1e-6
    vocabulary: int = tokens.SIZE

    @staticmethod
    def of(document: dict) -> "Shape":
        fields = {name: document[name] for name in Shape.__dataclass_fields__ if name in document}
        return Shape(**{**fields, "exits": tuple(document["exits"]), "widths": tuple(document["widths"])})


# ---------------------------------------------------------------- model


class Norm(nn.Module):
    """RMSNorm(x; w) = w ⊙ x / sqrt(mean(x²) + ε), in fp32."""

    def __init__(self, size: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        x = x.float()
        return self.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.epsilon)


class Padding:
    """Sequences of like length padded together for attention; everything else runs on packed tokens."""

    GROUP = 32

    def __init__(self, batch: Packed) -> None:
        by_length = batch.lengths.argsort()
        self.groups, origins, first = [], torch.empty_like(batch.ids), 0
        for chosen in by_length.split(self.GROUP):
            places = torch.arange(int(batch.lengths[chosen].max()), device=batch.ids.device)
            seen = places < batch.lengths[chosen, None]
            tokens = (batch.offsets[chosen, None] + places).masked_fill(~seen, 0)
            self.groups.append((tokens.flatten(), seen[:, None, None, :]))
            origins[tokens[seen]] = first + seen.flatten().nonzero()[:, 0]
            first += seen.numel()
        self.origins = origins

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """softmax(q kᵀ / sqrt(size)) v within each sequence: [tokens, heads, size] → [tokens, heads · size]."""
        mixed = []
        for tokens, seen in self.groups:
            shape = (len(seen), seen.shape[-1], *query.shape[1:])
            padded = (x.index_select(0, tokens).view(shape).transpose(1, 2) for x in (query, key, value))
            attended = F.scaled_dot_product_attention(*padded, attn_mask=seen)
            mixed.append(attended.transpose(1, 2).reshape(len(tokens), -1))
        return torch.cat(mixed).index_select(0, self.origins)


class Attention(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.norm = Norm(shape.hidden, shape.normEpsilon)
        self.qkv = nn.Linear(shape.hidden, 3 * shape.hidden, bias=False)
        self.output = nn.Linear(shape.hidden, shape.hidden, bias=False)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor], padding: Padding) -> Tensor:
        query, key, value = self.qkv(self.norm(x)).view(len(x), 3, self.heads, -1).unbind(1)
        query, key = rotate(query, rotation).to(value.dtype), rotate(key, rotation).to(value.dtype)
        return self.output(padding.attend(query, key, value))


def rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Half-split rotary position embedding of [tokens, heads, size]."""
    cos, sin = rotation
    left, right = x.chunk(2, -1)
    return torch.cat([left * cos - right * sin, right * cos + left * sin], -1)


class Feedforward(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.norm = Norm(shape.hidden, shape.normEpsilon)
        self.gate_up = nn.Linear(shape.hidden, 2 * shape.intermediate, bias=False)
        self.down = nn.Linear(shape.intermediate, shape.hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up(self.norm(x)).chunk(2, -1)
        return self.down(F.silu(gate) * up)


class Layer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention = Attention(shape)
        self.feedforward = Feedforward(shape)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor], padding: Padding) -> Tensor:
        x = x + self.attention(x, rotation, padding)
        return x + self.feedforward(x)


class Exit(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.norm = Norm(shape.hidden, shape.normEpsilon)
        self.projection = nn.Linear(shape.hidden, shape.hidden, bias=False)

    def forward(self, x: Tensor, batch: Packed) -> Tensor:
        """[tokens, hidden] → [sequences, hidden], not yet of unit length."""
        return self.projection(pool(self.norm(x), batch))


def pool(x: Tensor, batch: Packed) -> Tensor:
    """The mean over each sequence's tokens."""
    sums = x.new_zeros(len(batch.offsets) - 1, x.shape[-1]).index_add(0, batch.sequence, x)
    return sums / batch.lengths[:, None]


class Pretraining(nn.Module):
    """Heads of stage "language", shared by all exits and told which exit they read; never exported."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.norm = Norm(shape.hidden, shape.normEpsilon)
        self.mix = nn.Linear(shape.hidden, shape.hidden, bias=False)
        self.exit = nn.Embedding(len(shape.exits), shape.hidden)
        self.repository = nn.Linear(shape.hidden, 1)
        nn.init.zeros_(self.exit.weight)

    def forward(self, x: Tensor, exit: int) -> Tensor:
        return F.silu(self.mix(self.norm(x)) + self.exit.weight[exit])


class Encoder(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.hidden)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.exits = nn.ModuleDict({str(layer): Exit(shape) for layer in shape.exits})
        self.pretraining = Pretraining(shape)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2 and "pretraining.exit" not in name:
                nn.init.normal_(parameter, std=0.02)
        for layer in self.layers:  # the trunk starts as the identity, so the bag of embeddings is where it starts from
            nn.init.zeros_(layer.attention.output.weight)
            nn.init.zeros_(layer.feedforward.down.weight)

    def trunk(self, batch: Packed) -> dict[int, Tensor]:
        """[tokens, hidden] after the layers of every exit."""
        x = self.embedding(batch.ids)
        half = self.shape.hidden // self.shape.heads // 2
        rates = self.shape.ropeTheta ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
        angles = (batch.positions[:, None] * rates)[:, None, :]
        rotation, padding = (angles.cos(), angles.sin()), Padding(batch)
        found = {}
        for number, layer in enumerate(self.layers, 1):
            x = layer(x, rotation, padding)
            if number in self.shape.exits:
                found[number] = x
        return found

    def forward(self, batch: Packed) -> dict[int, Tensor]:
        """[sequences, hidden] at every exit, not yet of unit length."""
        return {exit: self.exits[str(exit)](x, batch).float() for exit, x in self.trunk(batch).items()}

    def bag(self, batch: Packed) -> dict[int, Tensor]:
        """What `forward` computes while the trunk is the identity, in a fraction of its time: norms act on the vocabulary."""
        weight = self.embedding.weight
        normed = weight * torch.rsqrt(weight.square().mean(-1, keepdim=True) + self.shape.normEpsilon)
        mean = F.embedding_bag(batch.ids, normed, batch.offsets[:-1], mode="mean")
        return {int(name): exit.projection(exit.norm.weight * mean) for name, exit in self.exits.items()}

    def exported(self) -> dict[str, Tensor]:
        return {name: weight for name, weight in self.state_dict().items() if not name.startswith("pretraining.")}


def frame(kind: str, ids: list[int], most: int) -> list[int]:
    """[cls] [kind] and the first tokens, at most `most` in all."""
    return [tokens.ID["cls"], tokens.ID[kind], *ids[: most - 2]]


# ---------------------------------------------------------------- losses


def similarities(queries: Tensor, codes: Tensor, width: int) -> Tensor:
    """Scaled cosines of the first `width` components: [queries, codes]."""
    return SCALE * F.normalize(queries[:, :width], dim=-1) @ F.normalize(codes[:, :width], dim=-1).T


def info_nce(scores: Tensor) -> Tensor:
    """Symmetric InfoNCE of [queries, codes] where query i belongs to code i; codes past the queries are only negatives."""
    target = torch.arange(len(scores), device=scores.device)
    return (F.cross_entropy(scores, target) + F.cross_entropy(scores[:, : len(scores)].T, target)) / 2


def divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(softmax student ‖ stop-gradient softmax teacher), mean over the rows."""
    own, other = F.log_softmax(student, -1), F.log_softmax(teacher.detach(), -1)
    return (own.exp() * (own - other)).sum(-1).mean()


def contrastive(
    queries: dict[int, Tensor], codes: dict[int, Tensor], widths: tuple[int, ...], left_out: frozenset[str] = frozenset()
) -> dict[str, Tensor]:
    """The three parts of the loss over exits i ≤ L and widths w (means over w, weights i / L):

    exits: InfoNCE(q_i, c_i); distillation: KL(S(q_i, c_i) ‖ sg S(q_L, c_L)) / 2;
    cross: InfoNCE(q_i, sg c_L) + KL(S(q_i, c_L) ‖ sg S(q_L, c_L)), a shallow query on a deep index.
    """
    last = max(queries)
    zero = queries[last].new_zeros(())
    parts = {"exits": zero, "distillation": zero, "cross": zero}
    for width in widths:
        deep = similarities(queries[last], codes[last], width)
        for exit in queries:
            weight = exit / last / len(widths)
            scores = deep if exit == last else similarities(queries[exit], codes[exit], width)
            parts["exits"] = parts["exits"] + weight * info_nce(scores)
            if exit == last:
                continue
            if "distillation" not in left_out:
                parts["distillation"] = parts["distillation"] + weight * 0.5 * divergence(scores, deep)
            if "cross" not in left_out:
                crossed = similarities(queries[exit], codes[last].detach(), width)
                parts["cross"] = parts["cross"] + weight * (info_nce(crossed) + divergence(crossed, deep))
    return parts


def single(queries: dict[int, Tensor], codes: dict[int, Tensor], widths: tuple[int, ...], exit: int) -> dict[str, Tensor]:
    """The loss of a model with one exit, for ablations: InfoNCE(q_i, c_i), mean over widths."""
    return {"exits": sum(info_nce(similarities(queries[exit], codes[exit], width)) for width in widths) / len(widths)}


# ---------------------------------------------------------------- stages


class Pairs(Task):
    """Stages "bag" (embeddings and exits only, plain views) and "pairs" (the whole model, drawn views).

    `alone` trains one exit as if it were the only one.
    """

    def __init__(self, model: Encoder, pairs: list[dict], batch: int, seed: int, bag: bool = False, left_out=frozenset(), longest: int | None = None, alone: int | None = None) -> None:  # fmt: skip
        self.model, self.pairs, self.size, self.seed, self.bag, self.left_out = model, pairs, batch, seed, bag, left_out
        self.alone = alone
        self.longest = longest or max(model.shape.maxTokens.values())
        self.tokenizer = tokens.load()
        self.per_epoch = max(1, len(pairs) // batch)
        self.cached: dict[int, tuple[list[int], list[int]]] = {}
        self.permutation = (-1, numpy.empty(0))

    def chosen(self, step: int) -> list[int]:
        epoch, place = divmod(step, self.per_epoch)
        if self.permutation[0] != epoch:
            self.permutation = (epoch, order(len(self.pairs), self.seed, epoch))
        return self.permutation[1][place * self.size : (place + 1) * self.size].tolist()

    def ids(self, texts: list[str], kind: str) -> list[list[int]]:
        most = min(self.longest, self.model.shape.maxTokens[kind])
        return [frame(kind, found, most) for found in tokens.encode(self.tokenizer, [text[: 12 * most] for text in texts])]

    def batch(self, step: int) -> tuple[Packed, Packed]:
        chosen = self.chosen(step)
        if self.bag:
            fresh = [number for number in chosen if number not in self.cached]
            if fresh:
                queries, codes = zip(*(plain_view(self.pairs[number]) for number in fresh), strict=True)
                found = zip(self.ids(queries, "query"), self.ids(codes, "code"), strict=True)
                self.cached.update(zip(fresh, found, strict=True))
            queries, codes = zip(*(self.cached[number] for number in chosen), strict=True)
        else:
            generator = random.Random(f"{self.seed} {step}")
            views = [view(self.pairs[number], generator) for number in chosen]
            queries, codes = (self.ids([pair[side] for pair in views], kind) for side, kind in enumerate(("query", "code")))
        device = self.model.embedding.weight.device
        return Packed.of(queries, device), Packed.of(codes, device)

    def loss(self, batch: tuple[Packed, Packed]) -> tuple[Tensor, dict[str, float], int]:
        queries, codes = map(self.model.bag if self.bag else self.model, batch)
        widths = self.model.shape.widths
        parts = contrastive(queries, codes, widths, self.left_out) if self.alone is None else single(queries, codes, widths, self.alone)
        return sum(parts.values()), {name: part.item() for name, part in parts.items()}, sum(len(side.ids) for side in batch)


class Language(Task):
    """Stage "language": masked tokens at every exit, and whether the snippets packed together are of one repository."""

    MASKED = 0.25

    def __init__(self, model: Encoder, corpus: Path, batch: int, seed: int, left_out=frozenset()) -> None:
        self.model, self.size, self.seed, self.left_out = model, batch, seed, left_out
        self.tokenizer = tokens.load()
        self.snippets = Snippets(corpus / "raw" / "train.jsonl")

    def batch(self, step: int) -> tuple[Packed, Tensor, Tensor]:
        """(packed ids with masks, the ids before masking, 1 for each sequence from one repository)."""
        generator = random.Random(f"{self.seed} {step}")
        most = self.model.shape.maxTokens["code"] // 2 - 2
        windows, same = [], []
        for _ in range(self.size):
            first = self.snippets.repository(generator)
            second = first if generator.random() < 0.5 else self.snippets.repository(generator)
            same.append(float(first == second))
            windows += [self.snippets.window(repository, 4 * most, generator) for repository in (first, second)]
        found = tokens.encode(self.tokenizer, windows)
        sequences = [
            [tokens.ID["cls"], tokens.ID["code"], *left[:most], tokens.ID["sep"], *right[:most]]
            for left, right in zip(found[::2], found[1::2], strict=True)
        ]
        device = self.model.embedding.weight.device
        packed = Packed.of(sequences, device)
        hidden = torch.from_numpy(generator_at(self.seed, step).random(len(packed.ids)) < self.MASKED).to(device)
        hidden &= packed.ids >= 128
        masked = packed.ids.masked_fill(hidden, tokens.ID["mask"])
        return Packed(masked, packed.offsets), packed.ids.masked_fill(~hidden, -100), torch.tensor(same, device=device)

    def loss(self, batch: tuple[Packed, Tensor, Tensor]) -> tuple[Tensor, dict[str, float], int]:
        packed, target, same = batch
        head, last = self.model.pretraining, self.model.shape.layers
        places = (target >= 0).nonzero()[:, 0]
        figures, total = {}, 0.0
        for number, (exit, x) in enumerate(self.model.trunk(packed).items()):
            guess = head(x[places], number) @ self.model.embedding.weight.T
            words = F.cross_entropy(guess.float(), target[places])
            total = total + exit / last * words
            figures[f"masked{exit}"] = words.item()
            if "repository" not in self.left_out:
                verdict = head.repository(pool(head(x, number).float(), packed))[:, 0]
                repository = F.binary_cross_entropy_with_logits(verdict.float(), same)
                total = total + exit / last * repository
                figures[f"repository{exit}"] = repository.item()
        return total, figures, len(packed.ids)


class Hard(Pairs):
    """Stage "hard": every query with negatives mined by the model itself.

    The 50 nearest codes of a query; those that score above 95 % of its own code may be right answers and are left out
    (the guard of NV-Retriever, 2024); of the rest, the nearest few are negatives.
    """

    def __init__(self, model: Encoder, pairs: list[dict], batch: int, seed: int, negatives: int, mined: Path, left_out=frozenset()):
        super().__init__(model, pairs, batch, seed, left_out=left_out)
        self.negatives = negatives
        self.near = numpy.load(mined)

    def batch(self, step: int) -> tuple[Packed, Packed]:
        generator = random.Random(f"{self.seed} {step}")
        chosen = self.chosen(step)
        near = [number for place in chosen for number in generator.sample(self.near[place].tolist(), self.negatives) if number >= 0]
        views = [view(self.pairs[number], generator) for number in chosen]
        codes = [code for _, code in views] + [self.pairs[number]["code"] for number in near if number not in set(chosen)]
        device = self.model.embedding.weight.device
        return Packed.of(self.ids([query for query, _ in views], "query"), device), Packed.of(self.ids(codes, "code"), device)


def mine_negatives(model: Encoder, pairs: list[dict], path: Path, kept: int = 12) -> None:
    """Writes [pairs, kept] numbers of hard negatives, −1 where there are fewer."""
    queries, codes = embed_pairs(model, pairs)
    last = max(queries)
    query, code = F.normalize(queries[last], dim=-1), F.normalize(codes[last], dim=-1)
    own = (query * code).sum(-1)
    rows = []
    for start in range(0, len(pairs), 1_000):
        scores = query[start : start + 1_000] @ code.T
        top = scores.topk(min(50, len(pairs)), dim=-1)
        allowed = top.values < 0.95 * own[start : start + 1_000, None]
        allowed &= top.indices != torch.arange(start, start + len(scores), device=scores.device)[:, None]
        for indices, permitted in zip(top.indices.tolist(), allowed.tolist(), strict=True):
            found = [number for number, good in zip(indices, permitted, strict=True) if good][:kept]
            rows.append(found + [-1] * (kept - len(found)))
    numpy.save(path, numpy.array(rows))


@torch.no_grad()
def embed(model: Encoder, sequences: list[list[int]], tokens_per_batch: int = 16_384) -> dict[int, Tensor]:
    """[sequences, hidden] at every exit; batched by length, in the given order. Leaves the model in evaluation mode."""
    model.eval()
    device = model.embedding.weight.device
    by_length = sorted(range(len(sequences)), key=lambda number: len(sequences[number]))
    found = {exit: torch.empty(len(sequences), model.shape.hidden, device=device) for exit in model.shape.exits}
    start = 0
    while start < len(by_length):
        end, total = start, 0
        while end < len(by_length) and (end == start or total + len(sequences[by_length[end]]) <= tokens_per_batch):
            total += len(sequences[by_length[end]])
            end += 1
        chosen = by_length[start:end]
        for exit, vectors in model(Packed.of([sequences[number] for number in chosen], device)).items():
            found[exit][chosen] = vectors
        start = end
    return found


def embed_pairs(model: Encoder, pairs: list[dict]) -> tuple[dict[int, Tensor], dict[int, Tensor]]:
    task = Pairs(model, pairs, 1, 0)
    views = [plain_view(pair) for pair in pairs]
    return tuple(embed(model, task.ids([pair[side] for pair in views], kind)) for side, kind in enumerate(("query", "code")))


# ---------------------------------------------------------------- figures


def reciprocal_ranks(queries: Tensor, codes: Tensor, width: int, pool_size: int) -> Tensor:
    """1 / rank of each query's own code among the `pool_size` codes of its block; a tie counts against it."""
    ranks = []
    for start in range(0, len(queries) - pool_size + 1, pool_size):
        block = slice(start, start + pool_size)
        scores = similarities(queries[block], codes[block], width)
        own = scores.diagonal()[:, None]
        ranks.append((scores >= own).sum(-1))
    return 1.0 / torch.cat(ranks)


def evaluated_pairs(pairs: list[dict], limit: int) -> list[dict]:
    """Docstring pairs of the EVALUATED languages, the same at every call."""
    pairs = [pair for pair in pairs if pair["kind"] == "docstring" and pair["language"] in EVALUATED]
    random.Random(1).shuffle(pairs)
    return pairs[:limit]


def ranks_by_exit(model: Encoder, pairs: list[dict], pool_size: int = 1_000, limit: int = 5_000) -> dict[str, Tensor]:
    """Reciprocal ranks [queries] among `pool_size`: of every exit and width, and of every exit on the last one's index."""
    pairs = evaluated_pairs(pairs, limit)
    pool_size = min(pool_size, len(pairs))
    queries, codes = embed_pairs(model, pairs)
    last = max(queries)
    ranks = {}
    for exit in queries:
        for width in model.shape.widths:
            ranks[f"exit {exit} width {width}"] = reciprocal_ranks(queries[exit], codes[exit], width, pool_size)
        if exit != last:
            ranks[f"exit {exit} on {last}"] = reciprocal_ranks(queries[exit], codes[last], model.shape.hidden, pool_size)
    return ranks


def evaluate(model: Encoder, pairs: list[dict], pool_size: int = 1_000, limit: int = 5_000) -> dict[str, float]:
    """The means of `ranks_by_exit`: MRR."""
    ranks = ranks_by_exit(model, pairs, pool_size, limit)
    queries = len(next(iter(ranks.values())))
    return {"queries": queries, "pool": min(pool_size, queries), **{name: found.mean().item() for name, found in ranks.items()}}


# ---------------------------------------------------------------- commands


def load_run(run: Path) -> tuple[Encoder, dict]:
    """The model of a run's latest stage, and its size document."""
    size = json.loads((run / "size.json").read_text())
    model = Encoder(Shape.of(size["shape"]))
    for stage in reversed(STAGES):
        checkpoint = run / stage / "checkpoint.pt"
        if checkpoint.exists():
            model.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True)["model"])
            return model, {**size, "stage": stage}
    sys.exit(f"{run} has no checkpoint yet")


def train(size_name: str, corpus: Path, run: Path, minutes: float, seed: int, precision: str, device: str, left_out: frozenset) -> bool:
    """Runs the stages in order for at most `minutes`; returns whether all have ended."""
    size = json.loads((HERE / "sizes" / f"{size_name}.json").read_text())
    run.mkdir(parents=True, exist_ok=True)
    (run / "size.json").write_text(json.dumps({**size, "seed": seed, "without": sorted(left_out)}, indent=1))
    torch.manual_seed(seed)
    model = Encoder(Shape.of(size["shape"])).to(device)
    pairs = read_pairs(corpus / "pairs" / "train.jsonl") + 3 * read_questions(DATA)
    used = 0.0
    for stage in STAGES:
        settings = size["stages"][stage]
        if settings["steps"] == 0:
            continue
        batch = settings["batch"]
        model.embedding.requires_grad_(settings.get("embedding") != "frozen")
        if stage in ("bag", "pairs"):
            task = Pairs(model, pairs, batch, seed, stage == "bag", left_out, settings.get("longest"))
        elif stage == "language":
            task = Language(model, corpus, batch, seed, left_out)
        else:
            mined = run / "negatives.npy"
            some = [pairs[number] for number in order(len(pairs), seed, 0)[: settings["mined"]]]
            if not mined.exists():
                mine_negatives(model, some, mined)
            task = Hard(model, some, batch, seed, settings["negatives"], mined, left_out)
        schedule = Schedule(settings["steps"], settings["rate"], warmup=max(1, min(100, settings["steps"] // 10)))
        trainer = Trainer(task, schedule, run / stage, precision, device)
        before = trainer.seconds
        if not trainer.run(minutes - used):
            return False
        used += (trainer.seconds - before) / 60
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train")
    training.add_argument("size")
    training.add_argument("corpus", type=Path)
    training.add_argument("run", type=Path)
    training.add_argument("--minutes", type=float, default=10)
    training.add_argument("--seed", type=int, default=1)
    training.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    training.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    training.add_argument("--threads", type=int, help="CPU threads")
    training.add_argument("--without", nargs="*", default=[], choices=("distillation", "cross", "repository"), help="ablations")
    figures = commands.add_parser("evaluate")
    figures.add_argument("run", type=Path)
    figures.add_argument("pairs", type=Path)
    chosen = parser.parse_args()
    if chosen.command == "train":
        if chosen.threads:
            torch.set_num_threads(chosen.threads)
        ended = train(chosen.size, chosen.corpus, chosen.run, chosen.minutes, chosen.seed, chosen.precision, chosen.device, frozenset(chosen.without))  # fmt: skip
        print("all stages have ended" if ended else "stopped by --minutes: the same command goes on")
    else:
        print(json.dumps(evaluate(load_run(chosen.run)[0], read_pairs(chosen.pairs)), indent=1))


if __name__ == "__main__":
    main()
