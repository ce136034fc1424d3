"""The model of the CodeChain experiment: a dense language model of about five million parameters for list programs.

    python listprograms.py DATA --train 110000           the problems and the training set
    python listcoder.py prepare DATA RUN                 a byte-level vocabulary from the training set alone, and its tokens
    python listcoder.py train RUN --minutes 10           again until it has ended
    python listcoder.py export DATA RUN BUNDLE           a bundle with golden cases and a card

The trunk is that of moe.py with one module of weight 1 in every layer, as in dense.py. Only what is answered is learnt.
listsampler.py draws from it in batches; packages/models reads the bundle.
"""

import argparse
import json
from pathlib import Path

import numpy
import tokenizers
import torch
from torch import Tensor

import bundle
import tokenizer as tokens
from export_language_model import config_of, golden_case, model_of
from listprograms import fenced, prompt
from moe import LanguageModel, Shape, load_run, next_token_loss, read_size
from trainer import Schedule, Task, Trainer, order
from tune import frame

SIZE = "list-coder"
STAGE = "answers"

# a number with its bracket or comma and a name with what opens before it are pieces, and so is what stands in every program
PATTERN = "|".join(
    (
        r"```[a-z]*\n?",
        r"\(v\) \{ return",
        r"; \}\n?",
        r"\nfunction",
        r" ?[,\[(]{0,2}-?[0-9]{1,4}(?![0-9])",
        r" ?[.,\[(!]{0,2}[A-Za-z]{1,32}",
        r" ?[^\x00-\x7F]{1,16}",
        r" ?[!-/:-@\[-`{-~]{1,16}",
        r"[ \t]{1,32}",
        r"[\x00-\x7F]",
    )
)


def read_rows(path: Path) -> list[dict]:
    with path.open() as lines:
        return [json.loads(line) for line in lines]


def prepare(data: Path, run: Path) -> None:
    """RUN/tokenizer.json, and RUN/train.npz: the sequences one after another, where each ends, and what is learnt of them."""
    rows = read_rows(data / "train.jsonl")
    size = read_size(SIZE)
    tokenizer = tokens.train((row[field] for row in rows for field in ("prompt", "answer")), size["shape"]["vocabulary"], PATTERN)
    run.mkdir(parents=True, exist_ok=True)
    (run / "tokenizer.json").write_text(tokenizer.to_str(pretty=False))
    prompts, answers = (tokens.encode(tokenizer, [row[field] for row in rows]) for field in ("prompt", "answer"))
    roles = [{"role": "user"}, {"role": "assistant"}]
    longest = size["training"]["longest"]
    framed = [frame(roles, [prompt, answer]) for prompt, answer in zip(prompts, answers, strict=True) if len(answer) <= longest]
    numpy.savez(
        run / "train.npz",
        ids=numpy.concatenate([numpy.array(ids, numpy.uint16) for ids, _ in framed]),
        wanted=numpy.concatenate([numpy.array(wanted, bool) for _, wanted in framed]),
        ends=numpy.cumsum([len(ids) for ids, _ in framed]),
    )
    lengths = [len(ids) for ids, _ in framed]
    print(f"{len(framed)} of {len(rows)} answers have at most {longest} tokens; {sum(lengths) / len(framed):.0f} tokens a sequence")


class Answers(Task):
    """Batches of at most `size` tokens, padding included; sequences of like length come together."""

    def __init__(self, model: LanguageModel, run: Path, size: int, seed: int) -> None:
        self.model, self.size, self.seed = model, size, seed
        with numpy.load(run / "train.npz") as file:
            self.ids, self.wanted, self.ends = (file[name] for name in ("ids", "wanted", "ends"))
        self.lengths = numpy.diff(self.ends, prepend=0)
        self.epoch, self.batches = -1, []

    def cut(self, epoch: int) -> list[numpy.ndarray]:
        """The batches of an epoch: runs of 2,048 sequences in its own order are sorted by length, cut, and shuffled."""
        places = order(len(self.ends), self.seed, epoch)
        found = []
        for start in range(0, len(places), 2048):
            group = places[start : start + 2048]
            group = group[self.lengths[group].argsort(kind="stable")]
            first = 0
            for last in range(1, len(group) + 1):
                if last == len(group) or (last - first + 1) * self.lengths[group[last]] > self.size:
                    found.append(group[first:last])
                    first = last
        return [found[place] for place in order(len(found), self.seed + 1, epoch)]

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        epoch = 0
        while True:
            if self.epoch != epoch:
                self.epoch, self.batches = epoch, self.cut(epoch)
            if step < len(self.batches):
                break
            step -= len(self.batches)
            epoch += 1
        places = self.batches[step]
        length = self.lengths[places].max()
        ids = numpy.full((len(places), length), tokens.ID["pad"], numpy.int64)
        wanted = numpy.zeros((len(places), length), bool)
        for row, place in enumerate(places):
            own = slice(self.ends[place] - self.lengths[place], self.ends[place])
            ids[row, : self.lengths[place]], wanted[row, : self.lengths[place]] = self.ids[own], self.wanted[own]
        device = self.model.embedding.weight.device
        return torch.from_numpy(ids).to(device), torch.from_numpy(wanted).to(device)

    def loss(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, dict[str, float], int]:
        ids, wanted = batch
        loss, _ = next_token_loss(self.model, ids, wanted)
        return loss, {"learnt": float(wanted.sum())}, ids.numel()


