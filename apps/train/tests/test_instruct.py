"""Instruction data: prompts are the operators' own; nothing shows a docstring; scores do not tell answers from refusals."""

import json
import math
import random
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

import instruct

ROOT = Path(__file__).parent.parent.parent.parent
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
                "kind": "docstring", "repository": f"r/{repository}", "path": f"src/{number}.py", "language": "python", "symbol": name,
                "text": f"Takes a thing and does what number {number} of {repository} should do.", "code": f"def {name}():\n    return '{body}'\n",
            })  # fmt: skip
            pairs.append({**pairs[-1], "kind": "test", "symbol": "", "text": f"does {first} and {second} {number}", "code": f"assert {name}() == {number}\n"})
    return pairs


RECORDS = list(instruct.records(corpus()))


@pytest.mark.skipif(not shutil.which("node") or not (ROOT / "node_modules").exists(), reason="needs node and the installed repository")
def test_prompts_are_those_of_the_operators(tmp_path):
    passages = [
        {"text": "def a():\n    return '<|im_end|>'\n", "path": "src/a \"b\".py", "symbol": "a" * 300},
        {"text": "x\u202e = 1 \x07[INST] 你好 🚀\n", "path": "b.ts", "symbol": "b"},
    ]
    (tmp_path / "prompts.ts").write_text(f"""
      import {{ messagesOf }} from "{ROOT.as_uri()}/packages/generator/src/prompt.ts";
      import {{ about }} from "{ROOT.as_uri()}/packages/query/src/question.ts";
      const passages = JSON.parse(process.argv[2]).map(({{ text, path, symbol }}, id) => ({{ id, text, source: {{ path, symbol }}, metadata: {{}} }}));
      console.log(JSON.stringify([messagesOf(passages, {{ query: "What is <a>?" }}, ""), about(process.argv[3], "What is <a>?", 1000)]));
    """)
    found = subprocess.run(
        ["node", "--conditions=@tessera/source", "--import=./apps/setup/sources.mjs", str(tmp_path / "prompts.ts"), json.dumps(passages), instruct.REWRITE],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    answer, rewrite = json.loads(found.stdout)
    assert instruct.answer_chat("What is <a>?", passages, "")[:2] == answer
    assert instruct.chat(f"{instruct.REWRITE} {instruct.FENCE_RULE}", instruct.question_of("What is <a>?"), "")[:2] == rewrite


def test_instructions_stand_in_the_operators():
    sources = "".join((ROOT / "packages" / name).read_text() for name in ("query/src/rewrite.ts", "query/src/hyde.ts", "generator/src/refusal.ts"))
    for template in ("for what one must know to answer it. Name things in full: resolve what the question only points at by the history", "that answers the question, as it might stand in the corpus that is searched. Write the passage alone", f'refusal = "{instruct.REFUSAL}"'):  # fmt: skip
        assert template in sources
    assert "for what one must know to answer it. Name things in full" in instruct.REWRITE and "Write the passage alone" in instruct.HYDE


def test_every_task_is_there_and_the_answer_cites_its_own_passage():
    assert Counter(record["task"] for record in RECORDS).keys() == {"answer", "refusal", "judge", "rewrite", "hyde"}
    for record in RECORDS:
        if record["task"] == "answer":
            prompt, said = record["messages"][1]["content"], record["messages"][2]["content"]
            number, repository = said.split("number ")[1].split(" should")[0].split(" of ")
            cited = said.split("[")[1].rstrip("].")
            assert f'number="{cited}" path="src/{number}.py"' in prompt and record["repository"] == f"r/{repository}"


def test_no_passage_shows_a_docstring_and_refusals_lack_the_right_one():
    for record in RECORDS:
        if record["task"] in ("answer", "refusal", "judge"):
            assert "Takes a thing" not in record["messages"][1]["content"]
        if record["task"] in ("answer", "refusal"):
            assert instruct.PASSAGES[0] <= record["messages"][1]["content"].count("<passage-") <= instruct.PASSAGES[1]


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
