"""Questions of the evaluation: what is shown, what is right, and that nothing tells the two apart but the passages."""

from collections import Counter

from questions import data_set
from test_instruct import corpus

PASSAGES, QUESTIONS = data_set(corpus(), 5)
TEXTS = {record["id"]: record["text"] for record in PASSAGES}


def of(task):
    return [question for question in QUESTIONS if question["metadata"]["task"] == task]


def test_what_is_shown_is_in_the_corpus_and_holds_the_right_passage_where_there_is_one():
    assert len(TEXTS) == len(PASSAGES) and len({question["id"] for question in QUESTIONS}) == len(QUESTIONS)
    for question in QUESTIONS:
        shown = question["metadata"]["shown"]
        assert set(shown) <= TEXTS.keys() and set(question.get("gold", [])) <= set(shown)
        assert "Takes a thing" not in " ".join(TEXTS[name] for name in shown)
    for question in of("answer"):
        assert ("gold" in question) == ("answers" in question)
        assert 4 <= len(question["metadata"]["shown"]) <= 6
    for task in ("judge", "verify"):
        for question in of(task):
            assert ("gold" in question) == (question["answers"] in (["yes"], ["supported"], ["refuted"]))
            assert 1 <= len(question["metadata"]["shown"]) <= 3


def test_of_each_repository_there_are_as_many_of_each_kind_at_most():
    for task in ("answer", "judge"):
        counts = Counter((question["metadata"]["repository"], "gold" in question) for question in of(task))
        assert set(counts.values()) == {5} and len(counts) == 6


def test_the_same_pairs_give_the_same_questions():
    assert data_set(corpus(), 5) == (PASSAGES, QUESTIONS)


def test_no_path_reads_like_a_place_on_a_machine():
    moved = [pair | {"path": f"src/tmp/{pair['path']}"} if number % 3 == 0 else pair for number, pair in enumerate(corpus())]
    paths = [record["source"]["path"] for record in data_set(moved, 5)[0]]
    assert paths and not any("tmp" in path.split("/") for path in paths)
