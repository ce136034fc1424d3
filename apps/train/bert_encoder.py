"""Trains the exits of a published BERT encoder, so that quality rises with depth: the encoder `code-encoder-2`.

    python bert_encoder.py train MINILM WORDLLAMA MINE RUN --minutes 100   the same command again goes on
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
"""

import argparse
import json
import os
import random
import re
import time
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
from encoder import divergence, info_nce, similarities
from extract import description
from trainer import Packed, Schedule, Task, Trainer, order
from views import read_pairs, read_questions, view

HERE = Path(__file__).parent
DATA = Path(os.environ.get("TESSERA_DATA", HERE.parent.parent.parent / "shared" / "data"))
WIDTHS = (64, 128, 256, 384)
CUTS = {"query": 32, "passage": 96}  # tokens of a text in training
RATES = {"exits.": 4.0, "shares": 20.0, "layers.0.": 2.5, "layers.1.": 2.5, "layers.2.": 1.5, "layers.3.": 1.5, "layers.4.": 0.7, "layers.5.": 0.7}  # of the schedule's
LETTERS = 1_200  # of a code in training
CLS, SEP = 101, 102


# ---------------------------------------------------------------- texts


@dataclass(frozen=True)
class Source:
    """Pairs that are drawn into a batch together; the share of batches that come from here, and of the texts that are read."""

    name: str
    share: float
    read: float
    pairs: list[dict]
    prose: bool = False


def sources_of(mine: Path, data: Path) -> list[Source]:
    pairs = read_pairs(mine / "pairs" / "train.jsonl")
    prose = read_pairs(mine / "prose" / "train.jsonl")
    questions = read_questions(data)
    documented = [pair for pair in pairs if pair["kind"] == "docstring"]
    others = [pair for pair in pairs if pair["kind"] != "docstring"]
    sources = [
        Source("python docstrings", 0.26, 0.04, [pair for pair in documented if pair["language"] == "python"]),
        Source("other docstrings", 0.16, 0.027, [pair for pair in documented if pair["language"] != "python"]),
        Source("names and tests", 0.05, 0.01, others),
        Source("python questions", 0.11, 0.02, [pair for pair in questions if pair["language"] == "python"]),
        Source("other questions", 0.06, 0.01, [pair for pair in questions if pair["language"] != "python"]),
        Source("sections", 0.20, 0.133, [pair for pair in prose if "wordnet" not in pair["repository"]], prose=True),
        Source("descriptions", 0.06, 0.04, [pair for pair in map(opening, documented) if pair], prose=True),
        Source("definitions", 0.10, 0.72, [pair for pair in prose if "wordnet" in pair["repository"]], prose=True),
    ]
    return [source for source in sources if source.pairs]


def opening(pair: dict) -> dict | None:
    """The first sentence of a docstring and what follows it as a pair of prose; None where nothing much follows."""
    found = re.split(r"(?<=[.!?])\s+(?=[A-Z`])", " ".join(description(pair["text"]).split()), maxsplit=1)
    return {"title": found[0], "text": found[1]} if len(found) == 2 and len(found[1]) >= 80 else None


def texts_of(pair: dict, generator: random.Random) -> tuple[str, str]:
    """(query, passage) of a pair for one step; names inside it may be split into words ("parseHeader", "parse header")."""
    if "title" in pair:
        return pair["title"], pair["text"]
    query, code = view(pair, generator)
    code = code[:LETTERS]
    return query, split_names(code) if generator.random() < 0.5 else code


def split_names(text: str) -> str:
    """Blanks where lower case meets upper case, and before the last of several capitals: "parseHTTPHeader", "parse HTTP Header"."""
    letters = []
    for place, letter in enumerate(text):
        before, after = text[place - 1] if place else " ", text[place + 1] if place + 1 < len(text) else " "
        if letter.isupper() and (before.islower() or before.isdigit() or (before.isupper() and after.islower())):
            letters.append(" ")
        letters.append(letter)
    return "".join(letters)


