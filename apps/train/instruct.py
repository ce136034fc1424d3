"""Instruction data of our language model, made from the mine alone and never from a model.

    python instruct.py CORPUS OUT [--most 20000]     OUT/{train,development,held-out}.jsonl

Each line is {"task", "repository", "messages"}: the prompt that an operator of this framework sends, and what should be said.
Tasks: answer and refusal (generator.answer), judge (router.model-judge), verify (generator.verify), rewrite (query.rewrite), hyde
(query.hyde). A question comes from a split name or a test's title only, an answer and a claim from the first sentence of a
docstring; no passage shows a docstring. An answer names the function first: so all begin alike, as refusals do, and greedy decoding
does not prefer the refusal for being one text. Splits are those of the mine, so no repository is in two. Answers and refusals are
as many in every bucket of the best BM25 score that is shown, so that the score alone does not tell them apart.

What the operators say stands in prompts.json, which `npm run generate` writes from the operators themselves.
"""

import argparse
import hashlib
import json
import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from extract import speaks, split_name, summary
from views import read_pairs

SYSTEM = json.loads((Path(__file__).parent / "prompts.json").read_text())["system"]  # what the operators say, by task
REFUSAL = re.search("reply with exactly: (.*)", SYSTEM["answer"])[1]
QUESTIONS = ("What does {} do?", "How does {} work?", "Where do we {}?", "which function does {}", "Explain {}.")
CHARACTERS = 400  # of a passage: rules, six passages and an answer fit 1,536 tokens
BUCKET = 2.0  # of BM25 score
PASSAGES = (4, 6)  # of an answer
ASKED = 300  # questions of a repository at most, so that none outweighs the others
EVIDENCE = (1, 3)  # of a judgement, of a claim
OPPOSITES = "first last|minimum maximum|min max|smallest largest|lowest highest|before after|start end|left right|true false|add remove|adds removes|enable disable|enables disables|encode decode|encodes decodes|ascending descending|synchronous asynchronous|width height|row column|rows columns|lower upper|increase decrease|increases decreases|inclusive exclusive|earliest latest|shortest longest|open close|opens closes|push pop|read write|reads writes|parent child|source target|ancestor descendant|input output|serialize deserialize|serializes deserializes|positive negative|less greater|any all|union intersection|client server|local remote|header footer|horizontal vertical"  # fmt: skip

# ---------------------------------------------------------------- prompts


_CONTROL = re.compile(r"<(/?)([|｜])([\w▁/]{1,40})[|｜]>|<(?=(?:start|end)_of_turn>)|(?<=\[)(?=INST\])|(?<=\[/)(?=INST\])|<(?=</?SYS>>)")
_INVISIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")


def defused(text: str) -> str:
    """Of what @tessera/core makes harmless the part that occurs in the training texts. Core goes by a list of what may pass
    (visible.ts) and by the shape of template tokens (template-tokens.ts); on texts without either the two are the same."""
    return _CONTROL.sub(lambda found: f"< {found[1]}{found[2]}{found[3]}{found[2]} >" if found[2] else f"{found[0]} ", _INVISIBLE.sub("", text))


def label(name: str, value: str | None) -> str:
    if value is None:
        return ""
    line = re.sub(r'["<>]', "'", re.sub(r"\s+", " ", defused(value))).strip()
    return f' {name}="{line[:199] + "…" if len(line) > 200 else line}"'


