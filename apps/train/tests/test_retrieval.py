"""Ranks, figures and intervals of the development sets against plain counting."""

import json

import numpy
import pytest

import retrieval


def test_ranks_are_those_of_plain_counting_and_a_tie_counts_against_the_gold():
    generator = numpy.random.default_rng(3)
    queries, passages = generator.integers(-2, 3, (30, 3)) + 0.1, generator.integers(-2, 3, (20, 3)) + 0.1
    gold = generator.integers(0, 20, 30)
    found = retrieval.ranks(queries, passages, gold)
    for number, query in enumerate(queries):
        cosines = [round(float(query @ passage / numpy.linalg.norm(query) / numpy.linalg.norm(passage)), 9) for passage in passages]
        better = sum(cosine > cosines[gold[number]] for cosine in cosines)
        assert better < found[number] <= sum(cosine >= cosines[gold[number]] for cosine in cosines)
    assert list(retrieval.ranks(numpy.ones((1, 2)), numpy.ones((4, 2)), numpy.array([2]))) == [4]


def test_figures_and_intervals():
    assert list(retrieval.figure("cosqa", numpy.array([1, 4]))) == [1, 0.25]
    assert list(retrieval.figure("nq", numpy.array([5, 6]))) == [1, 0]
    mean, low, high = retrieval.interval(numpy.random.default_rng(1).normal(0.5, 0.2, 400))
    assert low < mean < high and high - low == pytest.approx(4 * 0.2 / 20, rel=0.15)


def test_the_published_files_are_read_as_questions(tmp_path):
    (tmp_path / "cosqa").mkdir()
    (tmp_path / "cosqa" / "code_idx_map.json").write_text(json.dumps({"def b(): pass": 7, "def a(): pass": 3}))
    (tmp_path / "cosqa" / "dev-500.json").write_text(json.dumps([{"idx": "q", "doc": "make a", "retrieval_idx": 3}]))
    (tmp_path / "nq").mkdir()
    (tmp_path / "nq" / "corpus.json").write_text(json.dumps([{"id": 0, "title": "T", "text": "x"}, {"id": 1, "title": "U", "text": "y"}]))
    (tmp_path / "nq" / "dev.json").write_text(json.dumps([{"id": 0, "question": "who", "answers": [], "gold": 1}]))
    code, prose = retrieval.cosqa(tmp_path), retrieval.natural_questions(tmp_path)
    assert code.passages[code.gold[0]] == "def a(): pass" and code.queries == ["make a"]
    assert prose.passages[prose.gold[0]] == "U\ny"


def test_a_part_keeps_every_gold_passage():
    whole = retrieval.Questions("cosqa", ["a", "b"], [f"p{number}" for number in range(50)], numpy.array([49, 3]))
    part = whole.part(10)
    assert len(part.passages) == 10 and [part.passages[place] for place in part.gold] == ["p49", "p3"]
    assert whole.part(1).passages == ["p3", "p49"] and whole.part(99).passages == whole.passages


def test_projects_draws_described_functions_by_language_whatever_their_order(tmp_path):
    pairs = [
        {"kind": kind, "language": language, "text": f"Make {number}. More.", "code": f"{language} {kind} {number}", "documented": "", "symbol": "f"}
        for language in ("python", "typescript", "go") for kind in ("docstring", "name") for number in range(6)
    ]  # fmt: skip
    found = []
    for order in (pairs, pairs[::-1]):
        (tmp_path / "held-out.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in order))
        found.append(retrieval.projects(tmp_path / "held-out.jsonl", most=4))
    assert found[0].passages == found[1].passages and len(found[0].passages) == 8
    assert [passage.split()[:2] for passage in found[0].passages] == [["python", "docstring"]] * 4 + [["typescript", "docstring"]] * 4
    assert found[0].queries[0] == f"Make {found[0].passages[0].split()[2]}." and list(found[0].gold) == list(range(8))
    assert list(retrieval.figure("projects", numpy.array([2]))) == [0.5]
