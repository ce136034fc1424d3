"""The tokenizer of both models: byte-level BPE over 16,384 ids, trained once on the mine and frozen since.

    python tokenizer.py train OUTPUT      trains on OUTPUT/raw/train.jsonl; refuses to replace the frozen one
    python tokenizer.py lines OUTPUT FILE writes 100,000 mined lines with their ids; agree.mjs compares TypeScript's
    python tokenizer.py cases             writes the cases that the TypeScript tests compare

Ids 0–127 are reserved for marks such as <query>. They are entries of the vocabulary only and no merge makes them,
so that no text can spell one: "<end>" inside a document is five ordinary characters.

The pattern that cuts text before merging names ASCII classes only, so that it never depends on the Unicode tables of a
language, and bounds every piece, so that the time is linear in the text whatever it holds. Lone surrogates count as
U+FFFD.
"""

import argparse
import hashlib
import json
import random
import struct
import sys
from pathlib import Path

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

PATH = Path(__file__).parent.parent.parent / "packages" / "models" / "tokenizer" / "tokenizer.json"
CASES = PATH.parent.parent / "src" / "fixtures" / "tokenizer-cases.json"
SIZE = 16_384
LANGUAGES = (
    "python", "javascript", "typescript", "go", "java", "markdown", "json", "html", "css", "bash", "sql", "c", "cpp",
    "csharp", "rust", "ruby", "php", "kotlin", "swift", "scala", "yaml", "cypher",
)  # fmt: skip
MARKS = (
    "pad", "cls", "sep", "mask", "query", "code", "text",
    *LANGUAGES,
    "system", "user", "assistant", "tool", "passage",
    *(f"cite{number}" for number in range(1, 10)),
    "refuse", "yes", "no", "end",
)  # fmt: skip
RESERVED = [f"<{mark}>" for mark in MARKS] + [f"<reserved{number}>" for number in range(len(MARKS), 128)]
ID = {mark: number for number, mark in enumerate(MARKS)}

PATTERN = "|".join(
    (
        r" ?[A-Z]{1,32}(?![a-z])",  # HTTP of HTTPResponse
        r" ?[A-Z]?[a-z]{1,32}",
        r" ?[0-9]",
        r" ?[^\x00-\x7F]{1,16}",
        r" ?[!-/:-@\[-`{-~]{1,16}",
        r"\r?\n[ \t]{0,32}",  # a line break with the indentation after it
        r"[ \t]{1,32}",
        r"[\x00-\x7F]",
    )
)


def well_formed(text: str) -> str:
    """Joins surrogate pairs and replaces lone surrogates by U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def load(path: Path = PATH) -> tokenizers.Tokenizer:
    return tokenizers.Tokenizer.from_file(str(path))


def encode(tokenizer: tokenizers.Tokenizer, texts: list[str]) -> list[list[int]]:
    return [encoding.ids for encoding in tokenizer.encode_batch_fast([well_formed(text) for text in texts])]


def fresh(pattern: str = PATTERN) -> tokenizers.Tokenizer:
    """An untrained tokenizer that cuts text by a pattern, which must match every character."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def train(texts, size: int = SIZE, pattern: str = PATTERN) -> tokenizers.Tokenizer:
    """Trains on an iterable of texts, and takes the reserved marks out of what text can match."""
    tokenizer = fresh(pattern)
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=RESERVED,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        max_token_length=32,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    document = json.loads(tokenizer.to_str())
    document["added_tokens"] = []
    return tokenizers.Tokenizer.from_str(json.dumps(document))


def lines_of(output: Path, count: int, seed: int = 3) -> list[str]:
    """Lines drawn from all raw files of the mine, markdown included; the same for one seed."""
    generator = random.Random(seed)
    kept: list[str] = []
    with open(output / "raw" / "train.jsonl") as files:
        for number, line in enumerate(files):
            if number % 7 == 0:
                kept += [text for text in json.loads(line)["text"].split("\n") if text.strip() and generator.random() < 0.2]
    return generator.sample(kept, min(count, len(kept)))


