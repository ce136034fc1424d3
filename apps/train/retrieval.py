"""The two development sets of the encoder, CoSQA (code) and NQ (prose), and the figures on them with intervals."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy

from views import plain_view

CUTS = {"query": 64, "passage": 256}  # tokens, with [CLS] and [SEP]
DRAWS = 2_000


@dataclass(frozen=True)
class Questions:
    """`gold[i]` is the place in `passages` that answers `queries[i]`."""

    name: str
    queries: list[str]
    passages: list[str]
    gold: numpy.ndarray

    def part(self, most: int, seed: int = 1) -> "Questions":
        """All questions with at most `most` passages: every gold one, and others drawn at random."""
        golden = numpy.unique(self.gold)
        others = numpy.setdiff1d(numpy.arange(len(self.passages)), golden)
        drawn = numpy.random.default_rng(seed).permutation(others)[: max(0, most - len(golden))]
        kept = numpy.sort(numpy.concatenate([golden, drawn]))
        return Questions(self.name, self.queries, [self.passages[place] for place in kept], numpy.searchsorted(kept, self.gold))


def cosqa(data: Path) -> Questions:
    functions = json.loads((data / "cosqa" / "code_idx_map.json").read_text())
    asked = json.loads((data / "cosqa" / "dev-500.json").read_text())
    places = {number: place for place, number in enumerate(functions.values())}
    gold = numpy.array([places[question["retrieval_idx"]] for question in asked])
    return Questions("cosqa", [question["doc"] for question in asked], list(functions), gold)


def natural_questions(data: Path) -> Questions:
    corpus = json.loads((data / "nq" / "corpus.json").read_text())
    asked = json.loads((data / "nq" / "dev.json").read_text())
    passages = [f"{passage['title']}\n{passage['text']}" for passage in corpus]
    return Questions("nq", [question["question"] for question in asked], passages, numpy.array([question["gold"] for question in asked]))


def projects(pairs: Path, most: int = 334, seed: int = 1) -> Questions:
    """Functions of projects by the first sentence of their description, up to `most` of each language of Python, JavaScript and TypeScript.

    Drawn by digest, so that they do not depend on the order of the file.
    """
    with open(pairs) as lines:
        documented = [pair for pair in map(json.loads, lines) if pair["kind"] == "docstring"]
    drawn = []
    for language in ("python", "javascript", "typescript"):
        own = sorted((pair for pair in documented if pair["language"] == language), key=lambda pair: hashlib.blake2b(f"{seed} {pair['code']}".encode()).digest())
        drawn += own[:most]
    queries, codes = zip(*(plain_view(pair) for pair in drawn), strict=True)
    return Questions("projects", list(queries), list(codes), numpy.arange(len(drawn)))


def ranks(queries: numpy.ndarray, passages: numpy.ndarray, gold: numpy.ndarray) -> numpy.ndarray:
    """The rank of each question's gold passage by cosine, from 1; a passage that ties with it counts as before it."""
    left, right = unit(queries), unit(passages)
    scores = left @ right.T
    own = scores[numpy.arange(len(gold)), gold]
    return (scores >= own[:, None]).sum(1)


def unit(vectors: numpy.ndarray) -> numpy.ndarray:
    return vectors / numpy.maximum(numpy.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def figure(name: str, found: numpy.ndarray) -> numpy.ndarray:
    """One value a question: whether the gold is among the first five for NQ, the reciprocal rank for the others."""
    return (found <= 5).astype(float) if name == "nq" else 1 / found


def interval(values: numpy.ndarray, seed: int = 1) -> tuple[float, float, float]:
    """(mean, lower, upper): the 95 % interval by bootstrap over questions. For differences give paired differences."""
    generator = numpy.random.default_rng(seed)
    means = values[generator.integers(0, len(values), (DRAWS, len(values)))].mean(1)
    low, high = numpy.quantile(means, [0.025, 0.975])
    return float(values.mean()), float(low), float(high)
