"""Exports a trained encoder as a bundle, and checks bundles: docs/models/bundle.md is the format.

    python export_encoder.py write RUN BUNDLE --pairs HELD_OUT    writes the bundle, with golden vectors and a card
    python export_encoder.py check BUNDLE                         computes the golden vectors again and compares
"""

import argparse
import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

import bundle
import tokenizer as tokens
from encoder import Encoder, Pairs, Shape, embed, evaluate, frame, load_run
from trainer import Packed
from views import plain_view, read_pairs


def golden(model: Encoder) -> dict:
    """Golden cases: every kind, the empty text, one token, texts that are cut, other scripts."""
    long = "def add(first, second):\n    return first + second  # sums\n" * 60
    texts = [
        ("query-short", "query", "sort a list of strings"), ("query-empty", "query", ""), ("query-one-token", "query", "a"),
        ("query-cut", "query", "how to read a file line by line " * 30), ("query-cyrillic", "query", "сортировка списка"),
        ("code-short", "code", "export const add = (a: number, b: number) => a + b;\n"), ("code-empty", "code", ""),
        ("code-cut", "code", long), ("code-han", "code", 'print("你好，世界")\n'),
        ("text-short", "text", "Returns the sum of two numbers."), ("text-empty", "text", ""), ("text-cut", "text", long),
        ("text-emoji", "text", "Ship it 🚀 — naïve café"), ("text-mark", "text", "<query> is not a mark here <end>"),
    ]  # fmt: skip
    found = tokens.encode(tokens.load(), [text for _, _, text in texts])
    framed = [frame(kind, ids, model.shape.maxTokens[kind]) for (_, kind, _), ids in zip(texts, found, strict=True)]
    cases = []
    with torch.no_grad():
        for (name, kind, text), ids in zip(texts, framed, strict=True):
            vectors = {str(exit): F.normalize(vector, dim=-1)[0].tolist() for exit, vector in model(Packed.of([ids])).items()}
            cases.append({"name": name, "kind": kind, "text": text, "ids": ids, "vectors": vectors})
    return {"cases": cases}


def golden_of(config: dict, state: dict[str, Tensor]) -> dict:
    model = Encoder(Shape.of(config))
    model.load_state_dict(state, strict=False)
    return golden(model.eval())


def export(run: Path, folder: Path, evaluated: list[dict], corpus_note: str) -> None:
    model, size = load_run(run)
    model.eval()
    shape = size["shape"]
    exits, last = shape["exits"], shape["exits"][-1]
    pairs = [{"query": exit, "index": index} for exit in exits for index in dict.fromkeys((exit, last))]
    config = {
        "name": folder.name, "architecture": "tessera-encoder", "vocabulary": tokens.SIZE, **shape,
        "specialTokens": {mark: tokens.ID[mark] for mark in ("pad", "cls", "query", "code", "text")},
        "pairs": pairs, "default": {"query": 4 if 4 in exits else exits[0], "index": last},
        "training": {"stages": size["stages"], "seed": size["seed"], "without": size["without"], "stage": size["stage"]},
    }  # fmt: skip
    state = {name: weight.float() for name, weight in model.exported().items()}
    stored = Encoder(Shape.of(config))
    stored.load_state_dict(bundle.dequantise_all(bundle.quantise_all(state)), strict=False)
    cosines = cosine_loss(model, stored.eval(), evaluated)
    figures = (evaluate(model, evaluated), evaluate(stored, evaluated)) if evaluated else ({}, {})
    card = write_card(config, state, cosines, figures, corpus_note)
    bundle.write(folder, config, state, tokens.PATH, lambda weights: golden_of(config, weights), card)


def cosine_loss(model: Encoder, stored: Encoder, pairs: list[dict]) -> dict[int, float]:
    """The mean cosine between training weights and stored weights at every exit, on codes."""
    task = Pairs(model, pairs, 1, 0)
    codes = [plain_view(pair)[1] for pair in pairs[:500]] or ["def add(a, b):\n    return a + b\n"]
    ids = task.ids(codes, "code")
    left, right = embed(model, ids), embed(stored, ids)
    return {exit: F.cosine_similarity(left[exit], right[exit]).mean().item() for exit in left}


def write_card(config: dict, state: dict[str, Tensor], cosines: dict[int, float], figures: tuple[dict, dict], note: str) -> str:
    parameters = sum(weight.numel() for weight in state.values())
    loss = bundle.quantisation_loss(state)
    lines = [
        f"# {config['name']}", "",
        f"A multi-exit code encoder: {config['layers']} layers of {config['hidden']}, exits {config['exits']}, widths {config['widths']}, {parameters / 1e6:.1f} million parameters, stored as int8.",
        "", "- Corpus: docs/models/corpus.md; permissive licences only." + (f" {note}" if note else ""),
        f"- Training: `python encoder.py train` (apps/train/README.md); last stage run: {config['training']['stage']}; settings are in config.json.",
        f"- What quantisation lost: weights {loss['mean']:.4f} on average and {loss['worst']:.4f} at worst (relative Frobenius norm); mean cosine of vectors "
        + ", ".join(f"{cosine:.5f} at exit {exit}" for exit, cosine in cosines.items()) + ".",
    ]  # fmt: skip
    before, after = figures
    if before:
        lines += ["", f"MRR of {before['queries']:,} first sentences of docstrings (JavaScript, TypeScript, Python) of held-out repositories against code without docstrings, each among {before['pool']:,}:", "", "| | training weights | stored int8 weights |", "|---|---:|---:|"]  # fmt: skip
        lines += [f"| {name} | {value:.4f} | {after[name]:.4f} |" for name, value in before.items() if name not in ("queries", "pool")]
    return "\n".join([*lines, "", "Limits: mostly English, and the languages of the corpus. Licence: MIT.", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    writing = commands.add_parser("write")
    writing.add_argument("run", type=Path)
    writing.add_argument("bundle", type=Path)
    writing.add_argument("--pairs", type=Path, help="held-out pairs: their figures go into the card")
    writing.add_argument("--note", default="")
    commands.add_parser("check").add_argument("bundle", type=Path)
    chosen = parser.parse_args()
    if chosen.command == "write":
        export(chosen.run, chosen.bundle, read_pairs(chosen.pairs) if chosen.pairs else [], chosen.note)
    else:
        difference = bundle.check(chosen.bundle, golden_of)
        print(f"largest difference from golden.json: {difference:.2e}")
        if difference > bundle.TOLERANCE:
            sys.exit(f"more than {bundle.TOLERANCE:.0e}: this is not the model that was exported")


if __name__ == "__main__":
    main()