def train(run: Path, chosen: argparse.Namespace) -> bool:
    size = read_size(SIZE)
    settings = size["training"]
    if chosen.steps:
        settings["steps"] = chosen.steps
    (run / "size.json").write_text(json.dumps({**size, "seed": chosen.seed}, indent=1))
    torch.manual_seed(chosen.seed)
    model = LanguageModel(Shape.of(size["shape"])).to(chosen.device)
    task = Answers(model, run, settings["tokens"], chosen.seed)
    schedule = Schedule(settings["steps"], settings["rate"], warmup=100, betas=(0.9, 0.95))
    return Trainer(task, schedule, run / STAGE, chosen.precision, chosen.device).run(chosen.minutes)


def export(run: Path, folder: Path, data: Path) -> None:
    """Golden cases are prompts of the development problems, with the solution of one behind its prompt."""
    model, size = load_run(run, STAGE)
    tokenizer = tokens.load(run / "tokenizer.json")
    config = {**config_of(folder.name, size["shape"]), "prompts": "brief", "training": {**size["training"], "seed": size["seed"]}}
    problems = read_rows(data / "development.jsonl")
    state = {name: weight.float() for name, weight in model.state_dict().items()}

    def golden(weights: dict[str, Tensor]) -> dict:
        stored = model_of(config, weights)
        return {"cases": [golden_case(stored, name, ids) for name, ids in golden_ids(tokenizer, problems).items()]}

    bundle.write(folder, config, state, run / "tokenizer.json", golden, card(config, state, model, run))


def golden_ids(tokenizer: tokenizers.Tokenizer, problems: list[dict]) -> dict[str, list[int]]:
    mark = tokens.ID
    first, second = problems[:2]
    modular, direct, solution = tokens.encode(
        tokenizer, [prompt("modular", first["text"]), prompt("direct", second["text"]), fenced(first["solution"])]
    )
    revise, other = tokens.encode(tokenizer, [prompt("revise", second["text"], second["modules"]), "Où est la reprise ? 你好"])
    asked = {"modular": modular, "direct": direct, "revise": revise, "other": other}
    return {
        **{name: [mark["user"], *ids, mark["assistant"]] for name, ids in asked.items()},
        "solution": [mark["user"], *modular, mark["assistant"], *solution, mark["end"]],
        "one": [mark["user"]],
    }


def card(config: dict, state: dict[str, Tensor], model: LanguageModel, run: Path) -> str:
    counts, loss, settings = model.parameter_counts(), bundle.quantisation_loss(state), config["training"]
    last = json.loads((run / STAGE / "log.jsonl").read_text().splitlines()[-1])
    return "\n".join([
        f"# {config['name']}", "",
        f"A dense language model that writes typed list and string programs in JavaScript, and nothing else: {config['layers']} layers of {config['hidden']}, {counts['total']:,} parameters in the body and {counts['embedding']:,} in the embedding, a vocabulary of {config['vocabulary']:,} of its own; stored as int8.",
        "", "- Made for the experiment of docs/models/codechain.md, which has its figures.",
        "- Data: programs that listprograms.py composes and runs; no text from elsewhere.",
        f"- Training: `python listcoder.py train`, {last['step']:,} steps, {last['tokens']:,} tokens with padding, {last['seconds'] / 60:.0f} minutes on one shared CPU core; loss of the last steps {last['loss']:.3f} nats a token that is learnt. Settings and seed {settings['seed']} are in config.json.",
        f"- What quantisation lost: weights {loss['mean']:.4f} on average and {loss['worst']:.4f} at worst (relative Frobenius norm).",
        '- It reads the prompts that the operators of packages/operators/coder write in the style "brief": `[modular]`, `[direct]`, `[revise]`, `[debug]`, the text of a problem as listprograms.py writes it, and what is shown.',
        "- Licence: MIT.", "",
    ])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    preparing = commands.add_parser("prepare")
    preparing.add_argument("data", type=Path)
    preparing.add_argument("run", type=Path)
    training = commands.add_parser("train")
    training.add_argument("run", type=Path)
    training.add_argument("--minutes", type=float, default=10)
    training.add_argument("--steps", type=int, help="in place of the size's own")
    training.add_argument("--seed", type=int, default=1)
    training.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    training.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    exporting = commands.add_parser("export")
    exporting.add_argument("data", type=Path)
    exporting.add_argument("run", type=Path)
    exporting.add_argument("bundle", type=Path)
    for command in (training, exporting):
        command.add_argument("--threads", type=int, default=1, help="CPU threads; two wait for each other on a busy machine")
    chosen = parser.parse_args()
    if chosen.command == "prepare":
        return prepare(chosen.data, chosen.run)
    torch.set_num_threads(chosen.threads)
    if chosen.command == "train":
        print("it has ended" if train(chosen.run, chosen) else "stopped by --minutes: the same command goes on")
    else:
        export(chosen.run, chosen.bundle, chosen.data)


if __name__ == "__main__":
    main()
