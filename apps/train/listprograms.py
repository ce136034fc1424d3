"""The domain of the CodeChain experiment: typed list and string programs in JavaScript, with what they are asked for.

A problem is a chain of primitives, described in English (a vague description leaves a step out) and by two or three public
examples; twenty hidden tests decide. Splits after ExeDec (Shi et al. 2024): `none` is like the training set, `length` has
longer chains, `compose` has neighbours that training never saw together, `new_op` chains primitives that training showed
only alone. Problems are different by behaviour, not by text: no two give the same outputs on the probes, and none gives what
a training program gives. Every step matters: no program behaves like itself with a step left out.

    python listprograms.py OUT --train 200000 --problems 300

writes OUT/train.jsonl ({kind, prompt, answer}) and OUT/{development,none,length,compose,new_op}.jsonl (problems as
`problem` of @tessera/coder reads them, with `hidden` tests and `solution`). The same seed writes the same files.
"""

import argparse
import hashlib
import json
import random
import subprocess
from collections.abc import Iterable, Iterator
from itertools import islice
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from listprimitives import Primitive, primitives

TRAINING_STEPS = (1, 2, 2, 2, 3, 3, 3, 3, 3, 3)
PROBLEM_STEPS = (2, 3)
LONG_STEPS = (4, 5)
PROBES = 24
HIDDEN = 20
VAGUE = 0.5
WHOLE = 0.1
PUBLIC = (2, 3)
SPLITS = ("none", "length", "compose", "new_op")
LARGEST = 10_000
KINDS = {"modular": 0.4, "direct": 0.2, "revise": 0.3, "debug": 0.1}

WORDS = "a ab the cat sat on level noon apple kiwi stone tree book moon eve balloon hello red green odd".split(" ")


@dataclass(frozen=True)
class Program:
    steps: tuple[Primitive, ...]

    def run(self, value: Any) -> Any:
        for step in self.steps:
            value = step.meaning(value)
        return value

    @property
    def takes(self) -> str:
        return self.steps[0].takes


def an_input(kind: str, rng: random.Random) -> Any:
    match kind:
        case "L":
            high = rng.choice((3, 9, 20))
            return [rng.randint(-high, high) for _ in range(rng.randint(0, 8))]
        case "I":
            return rng.randint(0, 9) if rng.random() < 0.5 else rng.randint(-50, 9999)
        case "S":
            return " ".join(rng.choice(WORDS) for _ in range(rng.randint(0, 5)))
        case _:
            return [rng.choice(WORDS) for _ in range(rng.randint(0, 6))]


def probes(kind: str) -> list[Any]:
    rng = random.Random(f"probes {kind}")
    return [an_input(kind, rng) for _ in range(PROBES)]


_PROBES = {kind: probes(kind) for kind in "LISW"}


def small(value: Any) -> bool:
    if isinstance(value, int):
        return abs(value) <= LARGEST
    return len(value) <= 24 and (isinstance(value, str) or all(not isinstance(x, int) or abs(x) <= LARGEST for x in value))


def behaviour(program: Program) -> str | None:
    """A hash of what a program gives on the probes of its type; None where it gives too little or too much."""
    outputs = [program.run(value) for value in _PROBES[program.takes]]
    written = [json.dumps(output) for output in outputs]
    if not all(map(small, outputs)) or len(set(written)) < 4 or written.count("[]") > PROBES // 2:
        return None
    return program.takes + hashlib.sha256("\n".join(written).encode()).hexdigest()[:16]


def every_step_matters(program: Program, own: str) -> bool:
    """Whether leaving out any neighbouring steps that keep the type together changes the behaviour: no step is idle, and
    no steps cancel each other."""
    steps = program.steps
    for start in range(len(steps)):
        for end in range(start + 1, len(steps) + 1):
            if steps[start].takes != steps[end - 1].gives:
                continue
            rest = steps[:start] + steps[end:]
            if rest and behaviour(Program(rest)) == own:
                return False
            if not rest and all(program.run(value) == value for value in _PROBES[program.takes]):
                return False
    return True


