"""The loop: exact resumption, data order, the schedule, packed batches."""

import json

import numpy
import pytest
import torch

from trainer import Packed, Schedule, Trainer, generator_at, order, pack


class Line:
    """Fits y = 3x, with a batch that belongs to its step."""

    def __init__(self):
        torch.manual_seed(4)
        self.model = torch.nn.Sequential(torch.nn.Linear(1, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))

    def batch(self, step):
        return torch.from_numpy(generator_at(7, step).random((16, 1), dtype=numpy.float32))

    def loss(self, batch):
        return (self.model(batch) - 3 * batch).square().mean(), {"half": 0.5}, len(batch)


def weights(task):
    return torch.cat([parameter.flatten() for parameter in task.model.parameters()])


def test_a_stopped_run_ends_where_an_unbroken_one_ends(tmp_path):
    whole = Line()
    assert Trainer(whole, Schedule(60, 0.01, warmup=5), tmp_path / "whole", report=10).run(minutes=1)
    for stop in (17, 40, 60):
        part = Line()
        trainer = Trainer(part, Schedule(60, 0.01, warmup=5), tmp_path / "parts", report=10)
        while trainer.step < stop:
            trainer._advance()
        trainer.save()
    assert torch.equal(weights(whole), weights(part))


def test_it_learns_and_logs(tmp_path):
    assert Trainer(Line(), Schedule(200, 0.02, warmup=10), tmp_path, report=50).run(minutes=1)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [50, 100, 150, 200]
    assert lines[-1]["loss"] < lines[0]["loss"] / 5
    assert lines[-1]["tokens"] == 200 * 16 and {"half", "gradient", "tokens_per_second", "rate"} <= lines[0].keys()


def test_no_minutes_no_steps(tmp_path):
    trainer = Trainer(Line(), Schedule(10, 0.01), tmp_path)
    assert not trainer.run(minutes=0) and trainer.step == 0


def test_a_loss_that_is_not_finite_keeps_the_checkpoint(tmp_path):
    task = Line()
    trainer = Trainer(task, Schedule(10, 0.01), tmp_path)
    trainer.save()
    task.loss = lambda batch: (task.model(batch).sum() * float("nan"), {}, 1)
    with pytest.raises(FloatingPointError):
        trainer.run(minutes=1)
    assert Trainer(Line(), Schedule(10, 0.01), tmp_path).step == 0


def test_bf16_keeps_fp32_weights(tmp_path):
    task = Line()
    Trainer(task, Schedule(5, 0.01), tmp_path, precision="bf16").run(minutes=1)
    assert all(parameter.dtype == torch.float32 for parameter in task.model.parameters())


def test_the_schedule():
    schedule = Schedule(steps=100, rate=1.0, warmup=10)
    assert schedule.at(0) == pytest.approx(0.1) and schedule.at(9) == 1.0 and schedule.at(10) == 1.0
    assert schedule.at(55) == pytest.approx(0.55) and schedule.at(100) == pytest.approx(0.1)


def test_order_is_a_permutation_of_its_seed_and_epoch():
    assert sorted(order(50, 1, 0)) == list(range(50))
    assert (order(50, 1, 0) == order(50, 1, 0)).all() and (order(50, 1, 0) != order(50, 1, 1)).any()


def test_batches_hold_every_sequence_once_and_few_tokens():
    lengths = numpy.random.default_rng(0).integers(1, 60, 500)
    batches = pack(lengths, 100, seed=1, epoch=0)
    assert sorted(numpy.concatenate(batches)) == list(range(500))
    assert all(lengths[batch].sum() <= 100 or len(batch) == 1 for batch in batches)
    assert sum(map(len, pack(numpy.array([200, 5]), 100, 1, 0))) == 2
    assert pack(numpy.array([], int), 100, 1, 0) == []


def test_packed_positions():
    packed = Packed.of([[5, 6], [7], [8, 9, 10]])
    assert packed.positions.tolist() == [0, 1, 0, 0, 1, 2] and packed.sequence.tolist() == [0, 0, 1, 2, 2, 2]
