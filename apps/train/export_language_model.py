"""Exports a trained language model as a bundle, and checks bundles: docs/models/decoder-bundle.md is the format.

    python export_language_model.py write RUN BUNDLE --stream STREAM   writes the bundle, with golden cases and a card;
                                                                  --stage tuning where the run was tuned
    python export_language_model.py check BUNDLE                       computes the golden cases again and compares
    python export_language_model.py fixtures                           writes the toys that packages/models tests with
"""

import argparse
import json
import math
import sys
from pathlib import Path

import numpy
import torch
from torch import Tensor

import bundle
import tokenizer as tokens
from moe import LanguageModel, Shape, evaluate, load_run, read_size, read_stream

FIXTURES = tokens.PATH.parent.parent / "src" / "fixtures"
GREEDY = 32
LAST = 20


@torch.no_grad()
def golden_case(model: LanguageModel, name: str, ids: list[int]) -> dict:
    """What every engine must reach on one sequence, computed in fp32."""
    x, routes = model(torch.tensor([ids]))
    logits = model.logits(x)[0]
    logprobs = logits.log_softmax(-1)
    top = logits[-1].sort(descending=True, stable=True)
    case = {
        "name": name, "ids": ids,
        "logprobs": logprobs[:-1].gather(-1, torch.tensor(ids[1:])[:, None])[:, 0].tolist(),
        "argmax": logits[:-1].argmax(-1).tolist(),
        "last": [[number, value] for number, value in zip(top.indices[:LAST].tolist(), top.values[:LAST].tolist(), strict=True)],
    }  # fmt: skip
    if routes:
        margins = [routed.probabilities.sort(dim=-1, descending=True).values for routed in routes]
        margin = torch.stack([p[:, routed.chosen.shape[1] - 1] - p[:, routed.chosen.shape[1]] for p, routed in zip(margins, routes, strict=True)])
        case["attention"] = torch.stack([routed.chosen for routed in routes[0::2]], 1).tolist()
        case["feedforward"] = torch.stack([routed.chosen for routed in routes[1::2]], 1).tolist()
        case["margin"] = margin.min(0).values.tolist()
    written = list(ids)
    while len(written) < min(len(ids) + GREEDY, model.shape.context):
        written.append(model.logits(model(torch.tensor([written]))[0][:, -1])[0].argmax().item())
    case["greedy"] = written[len(ids) :]
    return case


def golden_ids(model: LanguageModel) -> dict[str, list[int]]:
    """Prompts and documents of the shared tokenizer; of a vocabulary of its own, drawn ids."""
    if model.shape.vocabulary != tokens.SIZE:
        generator = numpy.random.default_rng(7)
        lengths = {"one": 1, "short": 5, "longer": min(40, model.shape.context - GREEDY)}
        return {name: generator.integers(0, model.shape.vocabulary, length).tolist() for name, length in lengths.items()}
    mark = tokens.ID
    texts = {
        "python": "def add(first, second):\n    return first + second\n", "markdown": "# Retries\n\nRetries are backed off with jitter.\n",
        "question": "Where are retries backed off?", "system": "Answer from the passages.", "other": "Où est la reprise ? 你好",
    }  # fmt: skip
    found = dict(zip(texts, tokens.encode(tokens.load(), list(texts.values())), strict=True))
    return {
        "python": [mark["python"], *found["python"]],
        "markdown": [mark["markdown"], *found["markdown"]],
        "prompt": [mark["system"], *found["system"], mark["user"], *found["question"], mark["assistant"]],
        "one": [mark["user"]],
        "other": [mark["user"], *found["other"], mark["assistant"]],
    }


def model_of(config: dict, state: dict[str, Tensor]) -> LanguageModel:
    model = LanguageModel(Shape.of(config))
    model.load_state_dict(state)
    return model.eval()


def config_of(name: str, shape: dict) -> dict:
    routed = "gate" in shape
    attention = {"current": True, **shape["attention"]}
    marks = {mark: tokens.ID[mark] for mark in ("pad", "end", "system", "user", "assistant")}
    return {
        "name": name, "architecture": "tessera-moe" if routed else "tessera-dense", "vocabulary": shape.get("vocabulary", tokens.SIZE),
        **{field: shape[field] for field in ("hidden", "layers", "context")}, "normEpsilon": 1e-5, "tiedEmbedding": True,
        "attention": attention, "feedforward": shape["feedforward"], **({"gate": shape["gate"]} if routed else {}), "specialTokens": marks,
    }  # fmt: skip


@torch.no_grad()
def frequencies(model: LanguageModel, stream: numpy.ndarray, length: int = 256, windows: int = 200) -> dict:
    """The share of routed places of each module, by the language that the document's mark names."""
    names = {tokens.ID[language]: language for language in (*tokens.LANGUAGES, "text")}
    rows = stream[: windows * length].reshape(-1, length).astype(numpy.int64)
    counts: dict[str, list[Tensor]] = {}
    language = "text"
    for row in rows:
        places = []
        for number in row.tolist():
            language = names.get(number, language)
            places.append(language)
        _, routes = model(torch.from_numpy(row)[None])
        for name in set(places):
            here = torch.tensor([place == name for place in places])
            found = [routed.chosen[here].reshape(-1).bincount(minlength=routed.probabilities.shape[1]) for routed in routes]
            counts[name] = [a + b for a, b in zip(counts[name], found, strict=True)] if name in counts else found
    shares = {name: [(count / count.sum()).tolist() for count in found] for name, found in sorted(counts.items())}
    return {name: {"attention": found[0::2], "feedforward": found[1::2]} for name, found in shares.items()}


