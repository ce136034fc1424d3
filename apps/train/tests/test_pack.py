"""A training set packed and unpacked."""

import json
import random

import pack


def test_what_is_packed_comes_back(tmp_path, monkeypatch):
    monkeypatch.setattr(pack, "MEMBER", 2_000)
    monkeypatch.setattr(pack, "MARGIN", 0)
    generator = random.Random(0)
    out = tmp_path / "out"
    (out / "pairs").mkdir(parents=True)
    (out / "raw").mkdir()
    pair = lambda kind: {"kind": kind, "text": "t" * 2_000, "code": "%x" % generator.getrandbits(400), "documented": "", "symbol": "s", "language": "go", "path": "p", "lines": [1, 2], "repository": "a/b"}  # noqa: E731, UP031  # fmt: skip
    for split in ("train", "development", "held-out"):
        (out / "pairs" / f"{split}.jsonl").write_text("".join(json.dumps(pair(kind)) + "\n" for kind in ("name", "docstring", "test")))
    (out / "raw" / "train.jsonl").write_text("".join(json.dumps({"repository": "a/b", "text": str(number)}) + "\n" for number in range(50)))
    counts = pack.pack(out, tmp_path / "a.tar.xz", 1, seed=1)
    assert counts["bytes"] == (tmp_path / "a.tar.xz").stat().st_size <= 1e6
    pack.unpack(tmp_path / "a.tar.xz", tmp_path / "back")
    read = lambda name: [json.loads(line) for line in (tmp_path / "back" / name).read_text().splitlines()]  # noqa: E731
    train = read("pairs/train.jsonl")
    assert [item["kind"] for item in train][0] == "docstring" and len(train) == 3
    assert len(train[0]["text"]) == 1_000 and "path" not in train[0]
    assert [item["kind"] for item in read("pairs/held-out.jsonl")] == ["docstring"]
    assert sorted(int(item["text"]) for item in read("raw/train.jsonl")) == list(range(50))


def test_the_budget_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(pack, "MEMBER", 20_000)
    monkeypatch.setattr(pack, "MARGIN", 60_000)
    generator = random.Random(0)
    out = tmp_path / "out"
    (out / "pairs").mkdir(parents=True)
    (out / "raw").mkdir()
    for split in ("train", "development", "held-out"):
        (out / "pairs" / f"{split}.jsonl").write_text("")
    (out / "raw" / "train.jsonl").write_text("".join(json.dumps({"repository": "a/b", "text": generator.randbytes(1_000).hex()}) + "\n" for _ in range(600)))  # fmt: skip
    counts = pack.pack(out, tmp_path / "a.tar.xz", 0.3, seed=1)
    assert 0 < counts["raw/train.jsonl"] < 600 and counts["bytes"] <= 300_000
