"""Whether a small language model learns to look back: the start and the windows of recall.py, each with and without.

    python recall_experiment.py SIZE STREAM OUT --steps 200     one JSON line an arm in OUT/recall.jsonl, resumable

Measured on held-out tokens: 64 in a row, and 64 drawn one by one, each said twice. What is known of the second time and not of the
first was found by looking back: "gain" is that difference of the mean loss in nats a token, with a 95 % bootstrap interval over
windows. "perplexity" is that of plain held-out text.
"""

import argparse
import json
from pathlib import Path

import numpy
import torch

from experiments import losses
from moe import LanguageModel, Pretraining, Shape, next_token_loss, read_size, read_stream
from recall import look_back
from trainer import Schedule, Trainer

ARMS = {"plain": (False, 0.0), "windows alone": (False, 0.5), "start alone": (True, 0.0), "start and windows": (True, 0.5)}
WINDOWS = 48
TOKENS = 64


@torch.no_grad()
def said_again(model: LanguageModel, stream: numpy.ndarray, in_a_row: bool) -> dict[str, float | list[float]]:
    """Mean losses of the first and the second time, over the same places: all but the first of each."""
    model.eval()
    generator = numpy.random.default_rng(1)
    first, second = [], []
    for start in generator.integers(0, len(stream) - TOKENS, WINDOWS):
        places = range(start, start + TOKENS) if in_a_row else generator.integers(0, len(stream), TOKENS)
        ids = torch.from_numpy(numpy.tile(stream[places].astype(numpy.int64), 2))[None]
        for found, weights in ((first, mask(1, TOKENS)), (second, mask(TOKENS + 1, 2 * TOKENS))):
            found.append(next_token_loss(model, ids, weights)[0].item())
    gain = numpy.array(first) - numpy.array(second)
    drawn = numpy.random.default_rng(0).integers(0, WINDOWS, (2_000, WINDOWS))
    interval = numpy.quantile(gain[drawn].mean(1), [0.025, 0.975])
    figures = {"first": numpy.mean(first), "second": numpy.mean(second), "gain": gain.mean()}
    return {name: round(float(value), 3) for name, value in figures.items()} | {"interval": [round(float(end), 3) for end in interval]}


def mask(start: int, end: int) -> torch.Tensor:
    return torch.tensor([[start <= place < end for place in range(2 * TOKENS)]])


def measure(model: LanguageModel, stream: numpy.ndarray, length: int) -> dict:
    held_out = {"in a row": said_again(model, stream, True), "drawn": said_again(model, stream, False)}
    return {"perplexity": round(float(numpy.exp(losses(model, stream, length).mean())), 1), **held_out}


def run(size_name: str, stream: Path, out: Path, steps: int, batch: int, length: int, seeds: list[int]) -> None:
    size = read_size(size_name)
    train, held_out = (read_stream(stream, split) for split in ("train", "held-out"))
    log = out / "recall.jsonl"
    done = {(line["arm"], line["seed"]) for line in map(json.loads, log.read_text().splitlines())} if log.exists() else set()
    for seed in seeds:
        for name, (looking, share) in ARMS.items():
            if (name, seed) in done:
                continue
            torch.manual_seed(seed)
            model = LanguageModel(Shape.of(size["shape"]))
            if looking:
                look_back(model)
            task = Pretraining(model, train, batch, length, seed, size["pretraining"]["balance"], recall=share)
            schedule = Schedule(steps, size["pretraining"]["rate"], warmup=max(1, min(100, steps // 10)), betas=(0.9, 0.95))
            Trainer(task, schedule, out / f"{name.replace(' ', '-')}-{seed}", "bf16").run(minutes=600)
            line = json.dumps({"arm": name, "seed": seed, "size": size_name, "tokens": steps * batch * length, **measure(model, held_out, length)})
            print(line, flush=True)
            with open(log, "a") as file:
                file.write(line + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("size")
    parser.add_argument("stream", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    chosen.out.mkdir(parents=True, exist_ok=True)
    run(chosen.size, chosen.stream, chosen.out, chosen.steps, chosen.batch, chosen.length, chosen.seeds)


if __name__ == "__main__":
    main()
