"""How a small language model learns to look back at what its prompt says: a start, and windows that reward it.

Without induction heads (Olsson et al. 2022, arXiv 2209.11895) nothing that stands in a prompt can reach an answer, and a model that
reads a few million tokens does not find them. So attention starts as two layers that find what followed the last time, and a
share of the windows says its first half again in pieces. Shapes, formulas and the number of parameters stay as they are; training
changes every weight as it likes. docs/models/moe.md has the figures with and without.
"""

import math
from typing import TYPE_CHECKING

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from moe import Attention, LanguageModel

SPAN = (8, 32)  # tokens that are said again in one piece


def recalled(window: numpy.ndarray, generator: numpy.random.Generator) -> numpy.ndarray:
    """The window with spans of its first half, in any order, in place of its second."""
    half = len(window) // 2
    pieces, missing = [], len(window) - half
    while missing > 0:
        length = min(missing, half, int(generator.integers(*SPAN, endpoint=True)))
        start = int(generator.integers(0, half - length, endpoint=True))
        pieces.append(window[start : start + length])
        missing -= length
    return numpy.concatenate([window[:half], *pieces])


def look_back(model: "LanguageModel") -> None:
    """Writes the start into a model of at least two layers whose attention is at most half as wide as the model.

    Embeddings lie in one subspace. Layer 0 writes the token before into another: a token is unlike itself, so that the stick is
    not broken at the current one and breaks at the next. Layer 1 seeks the places whose token before is the current one, and says
    what stands there. All modules of a layer start alike; which of them serve what is left to the routers.
    """
    shape, size = model.shape, model.shape.attention.size
    share = shape.attention.top / shape.attention.experts  # of the weight that the chosen modules have together
    with torch.no_grad():
        now, before = torch.linalg.qr(torch.randn(shape.hidden, shape.hidden)).Q.T[: 2 * size].split(size)
        now = torch.linalg.qr(torch.randn(size, size)).Q @ now  # every head sees a part of every token
        unit = 1 / (share * math.sqrt(shape.hidden))  # what is read from a norm has this length when it is written
        model.embedding.weight.copy_(torch.randn(shape.vocabulary, size) / math.sqrt(size) @ now)
        first, second = model.layers[0].attention, model.layers[1].attention
        aim(first, query=-now, key=now, bias=2)
        carry(first, value=now, output=unit * before.T)
        aim(second, query=2 * now, key=before, bias=-7)
        carry(second, value=now, output=6 * unit * now.T)
        model.layers[0].feedforward.output.weight.zero_()  # nothing comes between them at first


def aim(attention: "Attention", query: Tensor, key: Tensor, bias: float) -> None:
    """Scores (query · x) · (key · x) / √s + `bias` in every head: the norm's bias gives the query a constant, which meets the key's."""
    heads, size = attention.shape.heads, attention.shape.attention.size
    constant = torch.randn(attention.shape.hidden) * 0.1
    toward = F.normalize(torch.randn(heads, size // heads), dim=1).flatten()
    attention.norm.bias.copy_(constant)
    turned = query + torch.outer(toward - query @ constant, constant) / constant.square().sum()
    attention.query.weight.copy_(turned.expand_as(attention.query.weight))
    attention.key_value.weight[:size].copy_(key)
    attention.key_value.bias[:size].copy_(bias * math.sqrt(size // heads) * toward - key @ constant)


def carry(attention: "Attention", value: Tensor, output: Tensor) -> None:
    """Reads `value` · x where the scores point, and writes it by `output`."""
    attention.key_value.weight[attention.shape.attention.size :].copy_(value)
    attention.output.weight.copy_(output.expand_as(attention.output.weight))
