"""The experiment on tuning: what is held out, how arms are paired, and that nothing is measured twice."""

import json

import numpy
import torch

import emoe_tuning
import moe
from emoe_tuning import Classifier, Settings, Utterances, compare
from moe import LanguageModel, Shape

SHAPE = Shape.of({"vocabulary": 384, "hidden": 24, "layers": 2, "context": 128, "attention": {"size": 16, "heads": 2}, "feedforward": {"size": 32}})
SMALL = Settings(intents=3, examples=4, validation=2, epochs=1, batch=4, layers=(1,), experts=8, top=2)


def rows():
    shapes = ("please {} it now", "i want to {} the thing", "could you {} for me", "help me {} today friend")
    return [[shapes[number % 4].format(f"{verb}{number}"), verb] for verb in ("open", "close", "move", "send") for number in range(20)]


def base():
    torch.manual_seed(3)
    return LanguageModel(SHAPE).eval()


def test_a_phrasing_is_held_out_whole():
    known, shifted = emoe_tuning.split(rows(), 3)
    assert len(known) == len(shifted) == 3
    for kept, out in zip(known, shifted, strict=True):
        assert len(kept) + len(out) == 20 and not set(kept) & set(out)
        assert len({text.split()[0] for text in out}) == 1  # one of the four shapes
        assert {text.split()[0] for text in out}.isdisjoint(text.split()[0] for text in kept)


def test_a_text_is_classified_alike_in_any_batch():
    torch.manual_seed(1)
    model = Classifier(base(), 5).eval()
    rows = [[6, 200, 210, 66], [6, 130, 66], [6, *range(128, 190), 66]]
    with torch.no_grad():
        together = model(rows)
        alone = torch.cat([model([row]) for row in rows])
    assert torch.allclose(together, alone, atol=1e-5)


def test_an_epoch_uses_each_text_once_at_most_and_pads_little():
    lengths = numpy.random.default_rng(4).integers(3, 90, 130).tolist()
    data = Utterances([[6] * length for length in lengths], [0] * 130)
    drawn = emoe_tuning.batches(data, 16, numpy.random.default_rng(1))
    epoch = [next(drawn) for _ in range(130 // 16)]
    places = [place for batch in epoch for place in batch]
    assert len(places) == len(set(places)) == 128
    padded = sum(16 * max(lengths[place] for place in batch) for batch in epoch)
    assert padded < 1.3 * sum(lengths[place] for place in places)  # it is 1.8 where batches are drawn


def test_accuracy_counts():
    model = Classifier(base(), 2).eval()
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.copy_(torch.tensor([1.0, 0.0]))
    assert emoe_tuning.accuracy(model, Utterances([[6, 130 + n, 66] for n in range(8)], [0, 0, 0, 1, 0, 1, 0, 0])) == 75.0


def test_differences_are_paired_by_seed():
    noise = numpy.random.default_rng(0).normal(0, 5, 16)
    lines = [{"arm": arm, "seed": seed + 1, "inside": 60 + noise[seed] + more} for arm, more in (("dense", 0), ("emoe", 0.2)) for seed in range(16)]
    found = compare([*lines, {"arm": "emoe", "seed": 101, "inside": 0}], "emoe", "dense", "inside")
    assert found["difference"] == found["low"] == found["high"] == 0.2 and found["equivalent"] and found["seeds"] == 16
    far = [line | {"inside": line["inside"] + line["seed"] % 2} if line["arm"] == "emoe" else line for line in lines]
    assert not compare(far, "emoe", "dense", "inside")["equivalent"]


def test_every_arm_is_measured_once(tmp_path):
    (tmp_path / "train-val.json").write_text(json.dumps({"train": rows(), "val": []}))
    for seeds in (1, 2):
        emoe_tuning.run(base(), tmp_path / "out", seeds, SMALL, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "out" / "emoe-tuning.jsonl").read_text().splitlines()]
    keys = [(line["arm"], line["seed"], line["rate"]) for line in lines]
    assert len(keys) == len(set(keys)) == 2 * 2 * 3 + 2 * 7
    dense = [line for line in lines if line["arm"] == "dense" and line["seed"] < 3]
    assert len({line["rate"] for line in dense}) == 1  # chosen once, on the dense arm


def test_the_stream_of_bytes_holds_every_byte():
    assert moe.spell(["a\u00e9"]) == [[128 + 97, 128 + 0xC3, 128 + 0xA9]]
    assert moe.read_size("mixture-bytes")["shape"]["vocabulary"] == 128 + 256
