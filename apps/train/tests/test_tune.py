"""Tuning: only the assistant's tokens are learnt, padding changes nothing, long records are left out."""

import numpy
import pytest
import torch

import tokenizer as tokens
from moe import Generator, Shape
from trainer import Schedule, Trainer
from tune import Tuning, frame

SHAPE = Shape.of({"hidden": 16, "layers": 1, "context": 60, "attention": {"size": 8, "heads": 2, "experts": 2, "top": 1},
                  "feedforward": {"size": 8, "experts": 2, "top": 1}, "gate": 4})  # fmt: skip


def record(question, said):
    return {"messages": [{"role": role, "content": text} for role, text in (("system", "Be brief."), ("user", question), ("assistant", said))]}


def toy():
    torch.manual_seed(3)
    return Generator(SHAPE)


def test_the_frame_is_the_one_of_the_bundle_page():
    ids, wanted = frame(record("q", "s")["messages"], [[500], [600, 601], [700, 701]])
    mark = tokens.ID
    assert ids == [mark["system"], 500, mark["user"], 600, 601, mark["assistant"], 700, 701, mark["end"]]
    assert [number for number, learnt in zip(ids, wanted, strict=True) if learnt] == [700, 701, mark["end"]]


def test_the_loss_is_that_of_the_answers_alone_and_padding_changes_nothing():
    task = Tuning(toy(), [record("sort", "sorted(list)"), record("a longer question about files", "open")], 2, 1)
    loss, _, _ = task.loss(task.batch(0))
    losses = []
    for ids, wanted in task.framed:
        with torch.no_grad():
            logits = task.model.logits(task.model(torch.tensor([ids]))[0])[0].double()
        losses += [(logits[place - 1].logsumexp(-1) - logits[place - 1, ids[place]]).item() for place in range(1, len(ids)) if wanted[place]]
    assert loss.item() == pytest.approx(float(numpy.mean(losses)), abs=1e-5)


def test_records_past_the_context_are_left_out():
    task = Tuning(toy(), [record("one", "two"), record("word " * 80, "two")], 1, 1)
    assert len(task.framed) == 1


def test_it_learns_what_is_said(tmp_path):
    task = Tuning(toy(), [record("one", "first"), record("two", "second")], 2, 1)
    before = task.loss(task.batch(0))[0].item()
    assert Trainer(task, Schedule(60, 0.01, warmup=5), tmp_path).run(minutes=1)
    assert task.loss(task.batch(0))[0].item() < before / 4
