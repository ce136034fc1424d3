"""The mixture of experts against docs/models/decoder-bundle.md, derived again a token at a time in float64."""

import itertools
import json
import math

import numpy
import pytest
import torch

import dense
import moe
from moe import LanguageModel, Routed, Shape, StickBreaking, concentration_loss, entropy, mutual_information_loss, next_token_loss

TOY = moe.read_size("mixture-toy")["shape"]


def toy(shape=TOY, seed=0, **changes):
    torch.manual_seed(seed)
    model = LanguageModel(Shape.of({**shape, **changes}))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model.double().eval()


def gelu_exact(x):
    return x * 0.5 * (1 + math.erf(x / math.sqrt(2)))


def gelu_tanh(x):
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def naive(model, ids):
    """Logits [tokens, vocabulary] and the chosen modules of each router and token."""
    state = {name: weight.detach() for name, weight in model.state_dict().items()}
    shape = model.shape

    def norm(x, name):
        mean = x.mean()
        return (x - mean) / torch.sqrt(((x - mean) ** 2).mean() + shape.normEpsilon) * state[f"{name}.weight"] + state[f"{name}.bias"]

    def route(u, name, top):
        if shape.gate is None:
            return [(None, 1.0)]
        hidden = state[f"{name}.input.weight"] @ u + state[f"{name}.input.bias"]
        logits = state[f"{name}.output.weight"] @ torch.tensor([gelu_exact(value) for value in hidden.tolist()], dtype=torch.float64)
        p = [math.exp(value) for value in logits.tolist()]
        p = [value / sum(p) for value in p]
        best = sorted(range(len(p)), key=lambda number: (-p[number], number))[:top]
        return [(number, p[number]) for number in best]

    def pick(name, module):
        return state[name] if module is None else state[name][module]

    xs = [state["embedding.weight"][number] for number in ids]
    chosen = []
    for layer in range(shape.layers):
        name = f"layers.{layer}.attention"
        size = shape.attention.size // shape.heads
        us = [norm(x, f"{name}.norm") for x in xs]
        both = [state[f"{name}.key_value.weight"] @ u + state[f"{name}.key_value.bias"] for u in us]
        changes, routes = [], []
        for i, u in enumerate(us):
            routes.append(route(u, f"{name}.gate", shape.attention.top))
            change = torch.zeros_like(u)
            for module, weight in routes[-1]:
                query = pick(f"{name}.query.weight", module) @ u
                outputs = []
                for head in range(shape.heads):
                    part = slice(head * size, (head + 1) * size)
                    values = slice(shape.attention.size + head * size, shape.attention.size + (head + 1) * size)
                    stick, found = 1.0, torch.zeros(size, dtype=torch.float64)
                    for j in range(i if shape.current else i - 1, -1, -1):  # from the nearest on, each breaks off its part
                        beta = 1 / (1 + math.exp(-(query[part] @ both[j][part]).item() / math.sqrt(size)))
                        found += stick * beta * both[j][values]
                        stick *= 1 - beta
                    outputs.append(found)
                change += weight * (pick(f"{name}.output.weight", module) @ torch.cat(outputs))
            changes.append(change)
        xs = [x + change for x, change in zip(xs, changes, strict=True)]
        chosen.append([[module for module, _ in found] for found in routes])
        name = f"layers.{layer}.feedforward"
        routes = []
        for i, x in enumerate(xs):
            u = norm(x, f"{name}.norm")
            routes.append(route(u, f"{name}.gate", shape.feedforward.top))
            for module, weight in routes[-1]:
                inner = [gelu_tanh(value) for value in (pick(f"{name}.input.weight", module) @ u).tolist()]
                xs[i] = xs[i] + weight * (pick(f"{name}.output.weight", module) @ torch.tensor(inner, dtype=torch.float64))
        chosen.append([[module for module, _ in found] for found in routes])
    return torch.stack([state["embedding.weight"] @ norm(x, "norm") for x in xs]), chosen


