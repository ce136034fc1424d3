"""Emergent experts: all of them are the dense model, merging is a permutation, no parameter is added."""

import pytest
import torch
import torch.nn.functional as F

import emoe
import moe
from moe import Feedforward, LanguageModel, Shape

SHAPE = Shape.of({"vocabulary": 50, "hidden": 12, "layers": 3, "context": 32, "attention": {"size": 8, "heads": 2}, "feedforward": {"size": 24}})
IDS = torch.tensor([[3, 9, 27, 31, 43, 4, 12]])


def toy():
    torch.manual_seed(8)
    return LanguageModel(SHAPE).eval()


def answer(model):
    with torch.no_grad():
        return model(IDS)[0]


def test_clusters_are_of_one_size_and_gather_what_is_alike():
    directions = torch.eye(6)[[0, 1, 2, 3]].repeat_interleave(5, 0)
    torch.manual_seed(1)
    keys = (directions + 0.02 * torch.randn(20, 6)) * torch.rand(20, 1).add(0.5)
    order = torch.randperm(20)
    found = [emoe.balanced_clusters(keys[order], 4, seed)[order.argsort()] for seed in range(8)]
    assert all(labels.bincount().tolist() == [5, 5, 5, 5] for labels in found)
    assert any(all(len(set(group.tolist())) == 1 for group in labels.view(4, 5)) for labels in found)
    with pytest.raises(ValueError, match="divide"):
        emoe.balanced_clusters(keys, 3)


def test_all_experts_are_the_dense_model():
    model = toy()
    emoe.convert(model, [0, 2], experts=6, top=6)
    assert torch.allclose(answer(model), answer(toy()), atol=1e-6)


def test_merging_is_a_permutation_and_no_parameter_is_added():
    model = toy()
    emoe.convert(model, [1], experts=6, top=2)
    assert sum(weight.numel() for weight in model.parameters()) == sum(weight.numel() for weight in toy().parameters())
    assert not torch.allclose(answer(model), answer(toy()), atol=1e-4)
    emoe.merge(model)
    assert isinstance(model.layers[1].feedforward, Feedforward)
    assert torch.allclose(answer(model), answer(toy()), atol=1e-6)
    before, after = (found.layers[1].feedforward for found in (toy(), model))
    rows = [(before.input.weight == row).all(1).nonzero().item() for row in after.input.weight]
    assert sorted(rows) == list(range(24)) and torch.equal(after.output.weight, before.output.weight[:, rows])


@pytest.mark.parametrize("choice", emoe.CHOICES)
def test_the_gate_is_the_mean_key_and_its_weights_are_one(choice):
    model = toy()
    emoe.convert(model, [0], experts=6, top=2, choice=choice)
    layer = model.layers[0].feedforward
    x = torch.randn(1, 5, 12)
    with torch.no_grad():
        found = layer(x)[0][0]
        for place, u in enumerate(layer.norm(x)[0].double()):
            keys = layer.input.weight.double().view(6, 4, 12)
            gates = [sum((keys[e, n] @ u).item() for n in range(4)) / 4 for e in range(6)]
            chosen = sorted(range(6), key=lambda e: gates[e], reverse=choice == "top")[:2]
            expected = torch.zeros(12, dtype=torch.float64)
            for e in chosen:
                for n in range(4):
                    expected += F.gelu(keys[e, n] @ u, approximate="tanh") * layer.output.weight[:, 4 * e + n].double()
            assert torch.allclose(found[place].double(), expected, atol=1e-5)


def test_the_average_gate_follows_the_keys_and_only_a_learned_one_learns():
    model = toy()
    emoe.convert(model, [0], experts=6, top=2)
    layer = model.layers[0].feedforward
    before = layer.keys().clone()
    with torch.no_grad():
        layer.input.weight[:4] += 1
    assert torch.allclose(layer.keys()[0], before[0] + 1) and torch.equal(layer.keys()[1:], before[1:])
    learned = toy()
    emoe.convert(learned, [0], experts=6, top=2, gate="learned")
    gate = learned.layers[0].feedforward.learned
    learned(IDS)[0].square().sum().backward()
    assert gate.grad.abs().sum() > 0


def test_random_clusters_are_others_of_the_same_size():
    model = toy()
    emoe.convert(model, [0], experts=6, top=6, random=4)
    assert torch.allclose(answer(model), answer(toy()), atol=1e-6)
    with pytest.raises(ValueError, match="dense"):
        emoe.convert(LanguageModel(Shape.of(moe.read_size("mixture-toy")["shape"])), [0], 2, 1)