def write_cases(tokenizer: tokenizers.Tokenizer) -> None:
    """Texts with their ids; and for every 4,096 code points the SHA-256 of their ids, little-endian int32."""
    texts = [
        "", "a", " ", "\n", "def parseHTTPResponse(x, y2):\n    return x[12:3] != y2  # done\n", "\tif (a  &&  b) {\r\n\t\t}\r\n",
        "const naïve = `café ${x}`;", "你好，世界", "مرحبا بالعالم", "नमस्ते दुनिया", "สวัสดีชาวโลก", "Здравствуй, мир", "🚀👩‍👩‍👧‍👦 e\u0301",
        "<query> <end> <pad><mask>", "\u0000\u0001\u007f\u0080\u00ad\ufeff\uffff", "x" * 100, "(" * 50, " " * 70, "_" * 33 + "A" * 40 + "b",
    ]  # fmt: skip
    generator = random.Random(5)
    alphabet = [chr(code) for code in range(128)] + list("éß漢🚀\u2028")
    texts += ["".join(generator.choices(alphabet, k=generator.randrange(1, 120))) for _ in range(120)]
    document = {
        "texts": [{"text": text, "ids": ids} for text, ids in zip(texts, encode(tokenizer, texts), strict=True)],
        "surrogates": [{"units": [0x61, 0xD800, 0x62], "ids": encode(tokenizer, ["a\ud800b"])[0]}, {"units": [0xDC00], "ids": encode(tokenizer, ["\udc00"])[0]}, {"units": [0xD83D, 0xDE80], "ids": encode(tokenizer, ["🚀"])[0]}],
        "codePoints": [hashlib.sha256(struct.pack(f"<{len(ids)}i", *ids)).hexdigest() for ids in encode(tokenizer, blocks())],
    }  # fmt: skip
    CASES.parent.mkdir(parents=True, exist_ok=True)
    CASES.write_text(json.dumps(document, indent=1) + "\n")
    print(f"{len(texts)} texts and {len(document['codePoints'])} blocks in {CASES.name}")


def blocks() -> list[str]:
    """The code points but surrogates, 4,096 at a time, joined by "a": all of planes 0 and 1, every 64th of the rest."""
    return [
        "a".join(chr(code) for code in range(start, start + 4_096, 1 if start < 0x20000 else 64) if not 0xD800 <= code < 0xE000)
        for start in range(0, 0x110000, 4_096)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train")
    training.add_argument("output", type=Path)
    training.add_argument("--replace", action="store_true", help="replace the frozen tokenizer: every bundle becomes void")
    sampling = commands.add_parser("lines")
    sampling.add_argument("output", type=Path)
    sampling.add_argument("file", type=Path)
    sampling.add_argument("--count", type=int, default=100_000)
    commands.add_parser("cases")
    chosen = parser.parse_args()
    if chosen.command == "cases":
        write_cases(load())
    elif chosen.command == "train":
        if PATH.exists() and not chosen.replace:
            sys.exit(f"{PATH} is frozen: every bundle was made with it. --replace voids them all.")
        with open(chosen.output / "raw" / "train.jsonl") as files:
            tokenizer = train(well_formed(json.loads(line)["text"]) for number, line in enumerate(files) if number % 2 == 0)
        PATH.parent.mkdir(parents=True, exist_ok=True)
        PATH.write_text(tokenizer.to_str(pretty=False))
        print(f"{tokenizer.get_vocab_size()} entries in {PATH.name}")
    else:
        lines = lines_of(chosen.output, chosen.count)
        with open(chosen.file, "w") as file:
            for text, ids in zip(lines, encode(load(), lines), strict=True):
                file.write(json.dumps({"text": text, "ids": ids}) + "\n")
        print(f"{len(lines)} lines in {chosen.file}")


if __name__ == "__main__":
    main()
