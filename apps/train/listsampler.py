"""Draws answers from a dense generator in large batches, for the CodeChain experiment.

    python listsampler.py BUNDLE     reads a request a line, {"id", "prompt", "seed", "temperature", "maxTokens"}, and writes
                                     {"id", "text", "prompt", "completion", "finish"}: tokens of both, "stop" or "length"

Requests that came by the time the last batch ended are answered together. Those of equal prompts share its keys and values,
and samples share a row of the batch as long as they have drawn the same tokens, so that a row is computed once. What a
request gets depends on its own seed alone, up to the rounding of sums in batches of another size.
"""

import argparse
import json
import queue
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy
import tokenizers
import torch
import torch.nn.functional as F
from torch import Tensor

import bundle
import tokenizer as tokens
from export_generator import model_of
from moe import Attention, Feedforward, Generator


ROOM = 32  # tokens by which the cache of answers grows


@dataclass
class Request:
    id: str
    prompt: str
    seed: int
    temperature: float
    maxTokens: int
    ids: list[int] = field(default_factory=list)


def uniforms(seed: int, count: int) -> numpy.ndarray:
    """A request's own random numbers, one a token."""
    return numpy.random.Generator(numpy.random.Philox(seed)).random(count, numpy.float32)


def broken(scores: Tensor, seen: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    """Stick-breaking over keys that lie before a part whose breaks sum to `after` [..., queries]: the weights [..., queries,
    keys], and the sum of all breaks."""
    breaks = F.softplus(scores).masked_fill(~seen, 0)
    behind = breaks.flip(-1).cumsum(-1).flip(-1)
    return (scores - behind - after[..., None]).exp().masked_fill(~seen, 0), after + behind[..., 0]


class Batch:
    """Rows are different beginnings of answers: row r continues prompt `group[r]` and stands for some members (samples).

    Keys and values of prompts are [groups, heads, prompt tokens, size], of answers [rows, heads, room, size] with room for the
    tokens so far; rows in use lie together at the front, so that they are read where they lie.
    """

    def __init__(self, model: Generator, dtype: torch.dtype) -> None:
        self.model, self.dtype = model, dtype
        self.heads, self.size = model.shape.heads, model.shape.attention.size // model.shape.heads
        self.weights = {name: weight.to(dtype) for name, weight in model.named_parameters() if weight.dim() >= 2}

    def linear(self, x: Tensor, name: str, bias: Tensor | None = None) -> Tensor:
        y = F.linear(x.to(self.dtype), self.weights[name]).float()
        return y if bias is None else y + bias

    def queries(self, layer: int, part: Attention, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[…, tokens, hidden] → query, key and value, each […, heads, tokens, size]."""
        name = f"layers.{layer}.attention"
        u = part.norm(x)

        def cut(y: Tensor) -> Tensor:
            return y.unflatten(-1, (self.heads, self.size)).transpose(-2, -3)

        key, value = self.linear(u, f"{name}.key_value.weight", part.key_value.bias).chunk(2, -1)
        return cut(self.linear(u, f"{name}.query.weight")) / self.size**0.5, cut(key), cut(value)

    def feed(self, layer: int, part: Feedforward, x: Tensor) -> Tensor:
        name = f"layers.{layer}.feedforward"
        inner = F.gelu(self.linear(part.norm(x), f"{name}.input.weight"), approximate="tanh")
        return x + self.linear(inner, f"{name}.output.weight")

    def merge(self, layer: int, x: Tensor, found: Tensor) -> Tensor:
        """Adds what attention found, […, heads, tokens, size]."""
        joined = found.transpose(-2, -3).flatten(-2)
        return x + self.linear(joined, f"layers.{layer}.attention.output.weight")

    @torch.inference_mode()
    def read(self, prompts: list[list[int]]) -> Tensor:
        """Keeps keys and values of the prompts; gives the trunk after the last token of each: [groups, hidden]."""
        self.lengths = torch.tensor([len(ids) for ids in prompts])
        longest = int(self.lengths.max())
        padded = torch.zeros(len(prompts), longest, dtype=torch.long)
        for row, ids in enumerate(prompts):
            padded[row, : len(ids)] = torch.tensor(ids)
        seen = torch.ones(longest, longest, dtype=torch.bool).tril()
        x = self.model.embedding(padded)
        self.prompt_keys, self.prompt_values = [], []
        for number, layer in enumerate(self.model.layers):
            query, key, value = self.queries(number, layer.attention, x)
            weights, _ = broken(query @ key.transpose(-1, -2), seen, torch.zeros(query.shape[:-1]))
            x = self.merge(number, x, weights @ value)
            x = self.feed(number, layer.feedforward, x)
            self.prompt_keys.append(key.to(self.dtype))
            self.prompt_values.append(value.to(self.dtype))
        return x[torch.arange(len(prompts)), self.lengths - 1]

    @torch.inference_mode()
    def step(self, ids: Tensor, group: Tensor, at: int) -> Tensor:
        """The trunk after one more token of every row, of which `at` are kept already: ids and group [rows]."""
        x = self.model.embedding(ids)
        rows, groups = len(ids), len(self.lengths)
        place, width = places(group)
        seen = (torch.arange(self.prompt_keys[0].shape[2]) < self.lengths[:, None])[:, None, None]
        kept = torch.arange(self.room) <= at
        for number, layer in enumerate(self.model.layers):
            query, key, value = (part.squeeze(-2) for part in self.queries(number, layer.attention, x[:, None]))
            own_keys, own_values = self.own_keys[number][:rows], self.own_values[number][:rows]
            own_keys[:, :, at], own_values[:, :, at] = key.to(self.dtype), value.to(self.dtype)
            scores = (own_keys @ query.to(self.dtype)[..., None]).float()[..., 0]
            weights, breaks = broken(scores, kept, torch.zeros(rows, self.heads))
            found = (weights.to(self.dtype)[..., None, :] @ own_values).float()[..., 0, :]
            # the rows of one prompt read its keys together
            together = torch.zeros(groups, width, self.heads, self.size, dtype=self.dtype)
            together[group, place] = query.to(self.dtype)
            after = torch.zeros(groups, width, self.heads)
            after[group, place] = breaks
            scores = (together.transpose(1, 2) @ self.prompt_keys[number].transpose(-1, -2)).float()
            weights, _ = broken(scores, seen, after.transpose(1, 2))
            shared = (weights.to(self.dtype) @ self.prompt_values[number]).float().transpose(1, 2)[group, place]
            x = self.merge(number, x[:, None], (found + shared)[..., None, :])[:, 0]
            x = self.feed(number, layer.feedforward, x)
        return x

    def make_room(self, rows: int, at: int) -> None:
        """Room for `rows` rows of more than `at` tokens; what is kept stays."""
        if at < self.room and rows <= len(self.own_keys[0]):
            return
        room = self.room if at < self.room else self.room + ROOM
        rows = max(rows * 2, len(self.own_keys[0])) if rows > len(self.own_keys[0]) else len(self.own_keys[0])
        for caches in (self.own_keys, self.own_values):
            for number, old in enumerate(caches):
                caches[number] = torch.zeros(rows, self.heads, room, self.size, dtype=self.dtype)
                caches[number][: len(old), :, : self.room] = old
        self.room = room

    def logits(self, x: Tensor) -> Tensor:
        return self.linear(self.model.norm(x), "embedding.weight")

    @torch.inference_mode()
    def answer(self, requests: list[Request], allowed: Tensor) -> list[tuple[list[int], str]]:
        """The tokens of each request's answer, and why it ended."""
        prompts = list({tuple(request.ids): None for request in requests})
        number = {ids: group for group, ids in enumerate(prompts)}
        most = max(request.maxTokens for request in requests)
        members = numpy.arange(len(requests))
        random = numpy.stack([uniforms(request.seed, most) for request in requests])
        heat = torch.tensor([request.temperature for request in requests], dtype=torch.float32)
        row_of = numpy.array([number[tuple(request.ids)] for request in requests])
        group = torch.arange(len(prompts))
        x = self.read([list(ids) for ids in prompts])
        self.room = ROOM
        empty = torch.zeros(0, self.heads, ROOM, self.size, dtype=self.dtype)
        self.own_keys, self.own_values = [empty] * len(self.model.layers), [empty] * len(self.model.layers)
        drawn: list[list[int]] = [[] for _ in requests]
        reasons = ["length"] * len(requests)
        for at in range(most):
            logits = self.logits(x).masked_fill(~allowed, -torch.inf)
            chances = (logits[row_of] / heat[members].clamp_min(1e-6)[:, None]).softmax(-1)
            ends = chances.cumsum(-1)
            point = torch.from_numpy(random[members, at])[:, None] * ends[:, -1:]
            token = torch.searchsorted(ends, point, right=True)[:, 0].clamp_max(allowed.shape[0] - 1).numpy()
            goes_on = numpy.ones(len(members), bool)
            for place, (member, one) in enumerate(zip(members.tolist(), token.tolist(), strict=True)):
                if one == tokens.ID["end"]:
                    reasons[member], goes_on[place] = "stop", False
                else:
                    drawn[member].append(one)
                    goes_on[place] = len(drawn[member]) < requests[member].maxTokens
            members, token, row_of = members[goes_on], token[goes_on], row_of[goes_on]
            if len(members) == 0:
                break
            row_of, parents, ids = self.part(row_of, token, at)
            group = group[parents]
            x = self.step(ids, group, at)
        return list(zip(drawn, reasons, strict=True))

    def part(self, row_of: numpy.ndarray, token: numpy.ndarray, at: int) -> tuple[numpy.ndarray, Tensor, Tensor]:
        """Rows for every different (row, token): the row of each member, and of each new row its parent and its token.

        A row's first continuation stays where the row was; others, and those beyond the new number of rows, move to where
        no row goes on.
        """
        pairs, inverse = numpy.unique(row_of * self.model.shape.vocabulary + token, return_inverse=True)
        parents, ids = numpy.divmod(pairs, self.model.shape.vocabulary)
        count = len(pairs)
        slot = numpy.full(count, -1)
        first = numpy.unique(parents, return_index=True)[1]
        slot[first] = numpy.where(parents[first] < count, parents[first], -1)
        slot[slot < 0] = numpy.setdiff1d(numpy.arange(count), slot)
        self.make_room(count, at)
        moved = slot != parents
        if at > 0 and moved.any():
            to, source = torch.from_numpy(slot[moved]), torch.from_numpy(parents[moved])
            for kept in (*self.own_keys, *self.own_values):
                kept[to] = kept[source]
        order = slot.argsort()
        return slot[inverse], torch.from_numpy(parents[order]), torch.from_numpy(ids[order])


def places(group: Tensor) -> tuple[Tensor, int]:
    """The number of each row within its group, and the size of the largest group."""
    counts = group.bincount()
    order = group.argsort(stable=True)
    place = torch.empty_like(group)
    place[order] = torch.arange(len(group)) - (counts.cumsum(0) - counts)[group[order]]
    return place, int(counts.max())


class Sampler:
    def __init__(self, model: Generator, tokenizer: tokenizers.Tokenizer, dtype: torch.dtype = torch.bfloat16, size: int = 768) -> None:
        self.model, self.tokenizer, self.dtype, self.size = model, tokenizer, dtype, size
        ids = torch.arange(model.shape.vocabulary)
        self.allowed = (ids >= len(tokens.RESERVED)) | (ids == tokens.ID["end"])

    def answers(self, requests: list[Request]) -> Iterator[dict]:
        """Answers in batches of about `size` requests, shorter prompts first."""
        for request, ids in zip(requests, tokens.encode(self.tokenizer, [request.prompt for request in requests]), strict=True):
            room = self.model.shape.context - request.maxTokens - 2
            request.ids = [tokens.ID["user"], *ids[:room], tokens.ID["assistant"]]
        rest = sorted(requests, key=lambda request: (len(request.ids), request.ids, request.temperature))
        while rest:
            taken, rest = rest[: self.size], rest[self.size :]
            found = Batch(self.model, self.dtype).answer(taken, self.allowed)
            texts = self.tokenizer.decode_batch([ids for ids, _ in found])
            for request, (ids, finish), text in zip(taken, found, texts, strict=True):
                yield {"id": request.id, "text": text, "prompt": len(request.ids), "completion": len(ids) + (finish == "stop"), "finish": finish}


def waiting(lines: "queue.Queue[str | None]") -> Iterator[list[Request]]:
    """All requests that are there, as soon as none came for a tenth of a second."""
    ended = False
    while not ended:
        batch = [lines.get()]
        while batch[-1] is not None:
            try:
                batch.append(lines.get(timeout=0.1))
            except queue.Empty:
                break
        ended = batch[-1] is None
        requests = [Request(**json.loads(line)) for line in batch if line]
        if requests:
            yield requests


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    config, state = bundle.read(chosen.bundle)
    dtype = torch.bfloat16 if chosen.precision == "bf16" else torch.float32
    sampler = Sampler(model_of(config, state), tokens.load(chosen.bundle / "tokenizer.json"), dtype)
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line.strip())
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    for requests in waiting(lines):
        for answer in sampler.answers(requests):
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
