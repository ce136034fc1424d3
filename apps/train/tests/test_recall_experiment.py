"""What is measured of looking back: a model that copies gains, one that knows tokens alone does not; no arm runs twice."""

import json

import numpy
import torch

import recall_experiment
from recall_experiment import TOKENS, said_again


class Counts(torch.nn.Module):
    """Foresees what followed the last time (`looks`), or nothing."""

    def __init__(self, looks: bool) -> None:
        super().__init__()
        self.looks = looks

    def forward(self, ids):
        return torch.arange(ids.shape[1]).tile(len(ids), 1), [ids]

    def logits(self, places):
        found = torch.zeros(len(places), 200)
        for row, place in enumerate(places.tolist()):
            if self.looks and place >= TOKENS:
                found[row, self.ids[0, place - TOKENS + 1]] = 5.0
        return found


def test_the_gain_is_what_looking_back_brings():
    stream = numpy.random.default_rng(2).permutation(200)[:150].astype(numpy.uint16)
    blind = Counts(False)
    assert said_again(blind, stream, True)["gain"] == 0
    looking = Counts(True)
    forward = looking.forward

    def remembering(ids):
        looking.ids = ids
        return forward(ids)

    looking.forward = remembering
    found = said_again(looking, stream, True)
    expected = 5 - (numpy.log(199 + numpy.exp(5.0)) - numpy.log(200))
    assert abs(found["gain"] - expected) < 0.01 and abs(found["first"] - numpy.log(200)) < 0.01
    assert found["interval"][0] <= found["gain"] <= found["interval"][1]


def test_every_arm_is_measured_once(tmp_path, monkeypatch, capsys):
    for split in ("train", "held-out"):
        numpy.save(tmp_path / f"toy.{split}.npy", numpy.random.default_rng(0).integers(100, 160, 2_000).astype(numpy.uint16))
    monkeypatch.setattr(recall_experiment, "WINDOWS", 3)
    for _ in range(2):
        recall_experiment.run("mixture-toy", tmp_path / "toy", tmp_path, 2, 2, 24, [1])
    lines = [json.loads(line) for line in (tmp_path / "recall.jsonl").read_text().splitlines()]
    assert [line["arm"] for line in lines] == list(recall_experiment.ARMS)
    assert all(line["tokens"] == 96 for line in lines)
