"""The dense rivals of the mixture of experts: the trunk of moe.py with one module of weight 1 in every layer.

    python dense.py sizes mixture-small      writes sizes/dense-small-{active,between,fourfold}.json

They are trained, evaluated and exported by the same commands (`python moe.py train dense-small-active …`) on the same
tokens: one with as many body parameters as the mixture has active ones, one with about twice, one with four times as many.
"""

import argparse
import json

from moe import HERE, LanguageModel, Shape, read_size

FACTORS = {"active": 1.0, "between": 2.0, "fourfold": 4.0}


def rival(mixture: dict, factor: float) -> dict:
    """The shape whose body has nearest to `factor` times the mixture's active parameters.

    Depth and hidden width stay, so that the embedding costs the same: attention is as wide as the trunk, and the feedforward
    width, a multiple of 64, is what is left. Above twice, depth doubles first.
    """
    active = LanguageModel(Shape.of(mixture)).parameter_counts()["active"]
    layers = mixture["layers"] * (2 if factor > 2 else 1)
    base = {name: value for name, value in mixture.items() if name != "gate"} | {"layers": layers}
    heads = mixture["attention"]["heads"]

    def shape(size: int) -> dict:
        return base | {"attention": {"size": mixture["hidden"], "heads": heads}, "feedforward": {"size": size}}

    sizes = range(64, 16 * mixture["hidden"], 64)
    return min((shape(size) for size in sizes), key=lambda found: abs(counts(found) - factor * active))


def counts(shape: dict) -> int:
    hidden, layers = shape["hidden"], shape["layers"]
    attention, feedforward = shape["attention"]["size"], shape["feedforward"]["size"]
    layer = 4 * hidden * attention + 2 * attention + 2 * hidden * feedforward + 4 * hidden
    return layers * layer + 2 * hidden


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("sizes").add_argument("mixture")
    chosen = parser.parse_args()
    mixture = read_size(chosen.mixture)
    for name, factor in FACTORS.items():
        size = {"shape": rival(mixture["shape"], factor), "pretraining": mixture["pretraining"] | {"balance": 0.0}}
        path = HERE / "sizes" / f"dense{chosen.mixture.removeprefix('mixture')}-{name}.json"
        path.write_text(json.dumps(size, indent=2) + "\n")
        print(f"{path.name}: {counts(size['shape']):,} parameters in the body")


if __name__ == "__main__":
    main()
