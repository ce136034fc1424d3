"""Packs a training set for the way to another machine: at most 45 MB of xz text, tokenised where the training runs.

    python pack.py pack OUTPUT FILE.tar.xz [--megabytes 45] [--seed 1]
    python pack.py unpack FILE.tar.xz OUTPUT

All splits of pairs go in whole, then raw files of the train split, drawn at random over repositories until it is full.
"""

import argparse
import io
import json
import lzma
import random
import tarfile
from pathlib import Path

PRESET = 4
DROPPED = ("path", "lines")  # of a pair: no training reads them


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
    """Writes the archive; returns how many lines of each member went in.

    The compressor holds back some megabytes, and a member's size stands before it, so raw text is added in members of
    4 MB while a margin of 2 MB is left.
    """
    limit = int(megabytes * 1e6)
    target = Budgeted(path)
    archive = tarfile.open(fileobj=target, mode="w|")
    counts = {}
    for split in ("train", "development", "held-out"):
        with open(output / "pairs" / f"{split}.jsonl") as lines:
            slim = [json.dumps({key: value for key, value in json.loads(line).items() if key not in DROPPED}) for line in lines]
        counts[f"pairs/{split}.jsonl"] = len(slim)
        add(archive, f"pairs/{split}.jsonl", slim)
    with open(output / "raw" / "train.jsonl") as lines:
        raw = [line.rstrip("\n") for line in lines]
    random.Random(seed).shuffle(raw)
    part, size, number = [], 0, 0
    for line in raw:
        part.append(line)
        size += len(line)
        if size >= 4_000_000:
            if target.size > limit - 2_000_000:
                break
            add(archive, f"raw/train.{number:04d}.jsonl", part)
            counts["raw/train.jsonl"] = counts.get("raw/train.jsonl", 0) + len(part)
            part, size, number = [], 0, number + 1
    else:
        add(archive, f"raw/train.{number:04d}.jsonl", part)
        counts["raw/train.jsonl"] = counts.get("raw/train.jsonl", 0) + len(part)
    archive.close()
    target.finish()
    if target.size > limit:
        raise SystemExit(f"{path} has {target.size:,} bytes, more than {limit:,}: the pairs alone do not fit")
    return {**counts, "bytes": target.size}


def add(archive: tarfile.TarFile, name: str, lines: list[str]) -> None:
    content = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass")
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def unpack(path: Path, output: Path) -> None:
    """Lays out what encoder.py reads: pairs/SPLIT.jsonl and raw/train.jsonl."""
    for folder in ("pairs", "raw"):
        (output / folder).mkdir(parents=True, exist_ok=True)
    with open(output / "raw" / "train.jsonl", "wb") as raw, tarfile.open(path, "r|xz") as archive:
        for member in archive:
            content = archive.extractfile(member).read()
            if member.name.startswith("raw/"):
                raw.write(content)
            else:
                (output / "pairs" / Path(member.name).name).write_bytes(content)


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
