"""Looking back: windows that say their first half again, and a start that finds what followed the last time."""

import json
import math

import numpy
import pytest
import torch

import moe
from moe import LanguageModel, Pretraining, Shape
from recall import SPAN, aim, look_back, recalled

SHAPE = {"vocabulary": 300, "hidden": 128, "layers": 2, "context": 128, "attention": {"size": 64, "experts": 4, "top": 2, "heads": 2},
         "feedforward": {"size": 16, "experts": 4, "top": 2}, "gate": 8}  # fmt: skip


def started(shape=SHAPE, looking=True, seed=0):
    torch.manual_seed(seed)
    model = LanguageModel(Shape.of(shape))
    if looking:
        look_back(model)
    return model


def test_a_recalled_window_says_pieces_of_its_first_half_again():
    window = numpy.arange(101)
    found = recalled(window, numpy.random.default_rng(1))
    assert found[:50].tolist() == window[:50].tolist()
    assert len(found) == 101 and found[50:].max() < 50
    ends = [place for place in range(51, 101) if found[place] != found[place - 1] + 1]
    lengths = numpy.diff([50, *ends, 101])
    assert (lengths[:-1] >= SPAN[0]).all()


def test_a_share_of_the_windows_is_recalled():
    stream = numpy.arange(10_000) % 300
    windows = {share: Pretraining(started(), stream, 8, 64, 5, 0.0, recall=share).batch(0) for share in (0.0, 0.5, 1.0)}
    changed = {share: sum(not torch.equal(one, other) for one, other in zip(windows[0.0], rows, strict=True)) for share, rows in windows.items()}
    assert changed[0.0] == 0 and 0 < changed[0.5] < 8 and changed[1.0] == 8


@pytest.mark.parametrize("shape", [SHAPE, {**SHAPE, "gate": None, "attention": {"size": 64, "heads": 2}, "feedforward": {"size": 16}}])
def test_what_is_said_again_is_foreseen_from_the_start_and_by_no_other_start(shape):
    """Of random tokens nothing else can be known than what followed the last time."""

    def gain(looking):
        model = started(shape, looking)
        once = torch.stack([torch.randperm(300)[:50] for _ in range(8)])
        ids = torch.cat([once, once], 1)
        with torch.no_grad():
            logprobs = model.logits(model(ids[:, :-1])[0]).log_softmax(-1)
        losses = -logprobs.gather(2, ids[:, 1:, None])[..., 0]
        return (losses[:, :49].mean() - losses[:, 50:].mean()).item()

    assert gain(True) > 0.5
    assert abs(gain(False)) < 0.2


def test_the_bias_of_the_scores_is_what_was_asked_for_in_every_module_and_head():
    model = started(looking=False)
    attention, size = model.layers[0].attention, 64
    with torch.no_grad():
        aim(attention, query=torch.randn(size, 128), key=torch.randn(size, 128), bias=-3.5)
        constant = attention.norm.bias
        key = (attention.key_value(constant)[:size]).view(2, 32)
        for module in attention.query.weight:
            scores = ((module @ constant).view(2, 32) * key).sum(-1) / math.sqrt(32)
            assert scores.tolist() == pytest.approx([-3.5, -3.5], abs=1e-4)


def test_a_pretraining_with_recall_begins_so_and_says_so(tmp_path):
    numpy.save(tmp_path / "toy.train.npy", numpy.arange(4000, dtype=numpy.uint16) % 150)
    for share in (0.0, 0.5):
        moe.train("mixture-toy", tmp_path / "toy", tmp_path / str(share), 0.01, 1, "fp32", "cpu", {"recall": share, "steps": 1})
    plain, looking = (moe.load_run(tmp_path / str(share)) for share in (0.0, 0.5))
    assert json.loads((tmp_path / "0.5" / "size.json").read_text())["pretraining"]["recall"] == 0.5
    rank = [torch.linalg.matrix_rank(model.embedding.weight, atol=0.3).item() for model, _ in (plain, looking)]
    assert rank == [24, 8]
