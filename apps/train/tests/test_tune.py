"""Tuning: only the assistant's tokens are learnt, padding changes nothing, long records are left out."""

import numpy
import pytest
import torch

import tokenizer as tokens
from moe import LanguageModel, Shape
from trainer import Schedule, Trainer
from tune import Tuning, alike, frame

SHAPE = Shape.of({"hidden": 16, "layers": 1, "context": 60, "attention": {"size": 8, "heads": 2, "experts": 2, "top": 1},
                  "feedforward": {"size": 8, "experts": 2, "top": 1}, "gate": 4})  # fmt: skip


def record(question, said):
    return {"messages": [{"role": role, "content": text} for role, text in (("system", "Be brief."), ("user", question), ("assistant", said))]}


def toy():
    torch.manual_seed(3)
    return LanguageModel(SHAPE)


def test_the_frame_is_the_one_of_the_bundle_page():
    ids, wanted = frame(record("q", "s")["messages"], [[500], [600, 601], [700, 701]])
    mark = tokens.ID
    assert ids == [mark["system"], 500, mark["user"], 600, 601, mark["assistant"], 700, 701, mark["end"]]
    assert [number for number, learnt in zip(ids, wanted, strict=True) if learnt] == [700, 701, mark["end"]]


def test_the_loss_is_that_of_the_answers_alone_every_record_alike_and_padding_changes_nothing():
    task = Tuning(toy(), [record("sort", "sorted(list), which is a new list"), record("a longer question about files", "open")], 2, 1)
    loss, _, _ = task.loss(task.batch(0))
    losses = []
    for ids, wanted in task.framed:
        with torch.no_grad():
            logits = task.model.logits(task.model(torch.tensor([ids]))[0])[0].double()
        learnt = [place for place in range(1, len(ids)) if wanted[place]]
        losses.append(numpy.mean([(logits[place - 1].logsumexp(-1) - logits[place - 1, ids[place]]).item() for place in learnt]))
    assert len({sum(wanted) for _, wanted in task.framed}) == 2
    assert loss.item() == pytest.approx(float(numpy.mean(losses)), abs=1e-5)


def test_batches_hold_records_of_like_length_and_every_record_once():
    lengths = numpy.random.default_rng(1).integers(1, 1000, 1003).tolist()
    batches = alike(lengths, 8, 1, 0)
    assert sorted(batches.flatten().tolist()) == sorted(set(batches.flatten().tolist())) and batches.shape == (125, 8)
    padded = numpy.take(lengths, batches).max(1).sum() * 8
    assert padded < 1.15 * numpy.take(lengths, batches).sum()
    assert (alike(lengths, 8, 1, 0) == batches).all() and not (alike(lengths, 8, 1, 1) == batches).all()
    means = numpy.take(lengths, batches).mean(1)  # in no order of length
    assert abs(numpy.corrcoef(means, numpy.arange(len(means)))[0, 1]) < 0.3


def test_records_past_the_context_are_left_out():
    task = Tuning(toy(), [record("one", "two"), record("word " * 80, "two")], 1, 1)
    assert len(task.framed) == 1
    with pytest.raises(ValueError, match="no record fits into 60 tokens"):
        Tuning(toy(), [record("word " * 80, "two")], 1, 1)


def test_it_learns_what_is_said(tmp_path):
    task = Tuning(toy(), [record("one", "first"), record("two", "second")], 2, 1)
    before = task.loss(task.batch(0))[0].item()
    assert Trainer(task, Schedule(60, 0.01, warmup=5), tmp_path).run(minutes=1)
    assert task.loss(task.batch(0))[0].item() < before / 4