class Space:
    """Which compositions training may see."""

    def __init__(self, seed: int):
        self.all = primitives()
        rng = random.Random(f"space {seed}")
        keys = sorted({step.key.rstrip("0123456789") for step in self.all})
        self.alone = set(rng.sample(keys, 6))
        # one neighbourhood in eight is kept from training
        self.apart = {(a.key, b.key) for a in self.all for b in self.all if rng.random() < 0.125}
        self.by_type: dict[str, list[Primitive]] = {}
        for step in self.all:
            self.by_type.setdefault(step.takes, []).append(step)

    def is_new(self, step: Primitive) -> bool:
        return step.key.rstrip("0123456789") in self.alone

    def split_of(self, program: Program) -> str:
        steps = program.steps
        if len(steps) > 1 and any(map(self.is_new, steps)):
            return "new_op"
        if any((a.key, b.key) in self.apart for a, b in zip(steps, steps[1:])):
            return "compose"
        return "length" if len(steps) in LONG_STEPS else "none"

    def draw(self, rng: random.Random, lengths: tuple[int, ...]) -> Program:
        length = rng.choice(lengths)
        while True:
            kind = rng.choices("LSWI", (8, 2, 2, 1))[0]
            steps: list[Primitive] = []
            for _ in range(length):
                options = self.by_type.get(kind, [])
                if not options:
                    break
                steps.append(rng.choice(options))
                kind = steps[-1].gives
            if len(steps) == length:
                return Program(tuple(steps))

    def programs(self, rng: random.Random, split: str, taken: set[str]) -> Iterator[tuple[Program, str]]:
        """Programs of a split whose behaviour is not taken yet; each takes its own."""
        lengths = LONG_STEPS if split == "length" else (2, 3, 4) if split in ("compose", "new_op") else PROBLEM_STEPS
        while True:
            program = self.draw(rng, lengths)
            if self.split_of(program) != split:
                continue
            own = behaviour(program)
            if own is None or own in taken or not every_step_matters(program, own):
                continue
            taken.add(own)
            yield program, own


def module(step: Primitive, rng: random.Random, code: int | None = None) -> tuple[str, str]:
    """(name, code) of a primitive as a function with its docstring."""
    name = rng.choice(step.names)
    body = step.code[rng.randrange(2) if code is None else code]
    return name, f"// {step.words}\nfunction {name}(v) {{ return {body}; }}"


def modular(program: Program, rng: random.Random) -> tuple[str, list[str]]:
    """A program of one function a step, and the functions. A step that comes twice is written once."""
    written: dict[str, tuple[str, str]] = {}
    for step in program.steps:
        while step.key not in written:
            name, code = module(step, rng)
            if all(name != other for other, _ in written.values()):
                written[step.key] = (name, code)
    call = "v"
    for step in program.steps:
        call = f"{written[step.key][0]}({call})"
    parts = [code for _, code in written.values()]
    return "\n".join([*parts, f"function solve(v) {{ return {call}; }}"]), parts


def direct(program: Program, rng: random.Random) -> str:
    lines = [f"v = {step.code[rng.randrange(2)]};" for step in program.steps[:-1]]
    return "\n".join(["function solve(v) {", *lines, f"return {program.steps[-1].code[rng.randrange(2)]};", "}"])


def fenced(code: str) -> str:
    return f"```javascript\n{code}\n```"