@pytest.mark.parametrize("current", [True, False])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_model_is_what_the_page_says(current, seed):
    model = toy(seed=seed, attention={**TOY["attention"], "current": current})
    ids = numpy.random.default_rng(seed).integers(0, 160, 9).tolist()
    with torch.no_grad():
        x, routes = model(torch.tensor([ids]))
        logits = model.logits(x)[0]
    expected, chosen = naive(model, ids)
    assert torch.allclose(logits, expected, atol=1e-9)
    assert [routed.chosen.tolist() for routed in routes] == chosen


def test_the_dense_rival_is_the_same_trunk_with_one_module():
    shape = {name: value for name, value in TOY.items() if name != "gate"}
    model = toy(shape | {"attention": {"size": 8, "heads": 2}, "feedforward": {"size": 20}})
    ids = [3, 1, 4, 1, 5, 9]
    with torch.no_grad():
        x, routes = model(torch.tensor([ids]))
    assert routes == []
    assert torch.allclose(model.logits(x)[0], naive(model, ids)[0], atol=1e-9)


def test_a_sequence_is_independent_of_its_batch_and_of_what_follows():
    model = toy()
    ids = torch.tensor([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])
    with torch.no_grad():
        together, alone, shorter = model(ids)[0], model(ids[:1])[0], model(ids[:1, :3])[0]
    assert torch.allclose(together[:1], alone, atol=1e-12)
    assert torch.allclose(alone[:, :3], shorter, atol=1e-12)


@pytest.mark.parametrize("current", [True, False])
@pytest.mark.parametrize("block", [2, 64])
def test_stick_breaking_by_products_and_its_gradient(current, block, monkeypatch):
    monkeypatch.setattr(StickBreaking, "BLOCK", block)
    torch.manual_seed(3)
    query, key, value = (torch.randn(2, *shares, 5, 3, dtype=torch.float64, requires_grad=True) for shares in ((2,), (), ()))
    found = StickBreaking.apply(query * 2, key, value, current)
    for row, share, i in itertools.product(range(2), range(2), range(5)):
        expected = torch.zeros(3, dtype=torch.float64)
        stick = 1.0
        for j in range(i if current else i - 1, -1, -1):
            beta = (query[row, share, i] * 2 @ key[row, j] / math.sqrt(3)).sigmoid()
            expected = expected + stick * beta * value[row, j]
            stick = stick * (1 - beta)
        assert torch.allclose(found[row, share, i], expected, atol=1e-12)
    assert torch.autograd.gradcheck(lambda *given: StickBreaking.apply(*given, current), (query, key, value))


def test_stick_breaking_stands_extreme_scores():
    query = torch.tensor([80.0, -90.0, 100.0, -100.0]).view(1, 1, 4, 1).requires_grad_()
    key, value = torch.ones(1, 4, 1, requires_grad=True), torch.ones(1, 4, 1, requires_grad=True)
    found = StickBreaking.apply(query, key, value, True)
    assert ((found >= 0) & (found <= 1 + 1e-6)).all()
    found.sum().backward()
    assert all(torch.isfinite(tensor.grad).all() for tensor in (query, key, value))


def test_equal_modules_go_to_the_lower_index():
    model = toy()
    router = model.layers[0].feedforward.gate
    with torch.no_grad():
        router.output.weight.zero_()
    routed = router(torch.randn(3, TOY["hidden"], dtype=torch.float64))
    assert routed.chosen.tolist() == [[0, 1]] * 3
    assert torch.allclose(routed.weights, torch.full((6,), 1 / TOY["feedforward"]["experts"], dtype=torch.float64))


def test_the_weights_of_the_chosen_are_not_renormalised():
    model = toy()
    routed = model.layers[0].attention.gate(torch.randn(5, TOY["hidden"], dtype=torch.float64))
    assert torch.allclose(routed.probabilities.sum(-1), torch.ones(5, dtype=torch.float64))
    assert routed.weights.sum() < 5


