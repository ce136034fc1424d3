"""Extension: the old model stays bit for bit; the new modules learn; slicing is the inverse of adding."""

import numpy
import pytest
import torch

import dense
import moe
from extend import Extension, extend, kept, parts, plain, without_new
from moe import LanguageModel, Shape
from trainer import Schedule, Trainer

TOY = Shape.of(moe.read_size("mixture-toy")["shape"])
IDS = torch.arange(20)[None] * 7 % TOY.vocabulary


def toy():
    torch.manual_seed(6)
    return LanguageModel(TOY).eval()


def trained(model, folder, steps=12):
    stream = numpy.random.default_rng(3).integers(0, TOY.vocabulary, 4_000).astype(numpy.uint16)
    task = Extension(model, stream, 4, 24, 1, 0.01, regulariser=1e-3)
    assert Trainer(task, Schedule(steps, 0.05, warmup=2, decay=0.1), folder).run(minutes=2)


def test_after_training_the_old_model_is_there_bit_for_bit(tmp_path):
    old = toy()
    extended = extend(old, 2, 3)
    before = plain(extended).state_dict()
    trained(extended, tmp_path)
    after = plain(extended).state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in after)
    sliced = without_new(extended, old.shape).eval()
    assert sliced.state_dict().keys() == old.state_dict().keys()
    assert all(torch.equal(sliced.state_dict()[name], weight) for name, weight in old.state_dict().items())
    with torch.no_grad():
        assert torch.equal(sliced(IDS)[0], old(IDS)[0])


def test_every_new_module_and_row_learns_and_nothing_else(tmp_path):
    extended = extend(toy(), 1, 2)
    learning = {name for name, weight in extended.named_parameters() if weight.requires_grad}
    assert len(learning) == 3 * 2 * TOY.layers and all(name.endswith("weight.original") for name in learning)
    counts = [len(holder.parametrizations.weight.original) for _, holders in parts(extended) for holder in holders]
    assert counts == [1, 1, 1, 2, 2, 2] * TOY.layers


def test_new_modules_are_chosen_among_all_of_them():
    extended = extend(toy(), 4, 5)
    _, routes = extended(IDS)
    assert [routed.probabilities.shape[-1] for routed in routes] == [8, 10] * TOY.layers
    assert any((routed.chosen >= count).any() for routed, count in zip(routes, [4, 5] * TOY.layers, strict=True))
    with torch.no_grad():
        assert torch.equal(plain(extended).eval()(IDS)[0], extended(IDS)[0])


def test_modules_that_no_token_takes_can_be_dropped_without_a_trace():
    model = toy()
    with torch.no_grad():  # a router whose last module is never chosen, with a share too small to count
        for part, _ in parts(model):
            part.gate.output.weight[-1] = 0
            part.gate.output.weight[:-1] *= 0
            part.gate.input.bias.fill_(3)
            part.gate.output.weight[-1] = -60
    smaller = kept(model, [torch.arange(3 if number % 2 == 0 else 4) for number in range(2 * TOY.layers)])
    with torch.no_grad():
        assert torch.allclose(smaller(IDS)[0], model(IDS)[0], atol=1e-6)


def test_the_regulariser_is_the_squared_norm_of_the_new_rows():
    extended = extend(toy(), 1, 2)
    task = Extension(extended, numpy.zeros(100, numpy.uint16), 1, 8, 1, 0.0, regulariser=0.5)
    ids = IDS[:, :9]
    bare, _, _ = super(Extension, task).loss(ids)
    rows = [part.gate.output.weight[-(1 if number % 2 == 0 else 2) :] for number, (part, _) in enumerate(parts(extended))]
    expected = sum(value**2 for row in rows for value in row.flatten().tolist())
    assert (task.loss(ids)[0] - bare).item() == pytest.approx(0.5 * expected, rel=1e-4)


def test_a_dense_model_is_refused():
    shape = {name: value for name, value in dense.rival(moe.read_size("mixture-toy")["shape"], 1.0).items()}
    with pytest.raises(ValueError, match="dense"):
        extend(LanguageModel(Shape.of(shape)), 1, 1)
