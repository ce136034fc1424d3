"""Packs a training set for the way to another machine: at most 45 MB of xz text, tokenised where the training runs.

    python pack.py pack OUTPUT FILE.tar.xz [--megabytes 45] [--seed 1]
    python pack.py unpack FILE.tar.xz OUTPUT

First 5,000 docstring pairs of each of the other splits; then pairs of the train split up to two thirds of the budget, those
from docstrings before others drawn at random; then raw files of the train split, drawn at random, until it is full.
"""

import argparse
import io
import json
import lzma
import random
import tarfile
from collections.abc import Iterable
from pathlib import Path

PRESET = 4
MOST_CHARACTERS = {"text": 1_000, "code": 2_400, "documented": 2_400}  # of a pair; no training reads further
DROPPED = ("path", "lines")  # no training reads them
MEMBER = 2_000_000  # characters of one member of the archive
MARGIN = 2_000_000  # bytes that the compressor may still hold back


class Budgeted(io.RawIOBase):
    """Writes through to an xz file and knows how many compressed bytes there are so far."""

    def __init__(self, path: Path) -> None:
        self._compressor = lzma.LZMACompressor(preset=PRESET)
        self._file = open(path, "wb")
        self.size = 0

    def write(self, content) -> int:
        self._put(self._compressor.compress(content))
        return len(content)

    def finish(self) -> None:
        self._put(self._compressor.flush())
        self._file.close()

    def _put(self, content: bytes) -> None:
        self._file.write(content)
        self.size += len(content)


def pack(output: Path, path: Path, megabytes: float, seed: int) -> dict[str, int]:
    """Writes the archive; returns how many lines of each file went in, and its bytes."""
    limit = int(megabytes * 1e6)
    target = Budgeted(path)
    archive = tarfile.open(fileobj=target, mode="w|")
    generator = random.Random(seed)
    counts = {}
    for split in ("development", "held-out"):
        pairs = [pair for pair in read_slim(output / "pairs" / f"{split}.jsonl") if pair["kind"] == "docstring"]
        generator.shuffle(pairs)
        counts[f"pairs/{split}.jsonl"] = fill(archive, target, f"pairs/{split}", map(json.dumps, pairs[:5_000]), limit)
    pairs = read_slim(output / "pairs" / "train.jsonl")
    generator.shuffle(pairs)
    pairs.sort(key=lambda pair: pair["kind"] != "docstring")
    counts["pairs/train.jsonl"] = fill(archive, target, "pairs/train", map(json.dumps, pairs), limit * 2 // 3)
    with open(output / "raw" / "train.jsonl") as lines:
        raw = [line.rstrip("\n") for line in lines]
    generator.shuffle(raw)
    counts["raw/train.jsonl"] = fill(archive, target, "raw/train", raw, limit)
    archive.close()
    target.finish()
    if target.size > limit:
        raise SystemExit(f"{path} has {target.size:,} bytes, more than {limit:,}")
    return {**counts, "bytes": target.size}


def read_slim(path: Path) -> list[dict]:
    """Pairs without what no training reads."""
    with open(path) as lines:
        pairs = [json.loads(line) for line in lines]
    for pair in pairs:
        for name in DROPPED:
            pair.pop(name)
        for name, most in MOST_CHARACTERS.items():
            pair[name] = pair[name][:most]
    return pairs


def fill(archive: tarfile.TarFile, target: Budgeted, name: str, lines: Iterable[str], limit: int) -> int:
    """Adds lines in members NAME.0000.jsonl … while the archive is surely below `limit` bytes; returns how many."""
    added, part, size, number = 0, [], 0, 0
    for line in lines:
        part.append(line)
        size += len(line)
        if size >= MEMBER:
            if target.size > limit - MARGIN:
                return added
            add(archive, f"{name}.{number:04d}.jsonl", part)
            added, part, size, number = added + len(part), [], 0, number + 1
    if part and target.size <= limit - MARGIN:
        add(archive, f"{name}.{number:04d}.jsonl", part)
        added += len(part)
    return added


def add(archive: tarfile.TarFile, name: str, lines: list[str]) -> None:
    content = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass")
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def unpack(path: Path, output: Path) -> None:
    """Lays out what encoder.py reads: pairs/SPLIT.jsonl and raw/train.jsonl."""
    for folder in ("pairs", "raw"):
        (output / folder).mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "r|xz") as archive:
        for member in archive:
            folder, file = member.name.split("/")
            split, number, _ = file.split(".")
            with open(output / folder / f"{split}.jsonl", "wb" if int(number) == 0 else "ab") as target:
                target.write(archive.extractfile(member).read())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack")
    packing.add_argument("output", type=Path)
    packing.add_argument("file", type=Path)
    packing.add_argument("--megabytes", type=float, default=45)
    packing.add_argument("--seed", type=int, default=1)
    unpacking = commands.add_parser("unpack")
    unpacking.add_argument("file", type=Path)
    unpacking.add_argument("output", type=Path)
    chosen = parser.parse_args()
    if chosen.command == "pack":
        for name, count in pack(chosen.output, chosen.file, chosen.megabytes, chosen.seed).items():
            print(f"{count:12,}  {name}")
    else:
        unpack(chosen.file, chosen.output)


if __name__ == "__main__":
    main()
