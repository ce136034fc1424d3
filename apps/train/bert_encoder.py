"""Trains the exits of a published BERT encoder, so that quality rises with depth: the encoder `code-encoder-2`.

    python bert_encoder.py train MINILM WORDLLAMA MINE RUN --minutes 100   the same command again goes on
    python bert_encoder.py train … --from BUNDLE               the same from a bundle's stored weights, with a fresh optimizer
    python bert_encoder.py evaluate MINILM RUN                 CoSQA and NQ at every exit, beside the weights it started from
    python bert_encoder.py evaluate MINILM RUN --weights start.pt   the floor: one ridge map an exit, no training
    python bert_encoder.py evaluate MINILM --bundle BUNDLE     the same for a bundle

MINILM is the folder of all-MiniLM-L6-v2 in the layout of sentence-transformers, MINE is the OUTPUT of packages.py, RUN holds
checkpoints and logs. WORDLLAMA is the folder of its package. The stages:

1. read: the published model reads texts of the mine once; their mean states after every layer are kept.
2. start: the space of all exits is the teacher's, turned by its singular vectors; exits get ridge maps to it.
3. table: exit 0 is trained on the texts that were read, which costs no layer.
4. exits: the layers and the deeper exits, by pairs of code and prose at every exit and at two widths; deeper exits teach
   shallower ones, and on prose the published model teaches all, so that what it knows is not forgotten. The weights are then
   taken back a part of the way, as the setting "blend" says.

From a bundle the second stage only turns the teacher's space to that of the bundle's last exit.
"""

import argparse
import json
import os
import random
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy
import safetensors.torch
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

import bundle
import retrieval
from bert import BertExits, BertShape, load_minilm
from bert_texts import LETTERS, PROSE, Source, bags_of, ids_of, sources_of, texts_of
from encoder import divergence, info_nce, similarities
from trainer import Packed, Schedule, Task, Trainer, order

HERE = Path(__file__).parent
DATA = Path(os.environ.get("TESSERA_DATA", HERE.parent.parent.parent / "shared" / "data"))
WIDTHS = (64, 128, 256, 384)
CUTS = {"query": 32, "passage": 96}  # tokens of a text in training
RATES = {"exits.": 4.0, "shares": 20.0, "layers.0.": 2.5, "layers.1.": 2.5, "layers.2.": 1.5, "layers.3.": 1.5, "layers.4.": 0.7, "layers.5.": 0.7}  # of the schedule's
EVERY, LAST = slice(None), slice(-1, None)  # layers whose states are kept


# ---------------------------------------------------------------- start


def sample(sources: list[Source], count: int, seed: int) -> tuple[list[str], list[str]]:
    """About `count` texts, each query before its passage, and the name of each pair's source."""
    generator = random.Random(seed)
    texts, names = [], []
    for source in sources:
        wanted = max(1, round(count * source.read / 2))
        for number in range(wanted):  # every pair once before one comes again
            place = number % len(source.pairs)
            order_of = generator.sample(source.pairs, len(source.pairs)) if place == 0 else order_of
            texts += texts_of(order_of[place], generator)
            names.append(source.name)
    return texts, names


@dataclass(frozen=True)
class Reading:
    """What a model made of texts: ids, mean states [texts, layers, hidden] of which the last layer's come last, and the source of each pair."""

    ids: list[list[int]]
    states: Tensor
    names: list[str]

    @staticmethod
    def of(model: BertExits, tokenizer: Tokenizer, sources: list[Source], settings: dict, layers: slice = EVERY) -> "Reading":
        texts, names = sample(sources, settings["read"], settings["seed"])
        ids = ids_of(tokenizer, texts, settings.get("passage", CUTS["passage"]))
        return Reading(ids, pooled_states(model, ids, layers), names)

    def balanced(self) -> numpy.ndarray:
        """Places of pairs in which the many definitions and bags, which are short, weigh as much as about all others together."""
        return numpy.repeat(numpy.arange(len(self.names)), [1 if name in ("definitions", "bags") else 3 for name in self.names])

    def drawn(self, count: int, seed: int) -> "Reading":
        """Up to `count` pairs, drawn at random."""
        return self.of_pairs(numpy.random.default_rng(seed).permutation(len(self.names))[:count])

    def of_pairs(self, pairs: numpy.ndarray) -> "Reading":
        places = places_of(pairs)
        return Reading([self.ids[place] for place in places], self.states[places], [self.names[pair] for pair in pairs])

    def save(self, path: Path) -> None:
        torch.save({"ids": self.ids, "states": self.states.half(), "names": self.names}, path)

    @staticmethod
    def load(path: Path) -> "Reading":
        found = torch.load(path, weights_only=True)
        return Reading(found["ids"], found["states"].float(), found["names"])