def fence(texts: list[dict], tag: str = "passage") -> str:
    """What `fence` of @tessera/core writes; passages are {"text"} with or without "path", "lines" and "symbol"."""
    blocks = []
    for number, text in enumerate(texts, 1):
        path = "".join([text["path"], *(":{}-{}".format(*text["lines"]) if "lines" in text else "")]) if "path" in text else None
        labels = label("number", str(number)) + label("path", path) + label("symbol", text.get("symbol"))
        blocks.append((labels, defused(text["text"]).strip()))
    flat = [part for block in blocks for part in block]
    mark = hashlib.sha256(json.dumps(flat, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()[:8]
    while any(mark in part for part in flat):
        mark = hashlib.sha256(mark.encode()).hexdigest()[:8]
    return "\n".join(f"<{tag}-{mark}{labels}>\n{text}\n</{tag}-{mark}>" for labels, text in blocks)


def chat(task: str, user: str, said: str) -> list[dict]:
    return [{"role": "system", "content": SYSTEM[task]}, {"role": "user", "content": user}, {"role": "assistant", "content": said}]


def question_of(query: str) -> str:
    return fence([{"text": query}], "question")


def answer_chat(query: str, passages: list[dict], said: str) -> list[dict]:
    return chat("answer", f"{fence(passages)}\n\n{question_of(query)}", said)


def judge_chat(query: str, passages: list[dict], said: str) -> list[dict]:
    return chat("judge", f"{question_of(query)}\n{fence(passages)}", said)


def verify_chat(claim: str, passages: list[dict], said: str) -> list[dict]:
    return chat("verify", f"{fence(passages)}\n{fence([{'text': claim}], 'claim')}", said)


# ---------------------------------------------------------------- search


class Bm25:
    """Okapi BM25 (k1 = 1.2, b = 0.75) over the split words of texts."""

    def __init__(self, texts: list[str]) -> None:
        self.lengths, self.postings = [], defaultdict(list)
        for number, text in enumerate(texts):
            words = Counter(self.words(text))
            self.lengths.append(sum(words.values()))
            for word, count in words.items():
                self.postings[word].append((number, count))
        self.mean = sum(self.lengths) / max(1, len(self.lengths))

    @staticmethod
    def words(text: str) -> list[str]:
        return split_name(text).split()

    def search(self, query: str, top: int) -> list[tuple[int, float]]:
        scores: dict[int, float] = defaultdict(float)
        for word in set(self.words(query)):
            found = self.postings.get(word, [])
            weight = math.log(1 + (len(self.lengths) - len(found) + 0.5) / (len(found) + 0.5))
            for number, count in found:
                scores[number] += weight * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * self.lengths[number] / self.mean))
        return sorted(scores.items(), key=lambda entry: (-entry[1], entry[0]))[:top]


# ---------------------------------------------------------------- records


def beginning(code: str) -> str:
    """The whole lines of its first characters."""
    return code if len(code) <= CHARACTERS else code[: CHARACTERS + 1].rsplit("\n", 1)[0][:CHARACTERS].rstrip()


def passage(pair: dict) -> dict:
    """As an answer's prompt shows it: what does not fit is cut after a line, with a mark."""
    shown = beginning(pair["code"])
    text = shown if len(shown) == len(pair["code"]) else f"{shown}\n…"
    return {"text": text, "path": pair["path"], "lines": pair["lines"], **({"symbol": pair["symbol"]} if pair["symbol"] else {})}


def passages(pairs: Iterable[dict]) -> list[dict]:
    return [passage(pair) for pair in pairs]


def contradiction(claim: str, generator: random.Random) -> str | None:
    """The claim with one word turned into its opposite, where it has such a word."""
    pairs = [pair.split(" ") for pair in OPPOSITES.split("|")]
    opposites = {one: other for left, right in pairs for one, other in ((left, right), (right, left))}
    found = [word for word in re.finditer(r"\w+", claim) if word[0].lower() in opposites]
    if not found:
        return None
    word = generator.choice(found)
    other = opposites[word[0].lower()]
    return claim[: word.start()] + (other.capitalize() if word[0][0].isupper() else other) + claim[word.end() :]


def usable(pair: dict) -> bool:
    return pair["kind"] == "docstring" and bool(pair["symbol"]) and speaks(summary(pair["text"])) and summary(pair["text"]) not in pair["code"]


def ask(symbol: str, generator: random.Random) -> str:
    return generator.choice(QUESTIONS).format(split_name(symbol.rsplit(".", 1)[-1]))


def candidates(pairs: list[dict], generator: random.Random, asked: int | None = None) -> Iterator[dict]:
    """Of one repository: all questions or `asked` of them, drawn, each with its own passage and the best other ones."""
    documented = [pair for pair in pairs if usable(pair)]
    index = Bm25([f"{pair['symbol']} {beginning(pair['code'])}" for pair in documented])
    numbers = range(len(documented))
    for number in numbers if asked is None or asked >= len(numbers) else sorted(generator.sample(numbers, asked)):
        pair = documented[number]
        query = ask(pair["symbol"], generator)
        most = generator.randint(*PASSAGES)
        ranked = index.search(query, most + 12)
        said = summary(pair["text"])
        others = [(other, score) for other, score in ranked if other != number and summary(documented[other]["text"]) != said][:most]
        own = next((score for other, score in ranked if other == number), None)
        if own is not None and len(others) >= PASSAGES[0]:
            best = others[0][1]
            yield {"pair": pair, "query": query, "said": said, "others": [documented[other] for other, _ in others],
                   "answered": max(own, best), "refused": best, "repository": pair["repository"]}  # fmt: skip