def ids_of(tokenizer: Tokenizer, texts: list[str], most: int) -> list[list[int]]:
    """[CLS] tokens [SEP], the end of long texts cut."""
    encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
    return [[CLS, *encoding.ids[: most - 2], SEP] for encoding in encodings]


# ---------------------------------------------------------------- start


def sample(sources: list[Source], count: int, seed: int) -> tuple[list[str], list[str]]:
    """About `count` texts, each query before its passage, and the name of each pair's source."""
    generator = random.Random(seed)
    texts, names = [], []
    for source in sources:
        for pair in generator.choices(source.pairs, k=max(1, round(count * source.read / 2))):
            texts += texts_of(pair, generator)
            names.append(source.name)
    return texts, names


@dataclass(frozen=True)
class Reading:
    """What the published model made of texts: ids, mean states [texts, layers + 1, hidden] and the source of each pair of texts."""

    ids: list[list[int]]
    states: Tensor
    names: list[str]

    @staticmethod
    def of(model: BertExits, tokenizer: Tokenizer, sources: list[Source], count: int, seed: int) -> "Reading":
        texts, names = sample(sources, count, seed)
        ids = ids_of(tokenizer, texts, CUTS["passage"])
        return Reading(ids, pooled_states(model, ids), names)

    def balanced(self) -> numpy.ndarray:
        """Places of pairs in which the many definitions, which are short, weigh as much as about all others together."""
        return numpy.repeat(numpy.arange(len(self.names)), [1 if name == "definitions" else 3 for name in self.names])

    def of_pairs(self, pairs: numpy.ndarray) -> "Reading":
        places = numpy.stack([2 * pairs, 2 * pairs + 1], 1).flatten()
        return Reading([self.ids[place] for place in places], self.states[places], [self.names[pair] for pair in pairs])

    def save(self, path: Path) -> None:
        torch.save({"ids": self.ids, "states": self.states.half(), "names": self.names}, path)

    @staticmethod
    def load(path: Path) -> "Reading":
        found = torch.load(path, weights_only=True)
        return Reading(found["ids"], found["states"].float(), found["names"])


@torch.no_grad()
def pooled_states(model: BertExits, ids: list[list[int]], tokens: int = 6_000) -> Tensor:
    """[texts, layers + 1, hidden]: the mean state of each text after the embeddings and after each layer, in bf16 arithmetic."""
    found = torch.zeros(len(ids), model.shape.layers + 1, model.shape.hidden)
    for chosen in by_length(ids, tokens):
        batch = Packed.of([ids[place] for place in chosen])
        with torch.autocast("cpu", torch.bfloat16):
            states = model.states(batch)
        for layer, state in enumerate(states):
            found[chosen, layer] = mean_of(state, batch)
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
def start(model: BertExits, reading: Reading, letters: Tensor) -> None:
    """Sets the table to the first components of `letters` [vocabulary, any], and all exits in closed form.

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
    start_between(model, reading)


@torch.no_grad()
def start_between(model: BertExits, reading: Reading) -> None:
    """Sets the exits between the first and the last to ridge maps to what exit 0 leaves of the last one's unit vectors."""
    last = max(model.shape.exits)
    target = F.normalize(reading.states[:, -1], dim=-1) @ model.exits[str(last)].weight.T
    left = target - model.static(Packed.of(reading.ids))
    for place, layer in enumerate(model.shape.exits):
        if 0 < layer < last:
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
    """The stage "table": exit 0 alone, on pairs that were read, drawn from all sources together."""

    def __init__(self, model: BertExits, reading: Reading, settings: dict) -> None:
        self.model, self.reading, self.size, self.seed = model, reading, settings["tableBatch"], settings["seed"]
        self.target, self.pairs = targets_of(model, reading), reading.balanced()

    def batch(self, step: int) -> tuple[Packed, Tensor]:
        epoch, place = divmod(step * self.size, max(self.size, len(self.pairs) - self.size))
        pairs = self.pairs[order(len(self.pairs), self.seed, epoch)[place : place + self.size]]
        places = [*(2 * pairs), *(2 * pairs + 1)]
        return Packed.of([self.reading.ids[number] for number in places]), self.target[places]

    def loss(self, batch: tuple[Packed, Tensor]) -> tuple[Tensor, dict[str, float], int]:
        packed, target = batch
        parts = losses({0: self.model.static(packed)}, target, WIDTHS[1], True)
        return sum(parts.values()), {name: part.item() for name, part in parts.items()}, len(packed.ids)