def places_of(pairs: numpy.ndarray) -> numpy.ndarray:
    """The places of the two texts of each pair, one after the other."""
    return numpy.stack([2 * pairs, 2 * pairs + 1], 1).flatten()


@torch.no_grad()
def pooled_states(model: BertExits, ids: list[list[int]], layers: slice = EVERY, tokens: int = 6_000) -> Tensor:
    """[texts, layers, hidden]: the mean state of each text after the embeddings and after each layer, in bf16 arithmetic."""
    found = torch.zeros(len(ids), len(range(model.shape.layers + 1)[layers]), model.shape.hidden)
    batches, begun = by_length(ids, tokens), time.monotonic()
    for number, chosen in enumerate(batches):
        if number % 100 == 99:
            print(f"read {number + 1} of {len(batches)} batches, {time.monotonic() - begun:.0f} s", flush=True)
        batch = Packed.of([ids[place] for place in chosen])
        with torch.autocast("cpu", torch.bfloat16):
            states = model.states(batch)
        for place, state in enumerate(states[layers]):
            found[chosen, place] = mean_of(state, batch)
    return found


def mean_of(state: Tensor, batch: Packed) -> Tensor:
    sums = torch.zeros(len(batch.offsets) - 1, state.shape[-1]).index_add_(0, batch.sequence, state.float())
    return sums / batch.lengths[:, None]


def by_length(ids: list[list[int]], tokens: int) -> list[list[int]]:
    """Places of texts of like length, in batches of about `tokens` tokens."""
    batches, total = [[]], 0
    for place in sorted(range(len(ids)), key=lambda place: len(ids[place])):
        if batches[-1] and total + len(ids[place]) > tokens:
            batches.append([])
            total = 0
        batches[-1].append(place)
        total += len(ids[place])
    return batches


