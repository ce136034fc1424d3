"""Prose pairs of a folder of packages: a heading and the paragraph below it, a word and its definition.

Reads Markdown, reStructuredText, HTML and WordNet's data files. Nothing here knows of licences: see packages.py.
"""

import hashlib
import itertools
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import mine

FEWEST, MOST = 80, 1_200  # characters of a paragraph
MOST_OF_PACKAGE, MOST_OF_WORDNET = 3_000, 60_000  # pairs
EVALUATED = ("nq", "musique", "xquad", "strategyqa", "halueval", "chunking")  # sets whose texts are kept out


def write(folder: Path, output: Path, entries: list[dict]) -> dict[str, int]:
    """Writes OUTPUT/prose/SPLIT.jsonl ({"repository", "title", "text"}); returns the counts of pairs."""
    (output / "prose").mkdir(parents=True, exist_ok=True)
    seen, counts = set(evaluated_digests(mine.DATA)), {}
    for split in mine.SPLITS:
        counts[split] = 0
        with open(output / "prose" / f"{split}.jsonl", "w") as lines:
            for entry in (entry for entry in entries if entry["split"] == split):
                kept, most = 0, MOST_OF_WORDNET if "wordnet" in entry["repository"] else MOST_OF_PACKAGE
                for title, text in itertools.islice(pairs_of(folder / entry["repository"]), 2 * most):
                    digests = {digest(sentence) for sentence in sentences(text)}
                    if not digests or digests & seen:
                        continue
                    seen |= digests
                    lines.write(json.dumps({"repository": entry["repository"], "title": title, "text": text}) + "\n")
                    kept += 1
                    if kept >= most:
                        break
                counts[split] += kept
    print(f"prose: {counts}", flush=True)
    return counts


def pairs_of(place: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(place.rglob("*")):
        inner = path.relative_to(place).as_posix()
        if inner.startswith((".git/", "LICENSE-")) or not path.is_file():
            continue
        if re.fullmatch(r"data\.(noun|verb|adj|adv)", path.name):
            yield from wordnet(path.read_text(errors="replace"))
        elif path.suffix in (".md", ".rst", ".html", ".txt") and not re.search(r"(?i)(changelog|changes|history|news|authors|licen[cs]e|requirements)[^/]*$", inner):
            text = path.read_text(errors="replace")
            found = of_html(text) if path.suffix == ".html" else of_marked(text, re.sub(r"[-_]", " ", path.stem.split(".")[0]))
            yield from (pair for pair in found if is_prose(pair[1]))


def of_marked(text: str, stem: str) -> Iterator[tuple[str, str]]:
    """Headings of Markdown ("# …") and reStructuredText (underlined) with the first two paragraphs below each."""
    top, title, taken = "", stem, 2
    text = re.sub(r"(?ms)^```.*?^```\s*?$|^~~~.*?^~~~\s*?$|<!--.*?-->", "", text)
    for block in re.split(r"\n\s*\n", text):
        lines = block.strip("\n").split("\n")
        heading = re.match(r"#{1,5}\s+(.+)", lines[0])
        underlined = len(lines) >= 2 and re.fullmatch(r"([=\-~^\"'*+#])\1{2,}\s*", lines[1]) and lines[0].strip()
        if heading or underlined:
            own = clean(heading[1] if heading else lines[0])
            top, title, taken = (own, own, 0) if not top else (top, f"{top}: {own}", 0)
            lines = lines[1:] if heading else lines[2:]
        if lines and taken < 2 and not lines[0].startswith((" ", "\t", "..", "|", "-", "*", ">", ":", "+")):
            paragraph = clean(" ".join(lines))
            if FEWEST <= len(paragraph) <= MOST:
                yield title, paragraph
                taken += 1


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.top, self.title, self.taken, self.within, self.parts = "", "", 2, "", []
        self.found: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attributes) -> None:
        if tag in ("h1", "h2", "h3", "h4", "p", "script", "style"):
            self.within, self.parts = tag, []

    def handle_data(self, data: str) -> None:
        if self.within not in ("", "script", "style"):
            self.parts.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag != self.within:
            return
        text, self.within = clean("".join(self.parts).replace("¶", "").replace("\uf0c1", "")), ""
        if tag.startswith("h") and text:
            self.top, self.title, self.taken = (text, text, 0) if tag == "h1" or not self.top else (self.top, f"{self.top}: {text}", 0)
        elif tag == "p" and self.taken < 2 and FEWEST <= len(text) <= MOST:
            self.found.append((self.title, text))
            self.taken += 1


def of_html(text: str) -> Iterator[tuple[str, str]]:
    page = _Page()
    page.feed(text)
    return iter(page.found)


def wordnet(text: str) -> Iterator[tuple[str, str]]:
    """(the words of a set of synonyms, its definition with examples) of a WordNet data file."""
    for line in text.split("\n"):
        fields, _, gloss = line.partition(" | ")
        parts = fields.split(" ")
        if gloss and not line.startswith("  "):
            words = [parts[4 + 2 * place].replace("_", " ") for place in range(int(parts[3], 16))]
            yield ", ".join(words), gloss.strip().replace('"', "")


def clean(text: str) -> str:
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)|\[!\[.*?\)\]\([^)]*\)", "", text)
    text = re.sub(r"\[([^\]]+)\](\([^)]*\)|\[[^\]]*\])", r"\1", text)
    text = re.sub(r":[\w:+.-]+:`~?([^`<]*)(<[^`]*>)?`|`+([^`]*)`+_*", lambda found: found[1] or found[3] or "", text)
    text = re.sub(r"</?[a-zA-Z][^<>]*>|https?://\S+", "", text)
    return " ".join(re.sub(r"\*\*|__|[|]", "", text).split())


def is_prose(text: str) -> bool:
    """Whether most of a paragraph is Latin letters and blanks."""
    return sum(character.isascii() and (character.isalpha() or character in " ,.") for character in text) >= 0.85 * len(text)


def sentences(text: str) -> list[str]:
    return [sentence for sentence in re.split(r"(?<=[.!?;])\s+", text) if len(sentence) >= 40] or [text]


def digest(sentence: str) -> bytes:
    words = " ".join(re.findall(r"[a-z0-9]+", sentence.lower()))
    return hashlib.blake2b(words.encode(), digest_size=8).digest()


def evaluated_digests(data: Path) -> Iterator[bytes]:
    """Digests of the sentences of all evaluation sets, and of CoSQA's docstrings, so that no paragraph with one of them is trained on."""
    for name in EVALUATED:
        for path in sorted((data / name).glob("*")):
            content = path.read_text(errors="replace")
            for text in strings(read_json(content)) if path.suffix == ".json" else content.split("\n"):
                yield from map(digest, sentences(text))
    for docstring, _ in mine.forbidden():
        yield from map(digest, sentences(" ".join(docstring.split())))


def read_json(content: str):
    """One JSON value, or one a line."""
    try:
        return json.loads(content)
    except ValueError:
        return [json.loads(line) for line in content.split("\n") if line.strip()]


def strings(value) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from strings(inner)
