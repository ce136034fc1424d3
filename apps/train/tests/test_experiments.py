"""What the experiments measure: documents by language, paired intervals, LoRA; lines are not measured twice."""

import json
import math

import numpy
import torch

import experiments
import moe
import tokenizer as tokens
from moe import LanguageModel, Shape

TOY = Shape.of(moe.read_size("mixture-toy")["shape"])


def test_documents_go_to_their_language_whole():
    go, python, end = tokens.ID["go"], tokens.ID["python"], tokens.ID["end"]
    stream = numpy.array([900, 901, end, go, 500, 501, end, python, 600, end, go, 700, end], numpy.uint16)
    inside, outside = experiments.split_by_language(stream, "go")
    assert inside.tolist() == [go, 500, 501, end, go, 700, end] and outside.tolist() == [python, 600, end]


def test_the_change_is_paired_and_its_interval_holds_it():
    generator = numpy.random.default_rng(5)
    before = generator.normal(3, 1, 48)
    after = before + math.log(1.05) + generator.normal(0, 0.001, 48)
    found = experiments.change(after, before)
    assert abs(found["per cent"] - 5) < 0.1 and found["interval"][0] <= found["per cent"] <= found["interval"][1]
    assert found["interval"][1] - found["interval"][0] < 0.2  # unpaired, it would be dozens of points wide
    assert experiments.change(before, before) == {"per cent": 0.0, "interval": [0.0, 0.0]}


def test_low_rank_starts_as_the_model_and_learns_about_as_many_parameters():
    torch.manual_seed(1)
    base = LanguageModel(TOY).eval()
    adapted = experiments.low_rank(base, 3_000)
    ids = torch.tensor([[1, 5, 9, 40]])
    with torch.no_grad():
        assert torch.allclose(adapted(ids)[0], base(ids)[0], atol=1e-6)
    one = experiments.trainable(experiments.low_rank(base, 1))
    assert abs(experiments.trainable(adapted) - 3_000) <= one / 2
    assert {name.rsplit(".", 1)[-1] for name, weight in adapted.named_parameters() if weight.requires_grad} == {"up", "down"}


def test_arms_that_were_measured_are_not_run_again(tmp_path, capsys, monkeypatch):
    tokens_of = numpy.random.default_rng(0).integers(100, 160, 4_000).astype(numpy.uint16)
    tokens_of[::50] = tokens.ID["python"]
    tokens_of[::150] = tokens.ID["go"]
    for split in ("train", "held-out"):
        numpy.save(tmp_path / f"toy.{split}.npy", tokens_of)
    monkeypatch.setattr(experiments, "SEEDS", (1,))
    monkeypatch.setattr(experiments, "WINDOWS", 4)
    monkeypatch.setattr(experiments, "REGULARISERS", (0.01,))
    for _ in range(2):
        experiments.run("extension", "mixture-toy", tmp_path / "toy", tmp_path / "out", "go", 3)
    lines = [json.loads(line) for line in (tmp_path / "out" / "extension.jsonl").read_text().splitlines()]
    assert [line["arm"] for line in lines] == ["new modules, regulariser 0.01 1", "full fine-tuning 1", "LoRA 1"]
    assert len(capsys.readouterr().out.splitlines()) >= 3
    experiments.run("specialisation", "mixture-toy", tmp_path / "toy", tmp_path / "out", "go", 3, weights=(0.0, 0.1))
    assert len((tmp_path / "out" / "specialisation.jsonl").read_text().splitlines()) == 4
