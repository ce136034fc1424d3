"""What the BERT encoder is trained on: pairs by source, and their texts and tokens."""

import random
import re
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from extract import description
from views import read_pairs, read_questions, view

LETTERS = 1_200  # of a code in training
CLS, SEP = 101, 102
PROSE = ("sections", "descriptions", "definitions", "bags")  # sources without code


@dataclass(frozen=True)
class Source:
    """Pairs that are drawn into a batch together; the share of batches that come from here, and of the texts that are read."""

    name: str
    share: float
    read: float
    pairs: list[dict]

    @property
    def prose(self) -> bool:
        return self.name in PROSE


def sources_of(mine: Path, data: Path, bags: list[dict]) -> list[Source]:
    pairs = read_pairs(mine / "pairs" / "train.jsonl")
    prose = read_pairs(mine / "prose" / "train.jsonl")
    questions = read_questions(data)
    documented = [pair for pair in pairs if pair["kind"] == "docstring"]
    others = [pair for pair in pairs if pair["kind"] != "docstring"]
    sources = [
        Source("python docstrings", 0.26, 0.075, [pair for pair in documented if pair["language"] == "python"]),
        Source("other docstrings", 0.16, 0.045, [pair for pair in documented if pair["language"] != "python"]),
        Source("names and tests", 0.05, 0.015, others),
        Source("python questions", 0.11, 0.02, [pair for pair in questions if pair["language"] == "python"]),
        Source("other questions", 0.06, 0.01, [pair for pair in questions if pair["language"] != "python"]),
        Source("sections", 0.24, 0.21, [pair for pair in prose if "wordnet" not in pair["repository"]]),
        Source("descriptions", 0.06, 0.09, [pair for pair in map(opening, documented) if pair]),
        Source("definitions", 0.14, 0.535, [pair for pair in prose if "wordnet" in pair["repository"]]),
        Source("bags", 0.0, 0.24, bags),
    ]
    return [source for source in sources if source.pairs]


def bags_of(tokenizer: Tokenizer, count: int, seed: int) -> list[dict]:
    """Pairs without sense: one to four words drawn evenly from the vocabulary, and the same among others, so that all are read."""
    generator = random.Random(seed)
    tokens = [tokenizer.id_to_token(number) for number in range(tokenizer.get_vocab_size())]
    whole = [token for token in tokens if re.fullmatch(r"[a-z]{2,}|\d{2,4}", token)]
    ends = [token[2:] for token in tokens if re.fullmatch(r"##[a-z]{2,}", token)] or [""]
    pairs = []
    for _ in range(count):
        drawn = [generator.choice(whole) + (generator.choice(ends) if generator.random() < 0.25 else "") for _ in range(generator.randint(4, 16))]
        asked = drawn[: generator.randint(1, 4)]
        generator.shuffle(drawn)
        pairs.append({"title": " ".join(asked), "text": " ".join(drawn)})
    return pairs


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
