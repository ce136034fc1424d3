"""Pruning: counts are those of plain loops; what stays is what is used; concentration empties modules."""

import numpy
import pytest
import torch

import moe
import prune
from moe import LanguageModel, Pretraining, Shape
from trainer import Schedule, Trainer

TOY = Shape.of(moe.read_size("mixture-toy")["shape"])
STREAM = numpy.random.default_rng(3).integers(0, TOY.vocabulary, 3_000).astype(numpy.uint16)


def toy():
    torch.manual_seed(6)
    return LanguageModel(TOY).eval()


def test_counts_are_those_of_a_loop():
    model = toy()
    found = prune.counts(model, STREAM, length=20, windows=3)
    expected = [dict.fromkeys(range(size), 0) for size in [4, 5] * TOY.layers]
    for start in (0, (len(STREAM) - 21) // 2, len(STREAM) - 21):
        with torch.no_grad():
            _, routes = model(torch.tensor([STREAM[start : start + 20].tolist()]))
        for number, routed in enumerate(routes):
            for row in routed.chosen.tolist():
                for module in row:
                    expected[number][module] += 1
    assert [count.tolist() for count in found] == [list(count.values()) for count in expected]


def test_the_most_used_stay_in_order_and_never_fewer_than_run():
    used = [torch.tensor([3, 9, 9, 1]), torch.tensor([5, 0, 7, 7, 2])]
    assert [places.tolist() for places in prune.most_used(used, 0.5, (2, 2))] == [[1, 2], [2, 3]]
    assert [places.tolist() for places in prune.most_used(used, 0.75, (2, 2))] == [[0, 1, 2], [0, 2, 3, 4]]
    assert [len(places) for places in prune.most_used(used, 0.01, (2, 3))] == [2, 3]


def test_all_kept_is_the_same_model():
    model = toy()
    ids = torch.from_numpy(STREAM[:30].astype(numpy.int64))[None]
    with torch.no_grad():
        assert torch.equal(prune.prune(model, prune.counts(model, STREAM), 1.0)(ids)[0], model(ids)[0])


def test_a_pruned_model_is_smaller_and_runs():
    smaller = prune.prune(toy(), prune.counts(toy(), STREAM), 0.5)
    assert (smaller.shape.attention.experts, smaller.shape.feedforward.experts) == (2, 2)
    assert smaller.layers[1].feedforward.input.weight.shape[0] == 2
    assert smaller(torch.tensor([[1, 2, 3]]))[0].isfinite().all()


@pytest.mark.parametrize("seed", [1, 2])
def test_concentration_gathers_the_load(tmp_path, seed):
    def share_of_half(weight):
        model = toy()
        task = Pretraining(model, STREAM, 4, 24, seed, 0.0, weight)
        Trainer(task, Schedule(60, 0.01, warmup=5), tmp_path / str(weight)).run(minutes=2)
        used = prune.counts(model, STREAM, 24, 20)
        return sum((count.sort(descending=True).values[: len(count) // 2].sum() / count.sum()).item() for count in used) / len(used)

    assert share_of_half(1.0) > share_of_half(0.0) + 0.05