def targets_of(model: BertExits, reading: Reading) -> Tensor:
    """[texts, hidden]: the published model's unit vectors in the space of the exits."""
    return F.normalize(reading.states[:, -1], dim=-1) @ model.exits[str(max(model.shape.exits))].weight.detach().clone().T


class Exits(Task):
    """The stage "exits": layers and deeper exits. Code is drawn from the sources, prose from what was read, with its targets."""

    def __init__(self, model: BertExits, tokenizer: Tokenizer, sources: list[Source], reading: Reading, settings: dict) -> None:
        self.model, self.tokenizer, self.sources, self.reading = model, tokenizer, sources, reading
        self.size, self.seed = settings["batch"], settings["seed"]
        self.shares = numpy.array([source.share for source in sources])
        self.shares /= self.shares.sum()
        self.target = targets_of(model, reading)
        self.places = {source.name: [place for place, name in enumerate(reading.names) if name == source.name] for source in sources}

    def batch(self, step: int) -> tuple[Packed, Tensor | None, int]:
        """(queries, then their passages, packed; the vectors that teach them, or None for code; the second width)."""
        generator = random.Random(f"{self.seed} {step}")
        source = self.sources[numpy.searchsorted(numpy.cumsum(self.shares), generator.random() * 0.999_999)]
        count = len(self.places[source.name]) if source.prose else len(source.pairs)
        epoch, place = divmod(step * self.size, max(self.size, count - self.size))
        chosen = order(count, self.seed, epoch)[place : place + self.size]
        width = generator.choice(WIDTHS[:-1])
        if source.prose:
            pairs = [self.places[source.name][number] for number in chosen]
            places = [*(2 * pair for pair in pairs), *(2 * pair + 1 for pair in pairs)]
            return Packed.of([self.reading.ids[number] for number in places]), self.target[places], width
        queries, passages = zip(*(texts_of(source.pairs[number], generator) for number in chosen), strict=True)
        ids = ids_of(self.tokenizer, list(queries), CUTS["query"]) + ids_of(self.tokenizer, list(passages), CUTS["passage"])
        return Packed.of(ids), None, width

    def loss(self, batch: tuple[Packed, Tensor | None, int]) -> tuple[Tensor, dict[str, float], int]:
        packed, target, width = batch
        found = self.model(packed)
        prose = target is not None
        deeper = {exit: vectors for exit, vectors in found.items() if exit}
        parts = losses(deeper, target if prose else found[max(found)].detach(), width, prose)
        return sum(parts.values()), {f"{name} {'prose' if prose else 'code'}": part.item() for name, part in parts.items()}, len(packed.ids)

    def rate(self, name: str) -> float:
        return next((rate for start, rate in RATES.items() if name.startswith(start)), 1.0)


def losses(found: dict[int, Tensor], target: Tensor, width: int, prose: bool) -> dict[str, Tensor]:
    """Over exits i and two widths: InfoNCE(q_i, p_i), KL to the similarities of the target, 1 − cos to the target's vectors.

    Each row of a tensor of `found` is a query (first half) or its passage (second half). Exit i weighs (i + 1) / (L + 1) in
    InfoNCE; the distances to the target weigh alike at all exits, and at the last exit for prose only.
    """
    last = max(found)
    half = len(target) // 2
    parts = {"pairs": target.new_zeros(()), "relations": target.new_zeros(()), "vectors": target.new_zeros(())}
    for exit, vectors in found.items():
        full = vectors.shape[1]
        for cut, share in ((width, 0.5), (full, 0.5)):
            scores = similarities(vectors[:half], vectors[half:], cut)
            parts["pairs"] = parts["pairs"] + share * (exit + 1) / (last + 1) * (0.5 if prose else 1.0) * info_nce(scores)
            if exit == last and not prose:
                continue
            parts["relations"] = parts["relations"] + share * divergence(scores, similarities(target[:half], target[half:], target.shape[1]))
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


