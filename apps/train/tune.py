"""Tunes a pretrained language model on the records of instruct.py: only what the assistant says is learnt, and every record weighs
alike, so that a judgement of one token counts as much as a function of a hundred.

    python tune.py RUN RECORDS --steps 400 --minutes 10     again until it has ended; then RUN/tuning is what is exported
"""

import argparse
import json
from pathlib import Path

import numpy
import torch
from torch import Tensor

import tokenizer as tokens
from moe import LanguageModel, load_run, next_token_loss
from trainer import Schedule, Task, Trainer, generator_at, order


def frame(messages: list[dict], encoded: list[list[int]]) -> tuple[list[int], list[bool]]:
    """(ids, which of them are to be learnt): each message after the mark of its role, what is said up to <end>."""
    ids, wanted = [], []
    for message, found in zip(messages, encoded, strict=True):
        said = message["role"] == "assistant"
        part = [tokens.ID[message["role"]], *found, *([tokens.ID["end"]] if said else [])]
        ids += part
        wanted += [False, *[said] * (len(part) - 1)]
    return ids, wanted


POOL = 16  # batches that are made of one draw


def alike(lengths: list[int], size: int, seed: int, epoch: int) -> numpy.ndarray:
    """[batches, size]: places in a permutation of the epoch, records of like length together, so that little is padded."""
    places = order(len(lengths), seed, epoch)[: len(lengths) // size * size]
    pools = numpy.split(places, range(POOL * size, len(places), POOL * size))
    batches = numpy.concatenate([pool[numpy.argsort(numpy.take(lengths, pool), kind="stable")] for pool in pools]).reshape(-1, size)
    return batches[generator_at(seed, epoch).permutation(len(batches))]


class Tuning(Task):
    """Records in a permutation of each epoch, `batch` at a time, padded at their end; those past the context are left out."""

    def __init__(self, model: LanguageModel, records: list[dict], batch: int, seed: int) -> None:
        self.model, self.seed = model, seed
        texts = [message["content"] for record in records for message in record["messages"]]
        encoded = iter(tokens.encode(tokens.load(), texts))
        framed = [frame(record["messages"], [next(encoded) for _ in record["messages"]]) for record in records]
        self.framed = [(ids, wanted) for ids, wanted in framed if len(ids) <= model.shape.context]
        if not self.framed:
            raise ValueError(f"no record fits into {model.shape.context} tokens")
        self.size = min(batch, len(self.framed))
        self.epoch, self.batches = -1, numpy.empty((0, 0), int)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        epoch, place = divmod(step, len(self.framed) // self.size)
        if epoch != self.epoch:
            self.epoch, self.batches = epoch, alike([len(ids) for ids, _ in self.framed], self.size, self.seed, epoch)
        rows = [self.framed[number] for number in self.batches[place]]
        length = max(len(ids) for ids, _ in rows)
        ids = numpy.full((len(rows), length), tokens.ID["pad"], numpy.int64)
        weights = numpy.zeros((len(rows), length), numpy.float32)
        for row, (found, learnt) in enumerate(rows):
            ids[row, : len(found)], weights[row, : len(found)] = found, numpy.divide(learnt, sum(learnt))
        device = self.model.embedding.weight.device
        return torch.from_numpy(ids).to(device), torch.from_numpy(weights).to(device)

    def loss(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, dict[str, float], int]:
        ids, weights = batch
        loss, _ = next_token_loss(self.model, ids, weights)
        return loss, {"learnt": float((weights != 0).sum())}, ids.numel()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("records", type=Path, help="a .jsonl file of instruct.py")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    chosen = parser.parse_args()
    model = load_run(chosen.run)[0].to(chosen.device)
    with open(chosen.records) as lines:
        task = Tuning(model, [json.loads(line) for line in lines], chosen.batch, chosen.seed)
    schedule = Schedule(chosen.steps, chosen.rate, warmup=max(1, chosen.steps // 20), betas=(0.9, 0.95))
    ended = Trainer(task, schedule, chosen.run / "tuning", chosen.precision, chosen.device).run(chosen.minutes)
    print("the tuning has ended" if ended else "stopped by --minutes: the same command goes on")


if __name__ == "__main__":
    main()
