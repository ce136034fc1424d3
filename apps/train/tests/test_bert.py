"""The BERT trunk against BERT written out plainly, its loader, and the losses and fits of its exits."""

import math
import random
from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, models

from bert import BertExits, BertShape, renamed
from bert_encoder import (
    Reading,
    Table,
    among,
    between,
    follow,
    grouped,
    losses,
    pooled_states,
    ridge,
    start,
    targets_of,
    token_distance,
    trained,
    turn_to,
)
from bert_texts import bags_of, split_names
from trainer import Packed

SHAPE = BertShape(vocabulary=60, hidden=16, layers=4, heads=4, intermediate=24, positions=12, table=8, exits=(0, 2, 4))


def published(shape: BertShape, seed: int = 5) -> dict[str, torch.Tensor]:
    """Random weights under the names of the published file."""
    generator = torch.Generator().manual_seed(seed)
    size, wide = shape.hidden, shape.intermediate
    shapes = {
        "embeddings.word_embeddings.weight": (shape.vocabulary, size), "embeddings.position_embeddings.weight": (shape.positions, size),
        "embeddings.token_type_embeddings.weight": (2, size), "embeddings.LayerNorm.weight": (size,), "embeddings.LayerNorm.bias": (size,),
    }  # fmt: skip
    for number in range(shape.layers):
        for name, (out, into) in {
            "attention.self.query": (size, size), "attention.self.key": (size, size), "attention.self.value": (size, size),
            "attention.output.dense": (size, size), "intermediate.dense": (wide, size), "output.dense": (size, wide),
        }.items():  # fmt: skip
            shapes |= {f"encoder.layer.{number}.{name}.weight": (out, into), f"encoder.layer.{number}.{name}.bias": (out,)}
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"encoder.layer.{number}.{name}.weight": (size,), f"encoder.layer.{number}.{name}.bias": (size,)}
    return {name: torch.randn(shape, generator=generator) * 0.4 for name, shape in shapes.items()}


