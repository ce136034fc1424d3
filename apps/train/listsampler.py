"""Draws answers from a dense language model in large batches, for the CodeChain experiment.

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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy
import tokenizers
import torch
import torch.nn.functional as F
from torch import Tensor

import bundle
import tokenizer as tokens
from export_language_model import model_of
from moe import Attention, Feedforward, LanguageModel, Shape


READ = 8  # prompts that are read together: what lies between two layers stays in the processor's cache
SHARED = 24  # tokens that a beginning has at least, so that it is read once


@dataclass
class Request:
    id: str
    prompt: str
    seed: int
    temperature: float
    maxTokens: int
    ids: tuple[int, ...] = ()
    shared: int = 0  # tokens at its beginning that other prompts have as well


def uniforms(seed: int, count: int) -> numpy.ndarray:
    """A request's own random numbers, one a token."""
    return numpy.random.Generator(numpy.random.Philox(seed)).random(count, numpy.float32)


def broken(scores: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    """Stick-breaking over keys that lie before a part whose breaks sum to `after` [..., queries]: the weights [..., queries,
    keys], in the place of the scores, and the sum of all breaks. The score of a key that is not seen is −∞."""
    breaks = F.softplus(scores)
    sums = breaks.cumsum(-1)
    after = after + sums[..., -1]
    return scores.sub_(breaks).add_(sums).sub_(after[..., None]).exp_(), after


class Texts:
    """Keys and values of texts that others go on from, [layers, texts, heads, tokens, size], with padding behind each."""

    def __init__(self, lengths: list[int], shape: Shape, dtype: torch.dtype) -> None:
        self.longest = max(lengths)
        behind = torch.arange(self.longest) >= torch.tensor(lengths)[:, None, None, None]
        self.unseen = torch.zeros(behind.shape).masked_fill_(behind, -torch.inf)
        self.heads, self.size = shape.heads, shape.attention.size // shape.heads
        kept = (shape.layers, len(lengths), self.heads, self.longest, self.size)
        self.keys, self.values = torch.zeros(kept, dtype=dtype), torch.zeros(kept, dtype=dtype)

    def only(self, texts: Tensor) -> None:
        """Drops all others."""
        self.unseen, self.keys, self.values = self.unseen[texts], self.keys[:, texts], self.values[:, texts]

    def seen_by(self, layer: int, query: Tensor, text: "Places", after: Tensor) -> tuple[Tensor, Tensor]:
        """What rows find in the text of each, and the sum of breaks behind: query [rows, heads, size], after [rows, heads]."""
        together = torch.zeros(len(self.unseen), self.heads, text.width, self.size, dtype=query.dtype)
        together[text.of, :, text.place] = query
        behind = torch.zeros(together.shape[:-1])
        behind[text.of, :, text.place] = after
        scores = (together @ self.keys[layer].transpose(-1, -2)).float().add_(self.unseen)
        weights, behind = broken(scores, behind)
        found = weights.to(query.dtype) @ self.values[layer]
        return found[text.of, :, text.place], behind[text.of, :, text.place]


class Places:
    """The text `of` each row: those of one text read it together, each at its place among them, at most `width` of them."""

    def __init__(self, of: Tensor) -> None:
        self.of = of
        counts = of.bincount()
        order = of.argsort(stable=True)
        self.place = torch.empty_like(of)
        self.place[order] = torch.arange(len(of)) - (counts.cumsum(0) - counts)[of[order]]
        self.width = int(counts.max())


class Batch:
    """Rows are different beginnings of answers: row r continues prompt `group[r]` and stands for some members (samples).

    A prompt is a beginning that it may share with others, and a rest. Keys and values of answers are [layers, rows, heads,
    room, size] with room for every request; rows in use lie together at the front, so that they are read where they lie.
    """

    def __init__(self, model: LanguageModel, dtype: torch.dtype) -> None:
        self.model, self.dtype = model, dtype
        self.heads, self.size = model.shape.heads, model.shape.attention.size // model.shape.heads
        self.weights = {name: weight.to(dtype) for name, weight in model.named_parameters() if weight.dim() >= 2}

    def linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x.to(self.dtype), self.weights[name])

    def queries(self, layer: int, part: Attention, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[…, tokens, hidden] → query, key and value, each […, heads, tokens, size]."""
        name = f"layers.{layer}.attention"
        u = part.norm(x).to(self.dtype)

        def cut(y: Tensor) -> Tensor:
            return y.unflatten(-1, (self.heads, self.size)).transpose(-2, -3)

        key, value = (self.linear(u, f"{name}.key_value.weight").float() + part.key_value.bias).to(self.dtype).chunk(2, -1)
        return cut(self.linear(u, f"{name}.query.weight") / self.size**0.5), cut(key), cut(value)

    def feed(self, layer: int, part: Feedforward, x: Tensor) -> Tensor:
        name = f"layers.{layer}.feedforward"
        inner = F.gelu(self.linear(part.norm(x), f"{name}.input.weight"), approximate="tanh")
        return x + self.linear(inner, f"{name}.output.weight")

    def merge(self, layer: int, x: Tensor, found: Tensor) -> Tensor:
        """Adds what attention found, […, heads, tokens, size]."""
        joined = found.transpose(-2, -3).flatten(-2)
        return x + self.linear(joined, f"layers.{layer}.attention.output.weight")

    @torch.inference_mode()
    def read(self, prompts: list[tuple[tuple[int, ...], tuple[int, ...]]]) -> Tensor:
        """Reads prompts, each a beginning and a rest; gives the trunk after the last token of each: [groups, hidden]."""
        number = {beginning: text for text, beginning in enumerate(dict.fromkeys(beginning for beginning, _ in prompts))}
        self.beginning = torch.tensor([number[beginning] for beginning, _ in prompts])
        self.beginnings: Texts | None = None
        if any(number):
            self.beginnings, _ = self.read_texts(list(number))
        self.rests, ends = self.read_texts([rest for _, rest in prompts], self.beginning)
        return ends

    def read_texts(self, texts: list[tuple[int, ...]], beginning: Tensor | None = None) -> tuple[Texts, Tensor]:
        """Keys and values of texts, behind those that they go on from, and the trunk after the last token of each."""
        kept = Texts([len(ids) for ids in texts], self.model.shape, self.dtype)
        ends = torch.empty(len(texts), self.model.shape.hidden)
        for first in range(0, len(texts), READ):
            own = slice(first, first + READ)
            longest = max(1, *(len(ids) for ids in texts[own]))
            x = self.model.embedding(torch.tensor([[*ids, *[0] * (longest - len(ids))] for ids in texts[own]]))
            later = torch.full((longest, longest), -torch.inf).triu_(1)
            for number, layer in enumerate(self.model.layers):
                query, key, value = self.queries(number, layer.attention, x)
                kept.keys[number, own, :, :longest], kept.values[number, own, :, :longest] = key, value
                weights, breaks = broken((query @ key.transpose(-1, -2)).float().add_(later), torch.zeros(query.shape[:-1]))
                found = weights.to(self.dtype) @ value
                if self.beginnings is not None:
                    before, text = self.beginnings, beginning[own]
                    scores = (query @ before.keys[number, text].transpose(-1, -2)).float().add_(before.unseen[text])
                    weights, _ = broken(scores, breaks)
                    found = found + weights.to(self.dtype) @ before.values[number, text]
                x = self.feed(number, layer.feedforward, self.merge(number, x, found))
            ends[own] = x[torch.arange(len(x)), torch.tensor([len(ids) - 1 for ids in texts[own]])]
        return kept, ends

    @torch.inference_mode()
    def step(self, ids: Tensor, group: Tensor, at: int) -> Tensor:
        """The trunk after one more token of every row, of which `at` are kept already: ids and group [rows]."""
        x = self.model.embedding(ids)
        rows, rest = len(ids), Places(group)
        beginning = None if self.beginnings is None else Places(self.beginning[group])
        for number, layer in enumerate(self.model.layers):
            query, key, value = (part.squeeze(-2) for part in self.queries(number, layer.attention, x[:, None]))
            own_keys, own_values = (caches[number][:rows, :, : at + 1] for caches in (self.own_keys, self.own_values))
            own_keys[:, :, at], own_values[:, :, at] = key, value
            scores = (query[..., None, :] @ own_keys.transpose(-1, -2))[..., 0, :].float()
            weights, after = broken(scores, torch.zeros(rows, self.heads))
            found = (weights.to(self.dtype)[..., None, :] @ own_values)[..., 0, :]
            more, after = self.rests.seen_by(number, query, rest, after)
            found = found + more
            if beginning is not None:
                found = found + self.beginnings.seen_by(number, query, beginning, after)[0]
            x = self.merge(number, x[:, None], found[..., None, :])[:, 0]
            x = self.feed(number, layer.feedforward, x)
        return x

    def drop_ended(self, group: Tensor) -> Tensor:
        """Prompts whose answers have all ended are read no more, once they are a quarter; the groups by their new numbers."""
        live, inverse = group.unique(return_inverse=True)
        if len(live) > 0.75 * len(self.beginning):
            return group
        self.rests.only(live)
        self.beginning = self.beginning[live]
        return inverse

    def logits(self, x: Tensor) -> Tensor:
        return self.linear(self.model.norm(x), "embedding.weight").float()

    @torch.inference_mode()
    def answer(self, requests: list[Request], allowed: Tensor) -> list[tuple[list[int], str]]:
        """The tokens of each request's answer, and why it ended."""
        cut = [(request.ids[: request.shared], request.ids[request.shared :]) for request in requests]
        number = {prompt: group for group, prompt in enumerate(dict.fromkeys(cut))}
        most = max(request.maxTokens for request in requests)
        members = numpy.arange(len(requests))
        random = numpy.stack([uniforms(request.seed, most) for request in requests])
        heat = torch.tensor([request.temperature for request in requests], dtype=torch.float32)
        row_of = numpy.array([number[prompt] for prompt in cut])
        group = torch.arange(len(number))
        x = self.read(list(number))
        room = (len(self.model.layers), len(requests), self.heads, most, self.size)
        self.own_keys, self.own_values = torch.empty(room, dtype=self.dtype), torch.empty(room, dtype=self.dtype)
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
            group = self.drop_ended(group[parents])
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
        moved = slot != parents
        if at > 0 and moved.any():
            to, source = torch.from_numpy(slot[moved]), torch.from_numpy(parents[moved])
            for kept in (*self.own_keys, *self.own_values):
                kept[to, :, :at] = kept[source, :, :at]
        order = slot.argsort()
        return slot[inverse], torch.from_numpy(parents[order]), torch.from_numpy(ids[order])


def shared_lengths(prompts: Iterable[tuple[int, ...]]) -> dict[tuple[int, ...], int]:
    """How much of each prompt is a beginning that it shares: neighbours in the order of their tokens go on from what they have in
    common, where that is at least SHARED tokens. At least one token is left to each."""
    shared: dict[tuple[int, ...], int] = {}
    family: list[tuple[int, ...]] = []
    common = 0
    for prompt in sorted(set(prompts)):
        room = min(common, len(prompt) - 1)
        same = next((at for at in range(room) if prompt[at] != family[0][at]), room)
        if same < SHARED:
            family, same = [], len(prompt) - 1
        family.append(prompt)
        common = same
        shared |= dict.fromkeys(family, common if len(family) > 1 else 0)
    return shared


class Sampler:
    def __init__(self, model: LanguageModel, tokenizer: tokenizers.Tokenizer, dtype: torch.dtype = torch.bfloat16, size: int = 768) -> None:
        self.model, self.tokenizer, self.dtype, self.size = model, tokenizer, dtype, size
        ids = torch.arange(model.shape.vocabulary)
        self.allowed = (ids >= len(tokens.RESERVED)) | (ids == tokens.ID["end"])

    def answers(self, requests: list[Request]) -> Iterator[dict]:
        """Answers in batches of about `size` requests, shorter prompts first."""
        for request, ids in zip(requests, tokens.encode(self.tokenizer, [request.prompt for request in requests]), strict=True):
            room = self.model.shape.context - request.maxTokens - 2
            request.ids = (tokens.ID["user"], *ids[:room], tokens.ID["assistant"])
        shared = shared_lengths(request.ids for request in requests)
        for request in requests:
            request.shared = shared[request.ids]
        rest = sorted(requests, key=lambda request: (len(request.ids) - request.shared, request.ids, request.temperature))
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
