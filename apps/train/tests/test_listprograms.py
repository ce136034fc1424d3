"""Primitives mean in JavaScript what they mean in Python; problems are different, solvable, and kept from training."""

import json
import random
import shutil

import pytest

from listprimitives import CONSTANTS, PLAIN, WITH_CONSTANT, primitives
from listprograms import (
    HIDDEN,
    LONG_STEPS,
    Program,
    SPLITS,
    Space,
    an_input,
    behaviour,
    direct,
    every_step_matters,
    executed,
    in_node,
    modular,
    problems_of,
    prompt,
    training_of,
)

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")

def test_there_are_sixty_to_eighty_primitives():
    assert 60 <= len(PLAIN) + len(WITH_CONSTANT) <= 80
    assert len(primitives()) == len(PLAIN) + len(CONSTANTS) * len(WITH_CONSTANT)
    names = [name for step in primitives() for name in step.names]
    assert len(set(names)) == len(names)


@needs_node
def test_both_implementations_of_every_primitive_agree_with_its_meaning():
    rng = random.Random(3)
    rows, expected = [], []
    for step in primitives():
        inputs = [an_input(step.takes, rng) for _ in range(60)]
        for code in step.code:
            rows.append({"code": f"function solve(v) {{ return {code}; }}", "inputs": inputs})
            expected.append((step.key, [step.meaning(value) for value in inputs]))
    for (key, want), got in zip(expected, in_node(rows), strict=True):
        assert got == want, key


@pytest.fixture(scope="module")
def made():
    space, taken = Space(1), set()
    problems = {split: list(problems_of(space, split, 25, 1, taken)) for split in ("development", *SPLITS)}
    return space, taken, problems, list(training_of(space, 400, 1, taken))


@needs_node
def test_every_solution_and_every_training_answer_runs_and_is_right(made):
    _, _, problems, training = made
    all_problems = [one for split in problems.values() for one in split]
    assert list(executed(all_problems, "solution", ("tests", "hidden"))) == all_problems
    assert list(executed(training, "answer", ("tests",))) == training
    for example in training:
        examples = [line for line in example["prompt"].split("\n") if line.startswith("solve(") and " -> " in line]
        for line, test in zip(examples, example["tests"], strict=False):
            given, want = line.removeprefix("solve(").split(") -> ", 1)
            assert (json.loads(given), json.loads(want)) == (test["arguments"][0], test["expected"])


@needs_node
def test_an_answer_that_gives_another_result_is_not_written(made):
    broken = {**made[3][0], "answer": "```javascript\nfunction solve(v) { return null; }\n```"}
    with pytest.raises(AssertionError, match="gives"):
        list(executed([made[3][1], broken], "answer", ("tests",)))


@needs_node
def test_direct_and_modular_forms_behave_alike():
    space, rng = Space(1), random.Random(5)
    rows, expected = [], []
    for _ in range(100):
        program = space.draw(rng, (1, 2, 3, 4, 5))
        inputs = [an_input(program.takes, rng) for _ in range(10)]
        for code in (direct(program, rng), modular(program, rng)[0]):
            rows.append({"code": code, "inputs": inputs})
            expected.append([program.run(value) for value in inputs])
    for got, want, row in zip(in_node(rows), expected, rows, strict=True):
        assert got == want, row["code"]


def test_problems_differ_by_behaviour_and_have_their_tests(made):
    _, _, problems, _ = made
    hashes = [one["behaviour"] for split in problems.values() for one in split]
    assert len(set(hashes)) == len(hashes) == 25 * 5
    for split in problems.values():
        for one in split:
            assert len(one["hidden"]) == HIDDEN and 2 <= len(one["tests"]) <= 3
            inputs = [json.dumps(test["arguments"]) for test in one["tests"] + one["hidden"]]
            assert len(set(inputs)) == len(inputs)


def test_training_holds_nothing_of_the_splits(made):
    space, taken, problems, _ = made
    by_key = {step.key: step for step in space.all}
    for split, rows in problems.items():
        for one in rows:
            program = Program(tuple(by_key[key] for key in one["steps"]))
            assert space.split_of(program) == ("none" if split == "development" else split)
            assert behaviour(program) in taken
            assert every_step_matters(program, one["behaviour"])
    assert all(len(one["steps"]) in LONG_STEPS for one in problems["length"])
    rng = random.Random("train 1")
    drawn = [space.draw(rng, (1, 2, 3)) for _ in range(3000)]
    allowed = [program for program in drawn if space.split_of(program) == "none"]
    for program in allowed:
        assert len(program.steps) == 1 or not any(map(space.is_new, program.steps))
        assert not any((a.key, b.key) in space.apart for a, b in zip(program.steps, program.steps[1:]))


def test_a_step_without_effect_is_found():
    by_key = {step.key: step for step in primitives()}
    idle = Program((by_key["sort"], by_key["reverse"], by_key["sort"]))
    assert not every_step_matters(idle, behaviour(idle))
    cancelling = Program((by_key["reverse"], by_key["reverse"]))
    assert not every_step_matters(cancelling, behaviour(cancelling))
    inside = Program((by_key["square"], by_key["reverse"], by_key["reverse"]))
    assert not every_step_matters(inside, behaviour(inside))
    useful = Program((by_key["sort"], by_key["differences"]))
    assert every_step_matters(useful, behaviour(useful))


def test_training_mixes_all_kinds_of_prompt_in_the_form_of_the_operators(made):
    *_, training = made
    kinds = [example["kind"] for example in training]
    assert set(kinds) == {"modular", "direct", "revise", "debug"}
    assert kinds.count("modular") > kinds.count("direct") > kinds.count("debug")
    shown = [example["prompt"] for example in training if example["kind"] == "revise"]
    assert 0 < sum("function solve" in one for one in shown) < len(shown) / 4
    for example in training:
        assert example["prompt"].startswith(f"[{example['kind']}]\nGiven ")
    assert prompt("revise", "text", ["a", "b"]) == "[revise]\ntext\na\nb"


def test_a_behaviour_comes_once_for_each_kind_of_prompt(made):
    *_, training = made
    rows = [row for row in training if row["kind"] == "modular" and row["answer"].count("function ") > 2]
    # descriptions may leave a step out, so that two may read alike
    assert len({row["prompt"].split("\n")[1] for row in rows}) > 0.9 * len(rows)


def test_the_share_of_vague_problems_changes_no_program():
    clear, vague = (list(problems_of(Space(1), "none", 8, 1, set(), share)) for share in (0.0, 1.0))
    same = [(one["steps"], one["tests"], one["hidden"], one["solution"]) for one in clear]
    assert same == [(one["steps"], one["tests"], one["hidden"], one["solution"]) for one in vague]
    assert not any(one["vague"] for one in clear) and all(one["vague"] for one in vague)
    assert all("do something" in one["text"] for one in vague)


def test_the_same_seed_makes_the_same_problems():
    first, second = (list(problems_of(Space(1), "none", 5, 1, set())) for _ in range(2))
    assert first == second
    assert first != list(problems_of(Space(1), "none", 5, 2, set()))
