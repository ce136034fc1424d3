"""A BERT trunk with exits: the model of the encoder `code-encoder-2`, and the published weights that it starts from.

The trunk is BERT as published (learned positions, attention and feed-forward with norms after them, GELU by erf), so an
engine that reads BERT reads it. Exit 0 projects two means over a text's tokens, of the word embeddings as they are stored and
of the rows of a table. A deeper exit l projects the mean of the states after layer l and adds a share of exit 0's vector.
All exits write into one space: the teacher's vectors, turned so that the first components hold most of their variance.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

from encoder import Padding, pool
from trainer import Packed


@dataclass(frozen=True)
class BertShape:
    vocabulary: int = 30_522
    hidden: int = 384
    layers: int = 6
    heads: int = 12
    intermediate: int = 1_536
    positions: int = 512
    table: int = 160  # width of the table
    exits: tuple[int, ...] = (0, 2, 4, 6)
    normEpsilon: float = 1e-12

    @staticmethod
    def of(document: dict) -> "BertShape":
        fields = {name: document[name] for name in BertShape.__dataclass_fields__ if name in document}
        return BertShape(**{**fields, "exits": tuple(fields["exits"])})


class BertLayer(nn.Module):
    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.qkv = nn.Linear(shape.hidden, 3 * shape.hidden)
        self.output = nn.Linear(shape.hidden, shape.hidden)
        self.attention_norm = nn.LayerNorm(shape.hidden, shape.normEpsilon)
        self.up = nn.Linear(shape.hidden, shape.intermediate)
        self.down = nn.Linear(shape.intermediate, shape.hidden)
        self.feedforward_norm = nn.LayerNorm(shape.hidden, shape.normEpsilon)

    def forward(self, x: Tensor, padding: Padding) -> Tensor:
        query, key, value = self.qkv(x).view(len(x), 3, self.heads, -1).unbind(1)
        x = self.attention_norm(x + self.output(padding.attend(query, key, value)))
        return self.feedforward_norm(x + self.down(F.gelu(self.up(x))))


class BertExits(nn.Module):
    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.shape = shape
        self.words = nn.Embedding(shape.vocabulary, shape.hidden)
        self.positions = nn.Embedding(shape.positions, shape.hidden)
        self.embedding_norm = nn.LayerNorm(shape.hidden, shape.normEpsilon)
        self.layers = nn.ModuleList(BertLayer(shape) for _ in range(shape.layers))
        self.table = nn.Embedding(shape.vocabulary, shape.table)
        inputs = {layer: shape.hidden if layer else shape.hidden + shape.table for layer in shape.exits}
        self.exits = nn.ModuleDict({str(layer): nn.Linear(size, shape.hidden) for layer, size in inputs.items()})
        self.shares = nn.Parameter(torch.zeros(len(shape.exits)))  # of exit 0's vector in each exit's; that of exit 0 is not read

    def states(self, batch: Packed, last: int | None = None) -> list[Tensor]:
        """[tokens, hidden] after the embeddings and after each layer, up to layer `last`."""
        x = self.embedding_norm(self.words(batch.ids) + self.positions(batch.positions))
        padding, found = Padding(batch), [x]
        for layer in self.layers[:last]:
            found.append(layer(found[-1], padding))
        return found

    def static(self, batch: Packed) -> Tensor:
        """Exit 0: [sequences, hidden], not yet of unit length."""
        means = [F.embedding_bag(batch.ids, part.weight, batch.offsets[:-1], mode="mean") for part in (self.words, self.table)]
        return self.exits["0"](torch.cat(means, 1)).float()

    def forward(self, batch: Packed, last: int | None = None) -> dict[int, Tensor]:
        """[sequences, hidden] at every exit up to `last`, not yet of unit length. Deeper exits do not teach exit 0."""
        found = {0: self.static(batch)}
        return found if last == 0 else found | self.deeper(batch, self.states(batch, last), found[0].detach())

    def deeper(self, batch: Packed, states: list[Tensor], start: Tensor) -> dict[int, Tensor]:
        """[sequences, hidden] at the exits past 0 of the layers that ran, from their states and exit 0's vectors."""
        found = {}
        for place, layer in enumerate(self.shape.exits):
            if 0 < layer < len(states):
                own = self.exits[str(layer)](pool(states[layer].float(), batch)).float()
                found[layer] = own + self.shares[place] * start
        return found


def load_minilm(folder: Path) -> tuple[BertExits, Tokenizer]:
    """The model of a folder in the layout of sentence-transformers; exits are the identity, the table is zero.

    The one token type is added to the positions, which changes no output; the pooler is left out, since nothing reads it.
    """
    published = json.loads((folder / "config.json").read_text())
    shape = BertShape(
        vocabulary=published["vocab_size"], hidden=published["hidden_size"], layers=published["num_hidden_layers"],
        heads=published["num_attention_heads"], intermediate=published["intermediate_size"],
        positions=published["max_position_embeddings"], normEpsilon=published["layer_norm_eps"],
    )  # fmt: skip
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    model = BertExits(shape)
    model.load_state_dict(renamed(weights, shape), strict=False)
    with torch.no_grad():
        model.table.weight.zero_()
        for exit in model.exits.values():
            exit.weight.copy_(torch.eye(*exit.weight.shape))
            exit.bias.zero_()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return model, tokenizer


def renamed(weights: dict[str, Tensor], shape: BertShape) -> dict[str, Tensor]:
    """The published tensors under the names of BertExits."""
    state = {
        "words.weight": weights["embeddings.word_embeddings.weight"],
        "positions.weight": weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0],
    }
    pairs = {"embedding_norm": "embeddings.LayerNorm"}
    for number in range(shape.layers):
        old, new = f"encoder.layer.{number}", f"layers.{number}"
        pairs |= {
            f"{new}.output": f"{old}.attention.output.dense", f"{new}.attention_norm": f"{old}.attention.output.LayerNorm",
            f"{new}.up": f"{old}.intermediate.dense", f"{new}.down": f"{old}.output.dense", f"{new}.feedforward_norm": f"{old}.output.LayerNorm",
        }  # fmt: skip
        for part in ("weight", "bias"):
            state[f"{new}.qkv.{part}"] = torch.cat([weights[f"{old}.attention.self.{name}.{part}"] for name in ("query", "key", "value")])
    for new, old in pairs.items():
        for part in ("weight", "bias"):
            state[f"{new}.{part}"] = weights[f"{old}.{part}"]
    return state
