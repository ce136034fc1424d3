"""What the encoder reads of a mined pair: views of its query, views of its code, and windows of raw text."""

import json
import random
import re
from pathlib import Path

from extract import description, mask_name, split_name, summary

_STOP_WORDS = frozenset(
    "a an the of to in on for and or is are be by with from as at that this it its if into will can which given".split()
)
_KEYWORDS = frozenset(
    "and as assert async await break case catch class const continue def default del do elif else enum except export extends "
    "false False final finally for from func function global go if implements import in instanceof interface is lambda let "
    "new nil None not null or package pass private protected public raise range return self static struct super switch this "
    "throw throws true True try type typeof undefined var void while with yield string number boolean int float str list dict "
    "any object error".split()
)
_NAMES = tuple("a b x y data item value result left right total entry node first other state output thing tmp foo".split())


def read_pairs(path: Path) -> list[dict]:
    with open(path) as lines:
        return [json.loads(line) for line in lines]


def read_questions(data: Path) -> list[dict]:
    """Real users' questions with code (the stackoverflow data set), as pairs of kind "question"; test files stay unread."""
    pairs = []
    for language in ("python", "csharp", "sql"):
        path = data / "stackoverflow" / f"{language}-valid.txt"
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else []
        for fields in (line.split("\t") for line in lines if line.count("\t") >= 3):
            title, code = fields[2:4]
            code = code.replace("\\n", "\n").replace("\\t", "\t")
            if len(code) >= 20:
                pairs.append({"kind": "question", "text": title, "code": code, "documented": "", "symbol": "", "language": language})
    return pairs


def web_style(text: str, language: str, generator: random.Random) -> str:
    """As one types it into a search box: lower case, no punctuation, fewer function words, sometimes the language first."""
    words = re.findall(r"[a-z0-9]+", text.lower())
    words = [word for word in words if word not in _STOP_WORDS or generator.random() < 0.4]
    return " ".join([language, *words] if generator.random() < 0.3 else words)


def drop_words(text: str, generator: random.Random, share: float = 0.15) -> str:
    words = text.split()
    kept = [word for word in words if generator.random() >= share]
    return " ".join(kept or words)


def rename(code: str, generator: random.Random) -> str:
    """Replaces up to four of a snippet's most frequent identifiers by others, each everywhere."""
    counts: dict[str, int] = {}
    for name in re.findall(r"(?<![\w.$])[A-Za-z_]\w*", code):
        if name not in _KEYWORDS and len(name) > 1:
            counts[name] = counts.get(name, 0) + 1
    frequent = sorted(counts, key=lambda name: -counts[name])[:8]
    replaced = {name: generator.choice(_NAMES) for name in generator.sample(frequent, min(4, len(frequent)))}
    if not replaced:
        return code
    return re.sub(r"(?<![\w.$])[A-Za-z_]\w*", lambda match: replaced.get(match.group(), match.group()), code)


def plain_view(pair: dict) -> tuple[str, str]:
    """(query, code) as evaluation reads them: first sentence, title or name; code without its docstring."""
    return (summary(pair["text"]) if pair["kind"] == "docstring" else pair["text"]), pair["code"]


def view(pair: dict, generator: random.Random) -> tuple[str, str]:
    """(query, code) for one training step; which views is drawn at random.

    Code keeps its docstring only where the query is not that docstring word for word: by name, or in web style.
    """
    query, code = plain_view(pair)
    drawn = generator.random()
    if pair["kind"] == "docstring":
        name = split_name(pair["symbol"].rsplit(".", 1)[-1])
        if drawn < 0.15 and len(name.split()) >= 2:
            documented = pair["documented"] if generator.random() < 0.5 else code
            query, code = name, mask_name(documented, pair["symbol"].rsplit(".", 1)[-1])
        elif drawn < 0.40:
            query = web_style(query, pair["language"], generator)
            if generator.random() < 0.4:
                code = pair["documented"]
        elif drawn < 0.55:
            query = " ".join(description(pair["text"]).split())
    elif drawn < 0.25:
        query = web_style(query, pair["language"], generator)
    if generator.random() < 0.2:
        query = drop_words(query, generator)
    if generator.random() < 0.3:
        code = rename(code, generator)
    return query, code


class Snippets:
    """Raw text by repository: draws windows of whole lines for language modelling."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "rb")
        self._places: dict[str, list[int]] = {}
        place = 0
        for line in self._file:
            repository = line[16 : line.index(b'"', 16)].decode()  # {"repository": "owner/name", …
            self._places.setdefault(repository, []).append(place)
            place += len(line)
        self._repositories = sorted(self._places)
        self._weights = [len(self._places[repository]) ** 0.5 for repository in self._repositories]

    def repository(self, generator: random.Random) -> str:
        return generator.choices(self._repositories, self._weights)[0]

    def window(self, repository: str, characters: int, generator: random.Random) -> str:
        self._file.seek(generator.choice(self._places[repository]))
        text = json.loads(self._file.readline())["text"]
        if len(text) <= characters:
            return text
        start = text.rfind("\n", 0, generator.randrange(len(text) - characters + 1) + 1) + 1
        return text[start : start + characters]