def matched(found: list[dict], generator: random.Random) -> tuple[list[dict], list[dict]]:
    """(to be answered, to be refused): disjoint questions, as many of each in every bucket of the best score shown."""
    generator.shuffle(found)
    halves = found[::2], found[1::2]
    buckets = [defaultdict(list), defaultdict(list)]
    for half, form, bucket in zip(halves, ("answered", "refused"), buckets, strict=True):
        for candidate in half:
            bucket[int(candidate[form] / BUCKET)].append(candidate)
    sizes = {key: min(len(bucket[key]) for bucket in buckets) for key in buckets[0].keys() & buckets[1].keys()}
    answered, refused = ([candidate for key, size in sorted(sizes.items()) for candidate in bucket[key][:size]] for bucket in buckets)
    return answered, refused


def records(pairs: Iterable[dict], seed: int = 1) -> Iterator[dict]:
    generator = random.Random(seed)
    by_repository = defaultdict(list)
    for pair in pairs:
        by_repository[pair["repository"]].append(pair)
    found = [candidate for _, group in sorted(by_repository.items()) for candidate in candidates(group, generator, ASKED)]
    answered, refused = matched(found, generator)

    def record(task: str, candidate: dict, messages: list[dict]) -> dict:
        return {"task": task, "repository": candidate["repository"], "messages": messages}

    for candidate in answered:
        query, said, own = candidate["query"], candidate["said"], candidate["pair"]
        shown, place = placed(own, candidate["others"][:-1], generator)
        yield record("answer", candidate, answer_chat(query, passages(shown), f"`{own['symbol']}`: {said.rstrip('.')} [{place}]."))
        shown, _ = placed(own, few(candidate, generator)[1:], generator)
        yield record("judge", candidate, judge_chat(query, passages(shown), "yes"))
        shown, place = placed(own, few(candidate, generator)[1:], generator)
        yield record("verify", candidate, verify_chat(said, passages(shown), f"SUPPORTED [{place}]"))
        if opposite := contradiction(said, generator):
            yield record("verify", candidate, verify_chat(opposite, passages(shown), f"REFUTED [{place}]"))
        yield record("rewrite", candidate, chat("rewrite", question_of(query), f"{split_name(own['symbol'])}**"))
        yield record("hyde", candidate, chat("hyde", question_of(said), beginning(own["code"])))
    for candidate in refused:
        query = candidate["query"]
        yield record("refusal", candidate, answer_chat(query, passages(candidate["others"]), REFUSAL))
        yield record("judge", candidate, judge_chat(query, passages(few(candidate, generator)), "no"))
        yield record("verify", candidate, verify_chat(candidate["said"], passages(few(candidate, generator)), "INSUFFICIENT"))
    for group in by_repository.values():
        tests = [pair for pair in group if pair["kind"] == "test"]
        for pair in generator.sample(tests, min(len(tests), len(answered) // max(1, len(by_repository)))):
            yield record("judge", pair, judge_chat(pair["text"], [passage(pair)], "yes"))
            others = [other for other in tests if other["text"] != pair["text"] and other["code"] != pair["code"]]
            if others:
                yield record("judge", pair, judge_chat(pair["text"], [passage(generator.choice(others))], "no"))


def placed(own: dict, others: list[dict], generator: random.Random) -> tuple[list[dict], int]:
    """The right one anywhere among the others, and its number."""
    place = generator.randint(0, len(others))
    return [*others[:place], own, *others[place:]], place + 1


def few(candidate: dict, generator: random.Random) -> list[dict]:
    """The best of the wrong passages, as many as a judgement is made on."""
    return candidate["others"][: generator.randint(*EVIDENCE)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--most", type=int, default=20_000, help="records of a split")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    for split in ("train", "development", "held-out"):
        made = list(records(read_pairs(chosen.corpus / "pairs" / f"{split}.jsonl")))
        random.Random(2).shuffle(made)
        made = made[: chosen.most]
        with open(chosen.out / f"{split}.jsonl", "w") as file:
            file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in made)
        print(split, dict(Counter(record["task"] for record in made)))


if __name__ == "__main__":
    main()
