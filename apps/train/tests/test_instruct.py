"""Instruction data: prompts are the operators' own; nothing shows a docstring; scores do not tell answers from refusals."""

import json
import math
import random
from collections import Counter
from pathlib import Path

import pytest

import instruct

WORDS = "load save parse format read write open close merge split user order cache token file path".split()


def corpus(repositories=3, functions=60):
    generator = random.Random(3)
    pairs = []
    for repository in range(repositories):
        for number in range(functions):
            first, second = generator.sample(WORDS, 2)
            name = f"{first}{second.capitalize()}"
            body = " ".join(generator.sample(WORDS, 4))
            pairs.append({
                "kind": "docstring", "repository": f"r/{repository}", "path": f"src/{number}.py", "language": "python", "symbol": name, "lines": [number, number + 1],
                "text": f"Takes a thing and does what number {number} of {repository} should do.", "code": f"def {name}():\n    return '{body}'\n",
            })  # fmt: skip
            pairs.append({**pairs[-1], "kind": "test", "symbol": "", "text": f"does {first} and {second} {number}", "code": f"assert {name}() == {number}\n"})
    return pairs


RECORDS = list(instruct.records(corpus()))


def test_prompts_are_those_of_the_operators():
    document = json.loads((Path(instruct.__file__).parent / "prompts.json").read_text())  # of the operators, by npm run generate
    passages, query, wanted = document["passages"], document["query"], document["user"]
    made = {
        "answer": instruct.answer_chat(query, passages, ""),
        "judge": instruct.judge_chat(query, passages, ""),
        "verify": instruct.verify_chat(query, passages, ""),
        "rewrite": instruct.chat("rewrite", instruct.question_of(query), ""),
        "hyde": instruct.chat("hyde", instruct.question_of(query), ""),
    }
    for task, messages in made.items():
        assert [message["content"] for message in messages] == [document["system"][task], wanted[task], ""]
    assert made.keys() == wanted.keys() == instruct.SYSTEM.keys()
    assert instruct.REFUSAL == "NO ANSWER"


def test_every_task_is_there_and_the_answer_cites_its_own_passage():
    assert Counter(record["task"] for record in RECORDS).keys() == {"answer", "refusal", "judge", "verify", "rewrite", "hyde"}
    for record in RECORDS:
        if record["task"] == "answer":
            prompt, said = record["messages"][1]["content"], record["messages"][2]["content"]
            number, repository = said.split("number ")[1].split(" should")[0].split(" of ")
            cited = said.split("[")[1].rstrip("].")
            shown = f'number="{cited}" path="src/{number}.py:{number}-{int(number) + 1}" symbol="{said.split("`")[1]}"'
            assert said.startswith("`") and shown in prompt and record["repository"] == f"r/{repository}"


def test_no_passage_shows_a_docstring_and_refusals_lack_the_right_one():
    for record in RECORDS:
        if record["task"] in ("answer", "refusal", "judge"):
            assert "Takes a thing" not in record["messages"][1]["content"]
        if record["task"] == "verify":
            assert "Takes a thing" not in record["messages"][1]["content"].split("<claim-")[0]
        if record["task"] in ("answer", "refusal"):
            assert instruct.PASSAGES[0] <= record["messages"][1]["content"].count("<passage-") <= instruct.PASSAGES[1]


def test_claims_are_supported_by_their_own_passage_refuted_where_turned_round_and_else_unknown():
    pairs = [{**pair, "text": pair["text"].replace("Takes a thing", "Takes the first thing")} for pair in corpus()]
    said = Counter()
    for record in instruct.records(pairs):
        if record["task"] != "verify":
            continue
        prompt, verdict = record["messages"][1]["content"], record["messages"][2]["content"]
        number = prompt.split("number ")[-1].split(" ")[0]
        word = verdict.split(" ")[0]
        said[word] += 1
        assert ("the last thing" in prompt) == (word == "REFUTED")
        own = f'path="src/{number}.py:'
        assert (own in prompt) == (word != "INSUFFICIENT")
        if word != "INSUFFICIENT":
            assert f'number="{verdict.split("[")[1].rstrip("]")}" {own}' in prompt
        assert 1 <= prompt.count("<passage-") <= 3
    assert set(said) == {"SUPPORTED", "REFUTED", "INSUFFICIENT"} and said["SUPPORTED"] == said["REFUTED"]


def test_a_long_passage_is_cut_after_a_line():
    line = "    value = compute(value)\n"
    shown = instruct.passage({"code": line * 40, "path": "a.py", "lines": [1, 40], "symbol": ""})
    assert shown == {"text": f"{(line * 14).rstrip()}\n…", "path": "a.py", "lines": [1, 40]}
    assert instruct.passage({"code": "x" * 900, "path": "a.py", "lines": [1, 1], "symbol": "x"})["text"] == f"{'x' * 400}\n…"
    assert instruct.beginning(line * 2) == line * 2


def test_answers_and_refusals_are_as_many_in_every_bucket_of_score():
    found = [candidate for group in range(3) for candidate in instruct.candidates([pair for pair in corpus() if pair["repository"] == f"r/{group}"], random.Random(1))]
    answered, refused = instruct.matched(found, random.Random(2))
    assert len(answered) > 10
    assert Counter(int(c["answered"] / instruct.BUCKET) for c in answered) == Counter(int(c["refused"] / instruct.BUCKET) for c in refused)
    assert not {id(c) for c in answered} & {id(c) for c in refused}


def test_bm25_is_its_formula():
    texts = ["load the file", "save a file file", "parse tokens"]
    found = dict(instruct.Bm25(texts).search("file load", 9))
    mean, expected = 9 / 3, {}
    for number, text in enumerate(texts):
        words = text.split()
        for word in ("file", "load"):
            having = sum(word in other.split() for other in texts)
            count = words.count(word)
            if count:
                saturated = count * (1.2 + 1) / (count + 1.2 * (1 - 0.75 + 0.75 * len(words) / mean))
                expected[number] = expected.get(number, 0) + math.log(1 + (3 - having + 0.5) / (having + 0.5)) * saturated
    assert found == pytest.approx(expected)