def export(run: Path, folder: Path, stream: Path, stage: str = "pretraining") -> None:
    model, size = load_run(run, stage)
    config = config_of(folder.name, size["shape"])
    state = {name: weight.float() for name, weight in model.state_dict().items()}
    stored = model_of(config, bundle.dequantise_all(bundle.quantise_all(state)))
    held_out = read_stream(stream, "held-out")
    if "gate" in config:
        config["frequencies"] = frequencies(stored, held_out)
    config["training"] = {"pretraining": size["pretraining"], "seed": size["seed"], "stage": stage}
    figures = evaluate(model, held_out), evaluate(stored, held_out)
    write(folder, config, state, tokens.PATH, card(config, state, figures))


def card(config: dict, state: dict[str, Tensor], figures: tuple[dict, dict]) -> str:
    trained, stored = figures
    loss = bundle.quantisation_loss(state)
    settings = config["training"]["pretraining"]
    kind = "A mixture-of-experts language model" if "gate" in config else "A dense language model"
    return "\n".join([
        f"# {config['name']}", "",
        f"{kind} of code and Markdown: {config['layers']} layers of {config['hidden']}, {trained['total']:,} parameters in the body, {trained['active']:,} of them run for a token, {trained['embedding']:,} in the embedding; stored as int8.",
        "", "- Corpus: docs/models/corpus.md; permissive licences only.",
        "- Training: `python moe.py train` (apps/train/README.md); settings are in config.json.",
        f"- It has read {settings['steps'] * settings['batch'] * settings['length']:,} tokens in pretraining.",
        f"- Held-out perplexity (`python moe.py evaluate`): {trained['perplexity']:.2f} as trained, {stored['perplexity']:.2f} as stored.",
        f"- What quantisation lost: weights {loss['mean']:.4f} on average and {loss['worst']:.4f} at worst (relative Frobenius norm).",
        "- Limits: " + ("it answers in the form it was tuned for, from what a prompt shows." if config["training"]["stage"] == "tuning" else "it completes code and prose of its corpus; it has not been tuned to follow instructions."),
        "- Licence: MIT.", "",
    ])  # fmt: skip


def write(folder: Path, config: dict, state: dict[str, Tensor], tokenizer: Path | None, text: str) -> None:
    def golden(weights: dict[str, Tensor]) -> dict:
        model = model_of(config, weights)
        return {"cases": [golden_case(model, name, ids) for name, ids in golden_ids(model).items()]}

    bundle.write(folder, config, state, tokenizer, golden, text)


def check(folder: Path) -> list[str]:
    """Computes the golden cases again from the stored weights: what differs, one line each."""
    config, state = bundle.read(folder)
    model = model_of(config, state)
    golden = json.loads((folder / "golden.json").read_text())
    problems = []
    for case in golden["cases"]:
        again = golden_case(model, case["name"], case["ids"])
        far = max((abs(a - b) for a, b in zip(case["logprobs"], again["logprobs"], strict=True)), default=0.0)
        if not far <= 1e-4:
            problems.append(f"{case['name']}: a log-probability differs by {far:.2e}")
        for field in ("attention", "feedforward"):
            if case.get(field) != again.get(field):
                places = sum(a != b and margin >= 1e-5 for a, b, margin in zip(case[field], again[field], case["margin"], strict=True))
                problems += [f"{case['name']}: {places} tokens take other {field} modules"] if places else []
    return problems


def fixtures() -> None:
    """The toys: random weights, so that every part has a say in what comes out."""
    mixture = read_size("mixture-toy")["shape"]
    dense = {name: value for name, value in mixture.items() if name != "gate"} | {"attention": {"size": 8, "heads": 2}, "feedforward": {"size": 16}}
    for name, shape in (("moe-toy", mixture), ("dense-toy", dense)):
        torch.manual_seed(11)
        model = LanguageModel(Shape.of(shape))
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=1 / math.sqrt(12))
        config = config_of(name, shape)
        config["specialTokens"] = {mark: number for number, mark in enumerate(config["specialTokens"])}
        write(FIXTURES / name, config, model.state_dict(), None, f"# {name}\n\nRandom weights, for tests (`python export_language_model.py fixtures`).\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    writing = commands.add_parser("write")
    writing.add_argument("run", type=Path)
    writing.add_argument("bundle", type=Path)
    writing.add_argument("--stream", type=Path, required=True)
    writing.add_argument("--stage", choices=("pretraining", "tuning"), default="pretraining")
    commands.add_parser("check").add_argument("bundle", type=Path)
    commands.add_parser("fixtures")
    chosen = parser.parse_args()
    if chosen.command == "write":
        export(chosen.run, chosen.bundle, chosen.stream, chosen.stage)
    elif chosen.command == "fixtures":
        fixtures()
    else:
        problems = check(chosen.bundle)
        print("\n".join(problems) or "all golden cases agree")
        sys.exit(bool(problems))


if __name__ == "__main__":
    main()
