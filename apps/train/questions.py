"""The questions that our language model's operators are measured on, as a data set of packages/eval.

    python questions.py CORPUS FOLDER [--split held-out] [--each 12]

FOLDER gets corpus.jsonl (passages of code without their docstrings, as instruct.py shows them) and questions.jsonl. Of every
repository there are up to `each` questions whose own passage is among the four to six that are shown, and as many whose own is
withheld, matched over all repositories by the best BM25 score shown. `metadata.task` is "answer", "judge" (does one of the
passages answer it?) or "verify" (a claim); `metadata.shown` names the passages. An answer's questions are searched with, too.
"""

import argparse
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from instruct import candidates, contradiction, few, matched, passage, placed
from views import read_pairs

SEED = 5
LEFT_OUT = {"work", "home", "root", "tmp"}  # folders: a path with one reads like a place on somebody's machine


def first(found: list[dict], each: int) -> list[dict]:
    """Up to `each` of every repository."""
    taken: Counter = Counter()
    kept = []
    for candidate in found:
        taken[candidate["repository"]] += 1
        if taken[candidate["repository"]] <= each:
            kept.append(candidate)
    return kept


def data_set(pairs: Iterable[dict], each: int) -> tuple[list[dict], list[dict]]:
    """(passages, questions)"""
    generator = random.Random(SEED)
    by_repository = defaultdict(list)
    for pair in pairs:
        if LEFT_OUT.isdisjoint(pair["path"].split("/")):
            by_repository[pair["repository"]].append(pair)
    found = [candidate for _, group in sorted(by_repository.items()) for candidate in candidates(group, generator)]
    answered, refused = (sorted(half, key=lambda _: generator.random()) for half in matched(found, generator))
    corpus: dict[tuple[str, str, int], dict] = {}
    questions: list[dict] = []

    def identity(pair: dict) -> str:
        """The id of the passage, which is in the corpus from then on."""
        place = (pair["repository"], pair["path"], pair["lines"][0])
        if place not in corpus:
            shown = passage(pair)
            corpus[place] = {
                "id": f"{pair['repository'].split('/')[1]}-{len(corpus) + 1}",
                "text": shown.pop("text"),
                "source": shown,
                "metadata": {"repository": pair["repository"], "language": pair["language"]},
            }
        return corpus[place]["id"]

    def ask(task: str, candidate: dict, question: str, shown: list[dict], answer: str | None, gold: dict | None) -> None:
        questions.append({
            "id": f"{task}-{len(questions) + 1}", "question": question,
            **({"answers": [answer]} if answer else {}), **({"gold": [identity(gold)]} if gold else {}),
            "metadata": {"task": task, "repository": candidate["repository"], "shown": [identity(pair) for pair in shown]},
        })  # fmt: skip

    for candidate in first(answered, each):
        query, said, own = candidate["query"], candidate["said"], candidate["pair"]
        ask("answer", candidate, query, placed(own, candidate["others"][:-1], generator)[0], said, own)
        ask("judge", candidate, query, placed(own, few(candidate, generator)[1:], generator)[0], "yes", own)
        shown = placed(own, few(candidate, generator)[1:], generator)[0]
        ask("verify", candidate, said, shown, "supported", own)
        if opposite := contradiction(said, generator):
            ask("verify", candidate, opposite, shown, "refuted", own)
    for candidate in first(refused, each):
        ask("answer", candidate, candidate["query"], candidate["others"], None, None)
        ask("judge", candidate, candidate["query"], few(candidate, generator), "no", None)
        ask("verify", candidate, candidate["said"], few(candidate, generator), "insufficient", None)
    generator.shuffle(questions)
    return list(corpus.values()), questions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", default="held-out")
    parser.add_argument("--each", type=int, default=12, help="questions of a repository, of each kind")
    chosen = parser.parse_args()
    passages, questions = data_set(read_pairs(chosen.corpus / "pairs" / f"{chosen.split}.jsonl"), chosen.each)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    for name, records in (("corpus", passages), ("questions", questions)):
        with open(chosen.folder / f"{name}.jsonl", "w") as file:
            file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    print(len(passages), "passages;", dict(Counter(question["metadata"]["task"] for question in questions)))


if __name__ == "__main__":
    main()