def plain_bert(weights: dict[str, torch.Tensor], ids: list[int], shape: BertShape) -> list[list[list[float]]]:
    """States after the embeddings and each layer for one sequence, after the formulas of the paper, in lists and loops."""

    def linear(x, name):
        return x @ weights[f"{name}.weight"].double().T + weights[f"{name}.bias"].double()

    def norm(x, name):
        centred = x - x.mean(-1, keepdim=True)
        scaled = centred / (centred.square().mean(-1, keepdim=True) + shape.normEpsilon).sqrt()
        return scaled * weights[f"{name}.weight"].double() + weights[f"{name}.bias"].double()

    x = torch.stack([
        weights["embeddings.word_embeddings.weight"][token].double()
        + weights["embeddings.position_embeddings.weight"][place].double()
        + weights["embeddings.token_type_embeddings.weight"][0].double()
        for place, token in enumerate(ids)
    ])  # fmt: skip
    x = norm(x, "embeddings.LayerNorm")
    states, size = [x], shape.hidden // shape.heads
    for number in range(shape.layers):
        layer = f"encoder.layer.{number}"
        query, key, value = (linear(x, f"{layer}.attention.self.{name}") for name in ("query", "key", "value"))
        mixed = torch.zeros_like(x)
        for head in range(shape.heads):
            part = slice(head * size, (head + 1) * size)
            for place in range(len(ids)):
                scores = [float(query[place, part] @ key[other, part]) / math.sqrt(size) for other in range(len(ids))]
                exponents = [math.exp(score - max(scores)) for score in scores]
                for other, exponent in enumerate(exponents):
                    mixed[place, part] += exponent / sum(exponents) * value[other, part]
        x = norm(x + linear(mixed, f"{layer}.attention.output.dense"), f"{layer}.attention.output.LayerNorm")
        wide = linear(x, f"{layer}.intermediate.dense")
        wide = wide * (1 + torch.erf(wide / math.sqrt(2))) / 2
        x = norm(x + linear(wide, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
        states.append(x)
    return states


def loaded(weights: dict[str, torch.Tensor]) -> BertExits:
    model = BertExits(SHAPE)
    missing, unexpected = model.load_state_dict(renamed(weights, SHAPE), strict=False)
    assert not unexpected and all(name.startswith(("exits.", "table.", "shares")) for name in missing)
    return model


def test_states_are_those_of_bert_written_out_plainly_whatever_is_packed_together():
    weights, generator = published(SHAPE), random.Random(2)
    model = loaded(weights)
    sequences = [[generator.randrange(60) for _ in range(length)] for length in (1, 7, 12, 3, 7)]
    batch = Packed.of(sequences)
    states = model.states(batch)
    for number, ids in enumerate(sequences):
        expected = plain_bert(weights, ids, SHAPE)
        for layer, state in enumerate(states):
            torch.testing.assert_close(state[batch.sequence == number].double(), expected[layer], atol=2e-5, rtol=2e-5)


def test_an_exit_projects_a_mean_state_and_adds_its_share_of_exit_0():
    model, sequences = loaded(published(SHAPE)), [[3, 9, 27], [41]]
    with torch.no_grad():
        model.shares.copy_(torch.tensor([9.0, 0.5, -2.0]))
    found = model(Packed.of(sequences))
    words, rows = model.words.weight[[3, 9, 27, 41]], model.table.weight[[3, 9, 27, 41]]
    states = [torch.cat([words, rows], 1), *model.states(Packed.of(sequences))[1:]]
    for layer, share in ((0, 0.0), (2, 0.5), (4, -2.0)):
        means = torch.stack([states[layer][:3].mean(0), states[layer][3]])
        exit = model.exits[str(layer)]
        torch.testing.assert_close(found[layer], means @ exit.weight.T + exit.bias + share * found[0])
    assert list(model(Packed.of(sequences), last=0)) == [0]
    assert list(model(Packed.of(sequences), last=2)) == [0, 2]
    torch.testing.assert_close(model(Packed.of(sequences), last=2)[2], found[2])


def test_ridge_finds_a_linear_map_and_is_numpys_least_squares_without_strength():
    generator = torch.Generator().manual_seed(3)
    x, weight, bias = torch.randn(200, 6, generator=generator), torch.randn(4, 6, generator=generator), torch.randn(4, generator=generator)
    found, constant = ridge(x, x @ weight.T + bias, 1e-9)
    torch.testing.assert_close(found, weight, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(constant, bias, atol=1e-4, rtol=1e-4)
    noisy = x @ weight.T + torch.randn(200, 4, generator=generator)
    errors = [(noisy - x @ fitted.T - at).square().sum() for fitted, at in (ridge(x, noisy, 1e-9), ridge(x, noisy, 0.5))]
    assert errors[0] < errors[1]


def reading(count: int = 80) -> tuple[BertExits, Reading]:
    model, generator = loaded(published(SHAPE)), random.Random(4)
    ids = [[generator.randrange(60) for _ in range(9)] for _ in range(count)]
    return model, Reading(ids, pooled_states(model, ids), ["a"] * (count // 2))


def test_the_start_keeps_every_angle_of_the_last_exit_and_puts_its_variance_first():
    model, read = reading()
    start(model, read, torch.randn(60, 20))
    found, before = F.normalize(model(Packed.of(read.ids))[4], dim=-1), F.normalize(read.states[:, 4], dim=-1)
    torch.testing.assert_close(found @ found.T, before @ before.T, atol=0.02, rtol=0.02)  # states were read in bf16
    energy = found.square().mean(0)
    assert (energy[:-1] >= energy[1:] - 1e-3).all()


def test_each_exit_of_the_start_is_nearer_to_the_last_than_the_one_before():
    model, read = reading(400)
    turn = start(model, read, torch.randn(60, 20))
    found = model(Packed.of(read.ids))
    target = targets_of(turn, read)
    errors = [float((found[exit] - target).square().sum()) for exit in (0, 2)]
    assert errors[1] < errors[0] < float((target - target.mean(0)).square().sum())


def test_the_turn_takes_the_teachers_vectors_to_those_of_a_model_that_is_the_teacher_turned():
    model, read = reading(120)
    expected = torch.linalg.qr(torch.randn(16, 16, generator=torch.Generator().manual_seed(8))).Q
    with torch.no_grad():
        model.exits["4"].weight.copy_(expected)
        model.exits["4"].bias.zero_()
        exact = torch.stack([model.states(Packed.of([ids]))[-1].mean(0) for ids in read.ids])
    turn = turn_to(model, Reading(read.ids, exact[:, None], read.names))
    torch.testing.assert_close(turn @ turn.T, torch.eye(16), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(F.normalize(exact, dim=-1) @ turn.T, F.normalize(exact @ expected.T, dim=-1), atol=1e-3, rtol=1e-3)


def test_exit_0_is_taught_by_its_own_stage_alone():
    model, read = reading()
    start(model, read, torch.randn(60, 20))
    gradients = torch.autograd.grad(model(Packed.of(read.ids[:4]))[2].sum(), [model.table.weight, model.exits["2"].weight], allow_unused=True)
    assert gradients[0] is None and gradients[1] is not None
    trained(model, ("layers.", "exits."), ("exits.0.",))
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert "exits.2.weight" in learning and "layers.0.up.weight" in learning
    assert not learning & {"exits.0.weight", "table.weight", "words.weight", "shares"}


def test_a_reading_is_kept_and_batches_pair_its_queries_with_their_passages(tmp_path):
    model, read = reading(20)
    target = targets_of(start(model, read, torch.randn(60, 20)), read)
    read.save(tmp_path / "reading.pt")
    again = Reading.load(tmp_path / "reading.pt")
    assert again.ids == read.ids and again.names == read.names
    again = Reading(again.ids, again.states, ["sections"] * 5 + ["code"] * 5)
    for prose, (packed, found) in zip((True, False), Table(model, again, target, torch.randn(60, 20), {"tableBatch": 4, "seed": 1}).batch(0), strict=True):
        count = 4 if prose else 3
        rows = [packed.ids[packed.sequence == number].tolist() for number in range(2 * count)]
        places = [read.ids.index(row) for row in rows]
        assert [place + 1 for place in places[:count]] == places[count:] and all(place % 2 == 0 and (place < 10) == prose for place in places[:count])
        torch.testing.assert_close(found, target[places])


def test_texts_follow_similarities_among_all_of_a_batch_and_not_with_themselves():
    vectors = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 2.0]])
    scores = among(vectors, 2)
    expected = 20 * torch.tensor([[0, 0.6, 0], [0.6, 0, 0.8], [0, 0.8, 0]])
    torch.testing.assert_close(scores.masked_fill(torch.eye(3, dtype=torch.bool), 0), expected)
    assert scores.diagonal().max() < -1000
    assert follow(scores, scores).item() == pytest.approx(0, abs=1e-6)
    shares = [math.exp(12) / (math.exp(12) + 1), 1 / (math.exp(12) + 1)]
    other = torch.tensor([[-1e4, 0.0, 0.0]] * 3)
    first = sum(share * math.log(share / 0.5) for share in shares)
    assert follow(other[:1], scores[:1]).item() == pytest.approx(first, rel=1e-4)


def test_bags_hold_what_they_are_asked_for_in_any_order():
    tokenizer = Tokenizer(models.WordPiece({token: place for place, token in enumerate(["[UNK]", "read", "line", "##ing", "1999", "a", "!", "café"])}, unk_token="[UNK]"))
    bags = bags_of(tokenizer, 40, 2)
    words = {word for bag in bags for word in bag["text"].split()}
    assert words == {"read", "line", "1999", "reading", "lineing", "1999ing"}
    for bag in bags:
        assert 1 <= len(bag["title"].split()) <= 4 <= len(bag["text"].split()) <= 16
        assert not Counter(bag["title"].split()) - Counter(bag["text"].split())


@pytest.mark.parametrize("count", [1, 7, 24, 61])
def test_rows_that_are_alike_stand_together_and_copies_do_not(count):
    generator = torch.Generator().manual_seed(count)
    centres = F.normalize(torch.randn(count, 32, generator=generator), dim=-1)
    vectors = F.normalize(torch.cat([centres, centres + 0.1 * torch.randn(count, 32, generator=generator)]), dim=-1)
    found = grouped(vectors, 2, 3, 0).tolist()
    assert sorted(found) == list(range(2 * count))
    assert found != grouped(vectors, 2, 3, 1).tolist() or count == 1
    together = [abs(found[place] - found[place + 1]) == count for place in range(0, 2 * count, 2)]
    assert sum(together) >= 0.7 * count
    copies = grouped(torch.cat([centres, centres]), 2, 3, 0).tolist()
    assert sorted(copies) == list(range(2 * count))
    assert not any(abs(copies[place] - copies[place + 1]) == count for place in range(0, 2 * count - 1, 2)) or count == 1


def test_token_distances_teach_the_exits_between_and_are_zero_where_each_token_has_the_last_exits_vector():
    model, read = reading(6)
    batch = Packed.of(read.ids)
    states, start_vectors = model.states(batch), model.static(batch).detach()
    gradients = torch.autograd.grad(token_distance(model, batch, states, start_vectors), [model.exits["2"].weight, model.exits["4"].weight], allow_unused=True)
    assert gradients[0] is not None and gradients[1] is None
    with torch.no_grad():
        model.exits["2"].load_state_dict(model.exits["4"].state_dict())
        model.shares.copy_(torch.tensor([0.0, 0.3, 0.3]))
    same = [states[0], states[1], states[4], states[3], states[4]]
    assert token_distance(model, batch, same, start_vectors).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("prose", [False, True])
def test_the_target_teaches_all_exits_of_prose_and_all_but_the_last_of_code(prose):
    generator = torch.Generator().manual_seed(6)
    found = {exit: torch.randn(8, width, generator=generator, requires_grad=True) for exit, width in ((0, 16), (2, 16), (4, 16))}
    target = torch.randn(8, 16, generator=generator)
    parts = losses(found, target, 4, prose)
    taught = parts["relations"] + parts["vectors"]
    gradients = torch.autograd.grad(taught, list(found.values()), allow_unused=True)
    assert [gradient is not None for gradient in gradients] == [True, True, prose]
    perfect = {exit: target[:, : vectors.shape[1]].clone() for exit, vectors in found.items()}
    assert losses(perfect, target, 16, prose)["vectors"] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("parseHeader", "parse Header"), ("parseHTTPHeader", "parse HTTP Header"), ("read2Bytes", "read2 Bytes"), ("snake_case URL", "snake_case URL"), ("", "")],
)
def test_names_are_split_where_a_word_begins(name, expected):
    assert split_names(name) == expected


def test_weights_go_a_share_of_the_way():
    before, after = {"a": torch.tensor([1.0, 2.0])}, {"a": torch.tensor([3.0, 0.0])}
    assert between(before, after, 0.25)["a"].tolist() == [1.5, 1.5]
    assert between(before, after, 0)["a"].tolist() == [1, 2] and between(before, after, 1)["a"].tolist() == [3, 0]
