"""The training loop of every model here: resumable, deterministic in its data, and measured.

A task gives a model, a batch for every step and a loss. The batch of a step depends on the step and the seed alone, so a
run that was stopped after any step goes on exactly where it was. A run lasts at most a given number of minutes; the same
command again continues it.
"""

import contextlib
import json
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy
import torch


class Task(Protocol):
    model: torch.nn.Module

    def batch(self, step: int) -> Any:
        """The batch of a step: a function of the step and of the task's seed alone."""

    def loss(self, batch: Any) -> tuple[torch.Tensor, dict[str, float], int]:
        """(loss, figures to log, tokens in the batch)."""

    def rate(self, name: str) -> float:
        """By how much a parameter's learning rate differs from the schedule's."""
        return 1.0


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up to `rate`, then a cosine down to a tenth of it. AdamW with decoupled decay of matrices only."""

    steps: int
    rate: float
    warmup: int = 100
    decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.98)
    clip: float = 1.0

    def at(self, step: int) -> float:
        if step < self.warmup:
            return self.rate * (step + 1) / self.warmup
        progress = min(1.0, (step - self.warmup) / max(1, self.steps - self.warmup))
        return self.rate * (0.1 + 0.45 * (1 + math.cos(math.pi * progress)))


def order(count: int, seed: int, epoch: int) -> numpy.ndarray:
    """A permutation of 0 … count − 1 that belongs to (seed, epoch)."""
    return numpy.random.default_rng((seed, epoch)).permutation(count)


def generator_at(seed: int, step: int) -> numpy.random.Generator:
    """Randomness that belongs to (seed, step), whatever ran before."""
    return numpy.random.default_rng((seed, 1_000_003, step))


@dataclass(frozen=True)
class Packed:
    """Token-packed sequences, no padding: ids [tokens], offsets [sequences + 1], positions and sequence of each token."""

    ids: torch.Tensor
    offsets: torch.Tensor

    @staticmethod
    def of(sequences: list[list[int]], device: torch.device | str = "cpu") -> "Packed":
        lengths = numpy.fromiter(map(len, sequences), numpy.int64, len(sequences))
        ids = numpy.concatenate([numpy.asarray(sequence, numpy.int64) for sequence in sequences])
        offsets = numpy.concatenate([[0], numpy.cumsum(lengths)])
        return Packed(torch.from_numpy(ids).to(device), torch.from_numpy(offsets).to(device))

    @property
    def lengths(self) -> torch.Tensor:
        return self.offsets[1:] - self.offsets[:-1]

    @property
    def sequence(self) -> torch.Tensor:
        return torch.repeat_interleave(torch.arange(len(self.offsets) - 1, device=self.ids.device), self.lengths)

    @property
    def positions(self) -> torch.Tensor:
        return torch.arange(len(self.ids), device=self.ids.device) - self.offsets[:-1][self.sequence]


def pack(lengths: numpy.ndarray, tokens: int, seed: int, epoch: int) -> list[numpy.ndarray]:
    """Cuts an epoch's permutation into batches of at most `tokens` tokens (a longer sequence is a batch of its own)."""
    batches, start, total = [], 0, 0
    places = order(len(lengths), seed, epoch)
    for end, place in enumerate(places):
        if total and total + lengths[place] > tokens:
            batches.append(places[start:end])
            start, total = end, 0
        total += lengths[place]
    return [*batches, places[start:]] if start < len(places) else batches


class Trainer:
    """Runs a task in `folder`: checkpoint.pt (the latest), log.jsonl (one line a report).

    precision: "bf16" or "fp32"; under bf16 the weights and the optimiser stay fp32.
    """

    def __init__(
        self, task: Task, schedule: Schedule, folder: Path, precision: str = "fp32", device: str = "cpu", report: int = 20
    ) -> None:
        self.task, self.schedule, self.folder = task, schedule, folder
        self.precision, self.device, self.report = precision, device, report
        self.model = task.model.to(device)
        groups: dict[tuple[bool, float], list[torch.nn.Parameter]] = {}
        rate = getattr(task, "rate", lambda name: 1.0)
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad:
                groups.setdefault((parameter.dim() >= 2, rate(name)), []).append(parameter)
        self.optimiser = torch.optim.AdamW(
            [{"params": found, "weight_decay": schedule.decay * matrix, "scale": scale} for (matrix, scale), found in sorted(groups.items(), reverse=True)],
            lr=schedule.rate, betas=schedule.betas, fused=True,
        )  # fmt: skip
        self.step = 0
        self.tokens = 0
        self.seconds = 0.0
        folder.mkdir(parents=True, exist_ok=True)
        self.checkpoint = folder / "checkpoint.pt"
        if self.checkpoint.exists():
            self._restore()

    def _restore(self) -> None:
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.tokens, self.seconds = state["step"], state["tokens"], state["seconds"]

    def save(self) -> None:
        """Replaces the checkpoint in one move, so that a kill at any time leaves a whole one."""
        state = {
            "model": self.model.state_dict(), "optimiser": self.optimiser.state_dict(),
            "step": self.step, "tokens": self.tokens, "seconds": self.seconds,
        }  # fmt: skip
        fresh = self.checkpoint.with_suffix(".writing")
        torch.save(state, fresh)
        os.replace(fresh, self.checkpoint)

    def run(self, minutes: float, save_every: float = 120.0) -> bool:
        """Trains until the schedule ends or the minutes are over; returns whether the schedule has ended."""
        started = saved = time.monotonic()
        window: list[tuple[dict[str, float], int, float]] = []
        while self.step < self.schedule.steps and time.monotonic() - started < minutes * 60:
            window.append(self._advance())
            if self.step % self.report == 0 or self.step == self.schedule.steps:
                self._log(window)
                window = []
            if time.monotonic() - saved > save_every:
                self.save()
                saved = time.monotonic()
        self.save()
        return self.step >= self.schedule.steps

    def _advance(self) -> tuple[dict[str, float], int, float]:
        begun = time.monotonic()
        for group in self.optimiser.param_groups:
            group["lr"] = self.schedule.at(self.step) * group.get("scale", 1.0)
        self.model.train()
        mixed = torch.autocast(self.device, torch.bfloat16) if self.precision == "bf16" else contextlib.nullcontext()
        with mixed:
            loss, figures, tokens = self.task.loss(self.task.batch(self.step))
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss of step {self.step} is {loss.item()}; the last checkpoint is kept")
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.schedule.clip)
        self.optimiser.step()
        spent = time.monotonic() - begun
        self.step += 1
        self.tokens += tokens
        self.seconds += spent
        return {"loss": loss.item(), "gradient": norm.item(), **figures}, tokens, spent

    def _log(self, window: list[tuple[dict[str, float], int, float]]) -> None:
        names = window[0][0].keys()
        figures = {name: sum(entry[name] for entry, _, _ in window) / len(window) for name in names}
        speed = sum(tokens for _, tokens, _ in window) / sum(seconds for _, _, seconds in window)
        line = {
            "step": self.step, "tokens": self.tokens, "seconds": round(self.seconds, 1), "rate": self.schedule.at(self.step - 1),
            "tokens_per_second": round(speed), **{name: round(value, 5) for name, value in figures.items()},
        }  # fmt: skip
        with open(self.folder / "log.jsonl", "a") as file:
            file.write(json.dumps(line) + "\n")
        shown = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
        print(f"step {self.step}/{self.schedule.steps}  {shown}  {speed:,.0f} tokens/s", flush=True)