def test_losses_of_routing_by_hand():
    def routes(*rows):
        p = torch.tensor(rows, dtype=torch.float64)
        return [Routed(p, p.argsort(descending=True)[:, :1], torch.zeros(0), [], torch.zeros(0))]

    sure_and_even = routes([1.0, 0.0], [0.0, 1.0])
    unsure = routes([0.5, 0.5], [0.5, 0.5])
    one_for_all = routes([1.0, 0.0], [1.0, 0.0])
    assert mutual_information_loss(sure_and_even).item() == pytest.approx(-math.log(2), abs=1e-6)
    assert mutual_information_loss(unsure).item() == pytest.approx(0, abs=1e-6)
    assert mutual_information_loss(one_for_all).item() == pytest.approx(0, abs=1e-6)
    assert concentration_loss(one_for_all).item() == pytest.approx(0, abs=1e-6)
    assert concentration_loss(sure_and_even).item() == pytest.approx(math.log(2), abs=1e-6)
    assert entropy(torch.tensor([0.25] * 4)).item() == pytest.approx(math.log(4), abs=1e-6)


def test_routing_stays_in_fp32_under_bf16():
    torch.manual_seed(0)
    model = LanguageModel(Shape.of(TOY))
    with torch.autocast("cpu", torch.bfloat16):
        _, routes = model(torch.randint(0, 160, (2, 8)))
    assert all(routed.probabilities.dtype == torch.float32 for routed in routes)


def test_only_wanted_tokens_count():
    model = toy()
    ids = torch.tensor([[3, 1, 4, 1, 5]])
    wanted = torch.tensor([[False, False, False, True, True]])
    with torch.no_grad():
        x, _ = model(ids[:, :-1])
        logprobs = model.logits(x)[0].float().log_softmax(-1)
        expected = -(logprobs[2, 1] + logprobs[3, 5]) / 2
        assert next_token_loss(model, ids, wanted)[0].item() == pytest.approx(expected.item(), abs=1e-6)


def test_weights_share_the_loss_out():
    model = toy()
    ids = torch.tensor([[3, 1, 4, 1, 5]])
    weights = torch.tensor([[0.0, 0.0, 0.0, 3.0, 1.0]])
    with torch.no_grad():
        logprobs = model.logits(model(ids[:, :-1])[0])[0].float().log_softmax(-1)
    expected = -(3 * logprobs[2, 1] + logprobs[3, 5]) / 4
    assert next_token_loss(model, ids, weights)[0].item() == pytest.approx(expected.item(), abs=1e-6)


def test_sizes_are_those_of_the_issue():
    counts = LanguageModel(Shape.of(moe.read_size("mixture-small")["shape"])).parameter_counts()
    assert (round(counts["total"] / 1e6), round(counts["active"] / 1e6), round(counts["embedding"] / 1e6)) == (11, 2, 4)
    for name, factor in dense.FACTORS.items():
        shape = moe.read_size(f"dense-small-{name}")["shape"]
        assert shape == dense.rival(moe.read_size("mixture-small")["shape"], factor)
        total = LanguageModel(Shape.of(shape)).parameter_counts()["total"]
        assert total == dense.counts(shape)
        assert abs(total / counts["active"] / factor - 1) < 0.05


def test_a_toy_learns_a_stream_and_goes_on_where_it_stopped(tmp_path):
    pattern = numpy.tile(numpy.arange(20, dtype=numpy.uint16), 200)
    for split in ("train", "held-out"):
        numpy.save(tmp_path / f"toy.{split}.npy", pattern)
    stream = tmp_path / "toy"
    assert not moe.train("mixture-toy", stream, tmp_path / "run", 0, 1, "fp32", "cpu")
    assert moe.train("mixture-toy", stream, tmp_path / "run", 5, 1, "fp32", "cpu")
    model, size = moe.load_run(tmp_path / "run")
    assert size["seed"] == 1
    figures = moe.evaluate(model, moe.read_stream(stream, "held-out"), length=24, windows=8)
    assert figures["perplexity"] < 20  # of 160 tokens, 20 occur
    lines = [json.loads(line) for line in (tmp_path / "run" / "pretraining" / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["text"] < lines[0]["text"]