def ridge(inputs: Tensor, targets: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    """(W, b) that minimise |x Wᵀ + b − y|² + λ |W|², where λ is `strength` of the mean variance of x."""
    x, y = inputs.double(), targets.double()
    x_mean, y_mean = x.mean(0), y.mean(0)
    gram = (x - x_mean).T @ (x - x_mean)
    gram += torch.eye(len(gram), dtype=torch.float64) * strength * gram.diagonal().mean()
    weight = torch.linalg.solve(gram, (x - x_mean).T @ (y - y_mean)).T
    return weight.float(), (y_mean - weight @ x_mean).float()


@torch.no_grad()
def start(model: BertExits, reading: Reading, letters: Tensor) -> Tensor:
    """Sets the table to the first components of `letters` [vocabulary, any], and all exits in closed form; returns the turn.

    The last exit turns its space; exit 0 is a ridge map to its unit vectors, and the others to what exit 0 leaves of them.
    """
    model.table.weight.copy_(letters @ torch.linalg.svd(letters.double(), full_matrices=False).Vh[: model.shape.table].float().T)
    reading = reading.of_pairs(reading.balanced())
    target = F.normalize(reading.states[:, -1], dim=-1)
    rotation = torch.linalg.svd(target.double(), full_matrices=False).Vh.float()
    target = target @ rotation.T
    batch = Packed.of(reading.ids)
    means = [F.embedding_bag(batch.ids, part.weight, batch.offsets[:-1], mode="mean") for part in (model.words, model.table)]
    last = max(model.shape.exits)
    maps = {last: (rotation, torch.zeros(len(rotation))), 0: ridge(torch.cat(means, 1), target, 1e-2)}
    for layer, (weight, bias) in maps.items():
        model.exits[str(layer)].weight.copy_(weight)
        model.exits[str(layer)].bias.copy_(bias)
    start_between(model, reading, target)
    return rotation


@torch.no_grad()
def turn_to(model: BertExits, reading: Reading) -> Tensor:
    """[hidden, hidden], orthogonal: what best turns the teacher's unit vectors to those of the model's last exit."""
    own = torch.cat([model(Packed.of(reading.ids[place : place + 64]))[max(model.shape.exits)] for place in range(0, len(reading.ids), 64)])
    left, _, right = torch.linalg.svd((F.normalize(own, dim=-1).T @ F.normalize(reading.states[:, -1], dim=-1)).double())
    return (left @ right).float()


@torch.no_grad()
def start_between(model: BertExits, reading: Reading, target: Tensor) -> None:
    """Sets the exits between the first and the last to ridge maps, from the layers' states to what exit 0 leaves of `target`."""
    left = target - model.static(Packed.of(reading.ids))
    for place, layer in enumerate(model.shape.exits):
        if 0 < layer < max(model.shape.exits):
            weight, bias = ridge(reading.states[:, layer], left, 0.3)
            model.exits[str(layer)].weight.copy_(weight)
            model.exits[str(layer)].bias.copy_(bias)
            model.shares[place] = 1.0


def letters_of(tokenizer: Tokenizer, wordllama: Path) -> Tensor:
    """[vocabulary, 256]: for each token the sum of the vectors that wordllama has for its letters; zero for marks."""
    weights = next(iter(safetensors.torch.load_file(next((wordllama / "weights").glob("*.safetensors"))).values())).float()
    pieces = Tokenizer.from_file(str(next((wordllama / "tokenizers").glob("*.json"))))
    tokens = [tokenizer.id_to_token(number) for number in range(tokenizer.get_vocab_size())]
    encodings = pieces.encode_batch([token.removeprefix("##") for token in tokens], add_special_tokens=False)
    space = pieces.token_to_id("\u2581")
    found = torch.zeros(len(tokens), weights.shape[1])
    for number, (token, encoding) in enumerate(zip(tokens, encodings, strict=True)):
        ids = [piece for piece in encoding.ids if piece != space]
        if ids and not re.fullmatch(r"\[\w+\]", token):
            found[number] = weights[ids].sum(0)
    return found / found.std() * 0.05


# ---------------------------------------------------------------- exits


class Table(Task):
    """The stage "table": exit 0 alone, on texts that were read. A batch holds prose and, three quarters as many, pairs with code.

    On prose the similarities among all texts of the batch are taught: those of the published model, and for the share
    `settings["letters"]` those of the means of `letters` [vocabulary, any], since these hold names that few texts have.
    """

    def __init__(self, model: BertExits, reading: Reading, target: Tensor, letters: Tensor, settings: dict) -> None:
        self.model, self.reading, self.target, self.letters = model, reading, target, letters
        self.settings, self.seed = settings, settings["seed"]
        pairs = reading.balanced()
        prose = numpy.array([reading.names[pair] in PROSE for pair in pairs], bool)
        self.parts = [(pairs[prose], settings["tableBatch"]), (pairs[~prose], settings["tableBatch"] * 3 // 4)]

    def batch(self, step: int) -> list[tuple[Packed, Tensor]]:
        """(queries, then their passages, packed; the vectors that teach them) of prose, and of code."""
        return [self.drawn(pairs, size, step) for pairs, size in self.parts if len(pairs)]

    def drawn(self, pairs: numpy.ndarray, size: int, step: int) -> tuple[Packed, Tensor]:
        epoch, place = divmod(step * size, max(size, len(pairs) - size))
        chosen = pairs[order(len(pairs), self.seed, epoch)[place : place + size]]
        places = [*(2 * chosen), *(2 * chosen + 1)]
        return Packed.of([self.reading.ids[number] for number in places]), self.target[places]

    def loss(self, batch: list[tuple[Packed, Tensor]]) -> tuple[Tensor, dict[str, float], int]:
        packed, target = batch[0]
        own = F.embedding_bag(packed.ids, self.letters, packed.offsets[:-1], mode="mean")
        share, vectors = self.settings["letters"], self.model.static(packed)
        goal = (1 - share) * among(target, target.shape[1]) + share * among(own, own.shape[1])
        parts = {"relations": vectors.new_zeros(()), "vectors": 1 - F.cosine_similarity(vectors, target, dim=-1).mean()}
        for width in (WIDTHS[1], vectors.shape[1]):
            parts["relations"] = parts["relations"] + follow(among(vectors, width), goal)
        for code, taught in batch[1:]:
            parts["code"] = 0.5 * sum(losses({0: self.model.static(code)}, taught, WIDTHS[1], True).values())
        return sum(parts.values()), {name: part.item() for name, part in parts.items()}, sum(len(part.ids) for part, _ in batch)


def targets_of(turn: Tensor, reading: Reading) -> Tensor:
    """[texts, hidden]: the published model's unit vectors in the space of the exits."""
    return F.normalize(reading.states[:, -1], dim=-1) @ turn.T


class Exits(Task):
    """The stage "exits": layers and deeper exits. Code is drawn from the sources, prose from what was read, with its targets.

    `alone`: train the layers up to this exit for it alone, as a smaller model would be. `teach`: what the published model makes of
    code, which then teaches all exits as it does on prose; without it the last exit teaches the others.
    """

    def __init__(
        self, model: BertExits, tokenizer: Tokenizer, sources: list[Source], reading: Reading, target: Tensor, settings: dict,
        alone: int | None = None, teach: Callable[[list[list[int]]], Tensor] | None = None,
    ) -> None:  # fmt: skip
        self.model, self.tokenizer, self.sources, self.reading = model, tokenizer, sources, reading
        self.settings, self.size, self.seed, self.alone = settings, settings["batch"], settings["seed"], alone
        self.shares = numpy.array([source.share for source in sources])
        self.shares /= self.shares.sum()
        self.target, self.teach = target, teach
        self.places = {source.name: [place for place, name in enumerate(reading.names) if name == source.name] for source in sources}
        self.orders: dict[tuple[str, int], numpy.ndarray] = {}
        self.codes = {source.name: self.static_of(source) for source in sources if not source.prose} if settings.get("group", 1) > 1 else {}

    @torch.no_grad()
    def static_of(self, source: Source) -> Tensor:
        """[pairs, hidden]: exit 0's unit vectors of a source's code."""
        ids = ids_of(self.tokenizer, [pair["code"][:LETTERS] for pair in source.pairs], CUTS["passage"])
        return F.normalize(torch.cat([self.model.static(Packed.of(ids[place : place + 512])) for place in range(0, len(ids), 512)]), dim=-1)

    def order(self, source: Source, epoch: int) -> numpy.ndarray:
        """The order of a source's pairs in an epoch; code whose exit 0 is alike stands together, so that negatives are hard."""
        if source.name not in self.codes:
            return order(len(self.places[source.name]) if source.prose else len(source.pairs), self.seed, epoch)
        if (source.name, epoch) not in self.orders:
            self.orders[source.name, epoch] = grouped(self.codes[source.name], self.settings["group"], self.seed, epoch)
        return self.orders[source.name, epoch]

    def batch(self, step: int) -> tuple[Packed, Tensor | None, int]:
        """(queries, then their passages, packed; the vectors that teach them, or None where the last exit does; the second width)."""
        generator = random.Random(f"{self.seed} {step}")
        source = self.sources[numpy.searchsorted(numpy.cumsum(self.shares), generator.random() * 0.999_999)]
        count = len(self.places[source.name]) if source.prose else len(source.pairs)
        size = self.size * (self.settings.get("short", 1) if source.name == "definitions" else 1)
        epoch, place = divmod(step * size, max(size, count - size))
        chosen = self.order(source, epoch)[place : place + size]
        width = generator.choice(WIDTHS[:-1])
        if source.prose:
            pairs = [self.places[source.name][number] for number in chosen]
            places = [*(2 * pair for pair in pairs), *(2 * pair + 1 for pair in pairs)]
            return Packed.of([self.reading.ids[number] for number in places]), self.target[places], width
        queries, passages = zip(*(texts_of(source.pairs[number], generator) for number in chosen), strict=True)
        ids = ids_of(self.tokenizer, list(queries), CUTS["query"]) + ids_of(self.tokenizer, list(passages), CUTS["passage"])
        return Packed.of(ids), self.teach(ids) if self.teach else None, width

    def loss(self, batch: tuple[Packed, Tensor | None, int]) -> tuple[Tensor, dict[str, float], int]:
        packed, target, width = batch
        static = self.model.static(packed).detach()
        states = self.model.states(packed, self.alone)
        found = self.model.deeper(packed, states, static)
        if self.alone:
            found = {self.alone: found[self.alone]}
        taught = target is not None
        parts = losses(found, target if taught else found[max(found)].detach(), width, taught)
        if self.settings.get("tokens") and not self.alone:
            parts["tokens"] = self.settings["tokens"] * token_distance(self.model, packed, states, static)
        return sum(parts.values()), {f"{name} {'taught' if taught else 'own'}": part.item() for name, part in parts.items()}, len(packed.ids)

    def rate(self, name: str) -> float:
        return next((rate for start, rate in RATES.items() if name.startswith(start)), 1.0)


def grouped(vectors: Tensor, size: int, seed: int, epoch: int) -> numpy.ndarray:
    """A drawn order of all rows in which each run of `size` is a row with those nearest to it by cosine, none twice.

    Rows nearer than 0.95 are likely one text written twice, and do not come into one run.
    """
    free, runs = torch.ones(len(vectors), dtype=torch.bool), []
    for place in order(len(vectors), seed, epoch):
        if free[place]:
            scores = vectors @ vectors[place]
            scores[~free | (scores > 0.95)] = -2
            near = [number for number in scores.topk(min(size - 1, len(vectors))).indices.tolist() if scores[number] > -2]
            runs.append([int(place), *near])
            free[runs[-1]] = False
    drawn = [runs[number] for number in order(len(runs), seed, epoch)]
    return numpy.concatenate([run for run in sorted(drawn, key=len, reverse=True)])


def token_distance(model: BertExits, batch: Packed, states: list[Tensor], start: Tensor) -> Tensor:
    """Mean over exits between the first and the last, and over tokens, of |v − sg v_L|² / mean |sg v_L|².

    v is what a token adds to its text's vector at an exit, v_L at the last one: deeper exits teach shallower ones token by token.
    """
    last, texts = max(model.shape.exits), start[batch.sequence]

    def of(place: int, layer: int) -> Tensor:
        return model.exits[str(layer)](states[layer]).float() + model.shares[place] * texts

    goal = of(len(model.shape.exits) - 1, last).detach()
    between = [(place, layer) for place, layer in enumerate(model.shape.exits) if 0 < layer < last]
    distances = [(of(place, layer) - goal).square().sum(-1).mean() for place, layer in between]
    return sum(distances) / len(between) / goal.square().sum(-1).mean()


def among(vectors: Tensor, width: int) -> Tensor:
    """[texts, texts]: scaled cosines of the first `width` components among all texts of a batch; a text with itself is far below all."""
    scores = similarities(vectors, vectors, width)
    return scores.masked_fill(torch.eye(len(scores), dtype=torch.bool), -1e4)


def follow(scores: Tensor, goal: Tensor) -> Tensor:
    """KL(softmax goal ‖ softmax scores), mean over the rows."""
    return F.kl_div(F.log_softmax(scores, -1), F.log_softmax(goal.detach(), -1), reduction="batchmean", log_target=True)


def losses(found: dict[int, Tensor], target: Tensor, width: int, taught: bool) -> dict[str, Tensor]:
    """Over exits i and two widths: InfoNCE(q_i, p_i), KL to the similarities of the target among all texts, 1 − cos to its vectors.

    Each row of a tensor of `found` is a query (first half) or its passage (second half). Exit i weighs (i + 1) / (L + 1) in
    InfoNCE; the distances to the target weigh alike at all exits, and at the last exit only where the target is the published model's.
    """
    last = max(found)
    half, goal = len(target) // 2, among(target, target.shape[1])
    parts = {"pairs": target.new_zeros(()), "relations": target.new_zeros(()), "vectors": target.new_zeros(())}
    for exit, vectors in found.items():
        full = vectors.shape[1]
        for cut, share in ((width, 0.5), (full, 0.5)):
            scores = similarities(vectors[:half], vectors[half:], cut)
            parts["pairs"] = parts["pairs"] + share * (exit + 1) / (last + 1) * (0.5 if taught else 1.0) * info_nce(scores)
            if exit == last and not taught:
                continue
            parts["relations"] = parts["relations"] + share * (divergence(scores, similarities(target[:half], target[half:], target.shape[1])) + follow(among(vectors, cut), goal))
            cosine = F.cosine_similarity(vectors[:, :cut], target[:, :cut].detach(), dim=-1)
            parts["vectors"] = parts["vectors"] + share * 4.0 * (1 - cosine).mean()
    return parts


# ---------------------------------------------------------------- commands


def encode(model: BertExits, tokenizer: Tokenizer, texts: list[str], most: int, tokens: int = 6_000) -> dict[int, numpy.ndarray]:
    """Vectors of every exit, in bf16 arithmetic."""
    ids = ids_of(tokenizer, texts, most)
    found: dict[int, numpy.ndarray] = {}
    for chosen in by_length(ids, tokens):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            vectors = model(Packed.of([ids[place] for place in chosen]))
        for exit, vector in vectors.items():
            found.setdefault(exit, numpy.zeros((len(ids), vector.shape[1]), numpy.float32))[chosen] = vector.numpy()
    return found


def evaluate(
    model: BertExits, tokenizer: Tokenizer, data: Path, passage: int = retrieval.CUTS["passage"], pairs: Path | None = None
) -> dict[str, dict[int, numpy.ndarray]]:
    """Per development set and exit one value a question (retrieval.figure); `pairs`: on functions of held-out projects instead."""
    values: dict[str, dict[int, numpy.ndarray]] = {}
    for questions in (retrieval.projects(pairs),) if pairs else (retrieval.cosqa(data), retrieval.natural_questions(data)):
        asked = encode(model, tokenizer, questions.queries, retrieval.CUTS["query"])
        found = encode(model, tokenizer, questions.passages, passage)
        values[questions.name] = {
            exit: retrieval.figure(questions.name, retrieval.ranks(asked[exit], found[exit], questions.gold)) for exit in asked
        }
    return values


def show(values: dict[str, dict[int, numpy.ndarray]], base: dict[str, dict[int, numpy.ndarray]] | None = None) -> None:
    for name, exits in values.items():
        for exit, each in exits.items():
            line = "{:.3f} [{:.3f}, {:.3f}]".format(*retrieval.interval(each))
            if base is not None:
                line += "   against the start's last exit {:+.3f} [{:+.3f}, {:+.3f}]".format(*retrieval.interval(each - base[name][max(base[name])]))
            print(f"{name:6s} exit {exit}: {line}", flush=True)


def train(
    minilm: Path, wordllama: Path, mine: Path, run: Path, settings: dict, minutes: float, origin: Path | None = None, alone: int | None = None
) -> bool:
    """Goes on with the stages for `minutes`; returns whether all have ended. The model is then in RUN/final.pt."""
    run.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    torch.manual_seed(settings["seed"])
    teacher, tokenizer = load_minilm(minilm)
    model = from_bundle(origin)[0] if origin else teacher
    letters = letters_of(tokenizer, wordllama)
    sources = sources_of(mine, DATA, bags_of(tokenizer, 16_000, settings["seed"]))
    if not (run / "reading.pt").exists():
        Reading.of(teacher, tokenizer, sources, settings, LAST if origin else EVERY).save(run / "reading.pt")
    reading = Reading.load(run / "reading.pt")
    if not (run / "start.pt").exists():
        turn = turn_to(model, reading.drawn(2_000, settings["seed"])) if origin else start(model, reading, letters)
        torch.save({"model": model.state_dict(), "turn": turn}, run / "start.pt")
    begin = torch.load(run / "start.pt", weights_only=True)
    model.load_state_dict(begin["model"])
    target = targets_of(begin["turn"], reading)
    trained(model, ("table.", "exits.0."))
    schedule = Schedule(settings["tableSteps"], settings["tableRate"], warmup=20, decay=0.0)
    if not Trainer(Table(model, reading, target, letters, settings), schedule, run / "table", report=100).run(minutes - (time.monotonic() - began) / 60):
        return False
    if settings["tableSteps"]:
        meet(model, reading, target, settings, origin is not None)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    trained(model, ("layers.", "exits.", "shares", "embedding_norm."), ("exits.0.",))
    schedule = Schedule(settings["steps"], settings["rate"], warmup=settings["warmup"], decay=0.01)

    def teach(ids: list[list[int]]) -> Tensor:
        states = pooled_states(teacher, ids, LAST)
        with torch.autocast("cpu", enabled=False):
            return targets_of(begin["turn"], Reading(ids, states, []))

    task = Exits(model, tokenizer, sources, reading, target, settings, alone, teach if settings.get("teach") and origin else None)
    ended = Trainer(task, schedule, run / "exits", precision="bf16", report=1).run(minutes - (time.monotonic() - began) / 60, save_every=300)
    model.load_state_dict(between(before, model.state_dict(), settings["blend"]))
    finish(model, settings, minilm, run)
    return ended


def meet(model: BertExits, reading: Reading, target: Tensor, settings: dict, own: bool) -> None:
    """After exit 0 has changed, sets the exits between it and the last anew; `own`: by what the model itself reads."""
    if own:
        pairs = numpy.random.default_rng(settings["seed"]).permutation(len(reading.names))[:6_000]
        reading, target = reading.of_pairs(pairs), target[places_of(pairs)]
        reading = Reading(reading.ids, pooled_states(model, reading.ids), reading.names)
        start_between(model, reading, target)
        return
    pairs = reading.balanced()
    start_between(model, reading.of_pairs(pairs), target[places_of(pairs)])


def between(before: dict[str, Tensor], after: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Weights that went `share` of the way from `before` to `after`, so that the last exit keeps more of what it knew."""
    return {name: weight + share * (after[name] - weight) for name, weight in before.items()}


def trained(model: BertExits, names: tuple[str, ...], but: tuple[str, ...] = ()) -> None:
    """Lets the parameters learn whose names start so, and no others."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(names) and not (but and name.startswith(but)))


def finish(model: BertExits, settings: dict, minilm: Path, run: Path) -> None:
    """Writes what export_bert_encoder.py reads."""
    torch.save(model.state_dict(), run / "final.pt")
    (run / "settings.json").write_text(json.dumps({"shape": asdict(model.shape), "training": settings}, indent=2))
    document = json.loads((minilm / "tokenizer.json").read_text())  # the cut and the padding that it asks for are the config's
    plain = json.dumps({**document, "truncation": None, "padding": None}, ensure_ascii=False, separators=(",", ":"))
    (run / "tokenizer.json").write_text(plain)


def from_bundle(folder: Path) -> tuple[BertExits, Tokenizer]:
    """The model of a bundle's stored weights, and its tokenizer."""
    config, state = bundle.read(folder)
    model = BertExits(BertShape.of(config))
    model.load_state_dict(state)
    return model, Tokenizer.from_file(str(folder / "tokenizer.json"))


def weights_of(path: Path) -> dict[str, Tensor]:
    state = torch.load(path, weights_only=True)
    return state.get("model", state)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train")
    for name in ("minilm", "wordllama", "mine", "run"):
        training.add_argument(name, type=Path)
    training.add_argument("--minutes", type=float, default=100)
    training.add_argument("--from", dest="origin", type=Path, help="a bundle to go on from, with a fresh optimizer")
    training.add_argument("--alone", type=int, help="train the layers up to this exit for it alone, to compare")
    judging = commands.add_parser("evaluate")
    judging.add_argument("minilm", type=Path)
    judging.add_argument("run", type=Path, nargs="?")
    judging.add_argument("--weights", default="final.pt", help="start.pt: the floor, one ridge map an exit and no training")
    judging.add_argument("--bundle", type=Path, help="judge a bundle's stored weights in place of a run's")
    judging.add_argument("--pairs", type=Path, help="judge on the functions of the mine's pairs/held-out.jsonl in place of CoSQA and NQ")
    judging.add_argument("--passage", type=int, default=retrieval.CUTS["passage"])
    training.add_argument("--settings", type=Path, default=HERE / "sizes" / "bert-encoder.json")
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    if chosen.command == "train":
        ended = train(chosen.minilm, chosen.wordllama, chosen.mine, chosen.run, json.loads(chosen.settings.read_text()), chosen.minutes, chosen.origin, chosen.alone)
        print("all stages have ended" if ended else "not ended: the same command goes on")
    else:
        model, tokenizer = load_minilm(chosen.minilm)
        base = evaluate(model, tokenizer, DATA, chosen.passage, chosen.pairs)
        if chosen.bundle:
            model, tokenizer = from_bundle(chosen.bundle)
        else:
            model.load_state_dict(weights_of(chosen.run / chosen.weights))
        show(evaluate(model, tokenizer, DATA, chosen.passage, chosen.pairs), base)


if __name__ == "__main__":
    main()