def evaluate(model: BertExits, tokenizer: Tokenizer, data: Path, passage: int = retrieval.CUTS["passage"]) -> dict[str, dict[int, numpy.ndarray]]:
    """Per development set and exit one value a question (retrieval.figure)."""
    values: dict[str, dict[int, numpy.ndarray]] = {}
    for questions in (retrieval.cosqa(data), retrieval.natural_questions(data)):
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


def train(minilm: Path, wordllama: Path, mine: Path, run: Path, settings: dict, minutes: float) -> bool:
    """Goes on with the stages for `minutes`; returns whether all have ended. The model is then in RUN/final.pt."""
    run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(settings["seed"])
    model, tokenizer = load_minilm(minilm)
    sources = sources_of(mine, DATA)
    if not (run / "reading.pt").exists():
        Reading.of(model, tokenizer, sources, settings["read"], settings["seed"]).save(run / "reading.pt")
    reading = Reading.load(run / "reading.pt")
    if not (run / "start.pt").exists():
        start(model, reading, letters_of(tokenizer, wordllama))
        torch.save(model.state_dict(), run / "start.pt")
    model.load_state_dict(torch.load(run / "start.pt", weights_only=True))
    began = time.monotonic()
    trained(model, ("table.", "exits.0."))
    schedule = Schedule(settings["tableSteps"], settings["tableRate"], warmup=20, decay=0.0)
    if not Trainer(Table(model, reading, settings), schedule, run / "table", report=100).run(minutes):
        return False
    start_between(model, reading.of_pairs(reading.balanced()))
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    trained(model, ("layers.", "exits.", "shares", "embedding_norm."), ("exits.0.",))
    schedule = Schedule(settings["steps"], settings["rate"], warmup=settings["warmup"], decay=0.01)
    task = Exits(model, tokenizer, sources, reading, settings)
    ended = Trainer(task, schedule, run / "exits", precision="bf16", report=1).run(minutes - (time.monotonic() - began) / 60, save_every=300)
    model.load_state_dict(between(before, model.state_dict(), settings["blend"]))
    finish(model, settings, minilm, run)
    return ended


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
    judging = commands.add_parser("evaluate")
    judging.add_argument("minilm", type=Path)
    judging.add_argument("run", type=Path, nargs="?")
    judging.add_argument("--weights", default="final.pt", help="start.pt: the floor, one ridge map an exit and no training")
    judging.add_argument("--bundle", type=Path, help="judge a bundle's stored weights in place of a run's")
    judging.add_argument("--passage", type=int, default=retrieval.CUTS["passage"])
    training.add_argument("--settings", type=Path, default=HERE / "sizes" / "bert-encoder.json")
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    if chosen.command == "train":
        ended = train(chosen.minilm, chosen.wordllama, chosen.mine, chosen.run, json.loads(chosen.settings.read_text()), chosen.minutes)
        print("all stages have ended" if ended else "not ended: the same command goes on")
    else:
        model, tokenizer = load_minilm(chosen.minilm)
        base = evaluate(model, tokenizer, DATA, chosen.passage)
        if chosen.bundle:
            model, tokenizer = from_bundle(chosen.bundle)
        else:
            model.load_state_dict(weights_of(chosen.run / chosen.weights))
        show(evaluate(model, tokenizer, DATA, chosen.passage), base)


if __name__ == "__main__":
    main()