def written(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def tests(program: Program, rng: random.Random, count: int, avoid: set[str]) -> list[dict]:
    """Different inputs that tell something, not those in `avoid`, which grows by them."""
    result: list[dict] = []
    for _ in range(count * 60):
        value = an_input(program.takes, rng)
        key = json.dumps(value)
        output = program.run(value)
        if key in avoid or not small(output):
            continue
        avoid.add(key)
        result.append({"call": "solve", "arguments": [value], "expected": output})
        if len(result) == count:
            break
    return result


def left_out(program: Program, rng: random.Random, vague: float) -> int | None:
    """Which step the description leaves out, if it does; a single step never is."""
    count = len(program.steps)
    return rng.randrange(count) if count > 1 and rng.random() < vague else None


def problem(program: Program, rng: random.Random, hidden_step: int | None = None) -> dict | None:
    """What is asked for, without an answer; None where there are too few different tests."""
    steps = [step.words for step in program.steps]
    if hidden_step is not None:
        steps[hidden_step] = "do something"
    avoid: set[str] = set()
    public = tests(program, rng, rng.choice(PUBLIC), avoid)
    hidden = tests(program, rng, HIDDEN, avoid)
    if len(public) < PUBLIC[0] or len(hidden) < HIDDEN:
        return None
    takes = {"L": "numbers", "I": "a number", "S": "a text", "W": "words"}[program.takes]
    examples = [f"solve({written(one['arguments'][0])}) -> {written(one['expected'])}" for one in public]
    text = "\n".join([f"Given {takes}: {', then '.join(steps)}.", *examples])
    return {"text": text, "language": "javascript", "entry": "solve", "tests": public, "hidden": hidden}


def prompt(mode: str, text: str, parts: list[str] | None = None) -> str:
    """The brief form of the prompts in packages/operators/coder/src/prompts.ts."""
    return "\n".join([f"[{mode}]", text, *(parts or [])])


def other_step(space: Space, program: Program, rng: random.Random) -> Program | None:
    """The program with one step replaced by another of its type: what a wrong program looks like."""
    index = rng.randrange(len(program.steps))
    step = program.steps[index]
    options = [one for one in space.by_type[step.takes] if one.gives == step.gives and one != step]
    if not options:
        return None
    return Program(program.steps[:index] + (rng.choice(options),) + program.steps[index + 1 :])


def shown_modules(space: Space, program: Program, parts: list[str], rng: random.Random) -> list[str]:
    """What a revision shows: true modules, those of a nearly right program, unrelated ones; or a whole program."""
    if rng.random() < WHOLE:
        near = other_step(space, program, rng) if rng.random() < 0.5 else None
        return [modular(near or program, rng)[0]]
    shown: list[str] = []
    for _ in range(rng.randint(1, 5)):
        source = rng.randrange(3)
        if source == 0:
            shown.append(rng.choice(parts))
        elif source == 1 and (near := other_step(space, program, rng)):
            shown.append(module(rng.choice(near.steps), rng)[1])
        else:
            shown.append(module(rng.choice(space.all), rng)[1])
    return list(dict.fromkeys(shown))


def shown_failure(space: Space, program: Program, public: list[dict], rng: random.Random) -> list[str] | None:
    """What a repair shows: a program with one step replaced, and the first public test that it fails."""
    wrong = other_step(space, program, rng)
    for one in public if wrong else []:
        value = one["arguments"][0]
        got = wrong.run(value)
        if got != one["expected"]:
            code = direct(wrong, rng) if rng.random() < 0.5 else modular(wrong, rng)[0]
            return [code, f"solve({written(value)}) gave {written(got)}, not {written(one['expected'])}"]
    return None


def training_example(space: Space, program: Program, kind: str, rng: random.Random) -> dict | None:
    """One prompt with its answer, and the tests that the answer must pass."""
    asked = problem(program, rng, left_out(program, rng, VAGUE))
    if asked is None:
        return None
    answer, parts = modular(program, rng)
    shown = None
    if kind == "direct":
        answer = direct(program, rng)
    elif kind == "revise":
        shown = shown_modules(space, program, parts, rng)
    elif kind == "debug" and (shown := shown_failure(space, program, asked["tests"], rng)) is None:
        return None
    return {
        "kind": kind,
        "prompt": prompt(kind, asked["text"], shown),
        "answer": fenced(answer),
        "tests": asked["tests"] + asked["hidden"],
    }


RUN = """
const rows = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(rows.map(({ code, inputs }) => {
  try { const solve = new Function(code + "\\n;return solve;")(); return inputs.map((v) => solve(v)); }
  catch (error) { return String(error) + " in " + code; }
})));
"""


def in_node(rows: list[dict]) -> list:
    """What `solve` of each {code, inputs} gives on each input in Node, or the text of its error. Only for our own code."""
    done = subprocess.run(["node", "-e", RUN], input=json.dumps(rows), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def executed(rows: Iterable[dict], code: str, tests: tuple[str, ...]) -> Iterator[dict]:
    """The rows whose program (field `code`) was run on their tests. Raises AssertionError where one gives another result."""
    rest = iter(rows)
    while group := list(islice(rest, 2000)):
        cases = [[case for field in tests for case in row[field]] for row in group]
        programs = [row[code].removeprefix("```javascript\n").removesuffix("\n```") for row in group]
        found = in_node(
            [
                {"code": program, "inputs": [case["arguments"][0] for case in own]}
                for program, own in zip(programs, cases, strict=True)
            ]
        )
        for row, own, got in zip(group, cases, found, strict=True):
            if got != [case["expected"] for case in own]:
                raise AssertionError(f"{row[code]} gives {got}")
            yield row


def problems_of(
    space: Space, split: str, count: int, seed: int, taken: set[str], vague: float = VAGUE
) -> Iterator[dict]:
    rng = random.Random(f"{split} {seed}")
    made = 0
    for program, own in space.programs(rng, "none" if split == "development" else split, taken):
        # apart from the rest, so that every share of vague problems is drawn over the same programs
        hidden_step = left_out(program, random.Random(f"vague {split} {seed} {made}"), vague)
        asked = problem(program, rng, hidden_step)
        if asked is None:
            continue
        solution, modules = modular(program, rng)
        yield {
            "id": f"{split}-{made}",
            **asked,
            "split": split,
            "vague": hidden_step is not None,
            "steps": [step.key for step in program.steps],
            "behaviour": own,
            "solution": solution,
            "modules": modules,
        }
        made += 1
        if made == count:
            return


def training_of(space: Space, count: int, seed: int, held: set[str]) -> Iterator[dict]:
    """Training examples, none of a held problem's behaviour. A behaviour comes once for each kind of prompt, that of a
    single primitive as often as it is drawn."""
    rng = random.Random(f"train {seed}")
    seen: set[tuple[str, str]] = set()
    made = 0
    while made < count:
        kind = rng.choices(list(KINDS), list(KINDS.values()))[0]
        program = space.draw(rng, TRAINING_STEPS)
        alone = len(program.steps) == 1
        if space.split_of(program) != "none" or (not alone and any(map(space.is_new, program.steps))):
            continue
        own = behaviour(program)
        if own is None or own in held or (kind, own) in seen or not every_step_matters(program, own):
            continue
        example = training_example(space, program, kind, rng)
        if example is not None:
            if not alone:
                seen.add((kind, own))
            yield example
            made += 1


def write(path: Path, rows: Iterator[dict]) -> None:
    with path.open("w") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--train", type=int, default=200_000)
    parser.add_argument("--problems", type=int, default=300)
    parser.add_argument("--vague", type=float, default=VAGUE, help="the share of problems whose text leaves a step out")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    space = Space(chosen.seed)
    taken: set[str] = set()
    for split in ("development", *SPLITS):
        rows = problems_of(space, split, chosen.problems, chosen.seed, taken, chosen.vague)
        write(chosen.out / f"{split}.jsonl", executed(rows, "solution", ("tests", "hidden")))
    rows = executed(training_of(space, chosen.train, chosen.seed, taken), "answer", ("tests",))
    write(chosen.out / "train.jsonl", ({name: row[name] for name in ("kind", "prompt", "answer")} for row in rows))


if __name__ == "__main__":
    main()
