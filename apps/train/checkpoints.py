"""Tiny random checkpoints in the layouts that transformers publishes, with what transformers computes on them.

    pip install transformers==5.24.0        beside requirements.txt; it is needed here alone
    python checkpoints.py bert ../../packages/models/src/fixtures/bert-tiny
    python checkpoints.py word-pieces ../../packages/models/src/fixtures/word-pieces.json

The tests of packages/models compare every engine with the golden values written here.
"""

import argparse
import json
import random
from pathlib import Path

import torch

WORDS = "the a of to in is list sort file read write parse header name value number string error test data set get add map key".split()
TEXTS = [
    "sort the list of numbers",
    "parse a header",
    "",
    "Read the FILE: get(key), set(key, value)!",
    "naïve café, élan",
    "the " * 80,
    "日本 𠀀 x",
    "unknowable ☃ words",
]


def vocabulary() -> list[str]:
    """Marks, letters and their continuations, and some words: enough for every kind of cut."""
    letters = [chr(code) for code in range(0x21, 0x7F) if not chr(code).isupper()]
    return ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters if letter.isalnum()), *WORDS, "##s", "##ing", "日"]


def tokenizer(lowercase: bool = True, strip: bool | None = None, added: tuple = (), clean: bool = True, chinese: bool = True, longest: int = 100):
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    words = list(dict.fromkeys(vocabulary()))
    found = Tokenizer(models.WordPiece({word: number for number, word in enumerate(words)}, unk_token="[UNK]", max_input_chars_per_word=longest))
    found.normalizer = normalizers.BertNormalizer(clean_text=clean, handle_chinese_chars=chinese, strip_accents=strip, lowercase=lowercase)
    found.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    found.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    found.add_tokens(list(added))
    found.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return found


def randomise(model: torch.nn.Module, seed: int) -> None:
    """Weights large enough that every part of the model shows in its output, norms and biases included."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() == 1:
                parameter.copy_((1.0 if name.endswith("LayerNorm.weight") or name.endswith("norm.weight") else 0.0) + 0.2 * noise)
            else:
                parameter.copy_(noise * (1.0 if "embeddings" in name else 1.5 / parameter.shape[-1] ** 0.5))


def rounded(vector: torch.Tensor) -> list[float]:
    return [float(f"{value:.7g}") for value in vector.tolist()]


def sentence_files(folder: Path, hidden: int, longest: int) -> None:
    files = {
        "modules.json": [
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
            {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
        ],
        "1_Pooling/config.json": {"word_embedding_dimension": hidden, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True},
        "sentence_bert_config.json": {"max_seq_length": longest, "do_lower_case": False},
        "config_sentence_transformers.json": {"prompts": {"query": "sort: ", "document": ""}, "default_prompt_name": None},
    }
    (folder / "1_Pooling").mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (folder / name).write_text(json.dumps(value, indent=2) + "\n")


def bert(folder: Path) -> None:
    """A BERT of three layers in two shards, the files of sentence-transformers, and the vectors after every layer."""
    from transformers import BertConfig, BertModel, __version__

    pieces, longest = tokenizer(), 32
    config = BertConfig(
        vocab_size=pieces.get_vocab_size(), hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=48,
        max_position_embeddings=40, type_vocab_size=2, layer_norm_eps=1e-12, hidden_act="gelu",
    )  # fmt: skip
    model = BertModel(config).eval()
    randomise(model, 1)
    model.save_pretrained(folder, max_shard_size="40KB")
    pieces.save(str(folder / "tokenizer.json"))
    sentence_files(folder, 32, longest)
    cases = []
    for text in TEXTS:
        ids = [2, *pieces.encode(text, add_special_tokens=False).ids[: longest - 2], 3]
        with torch.no_grad():
            states = model(torch.tensor([ids]), output_hidden_states=True).hidden_states
        unit = torch.nn.functional.normalize
        cases.append({
            "text": text, "ids": ids,
            "mean": {str(layer): rounded(unit(state[0].mean(0), dim=0)) for layer, state in enumerate(states) if layer},
            "first": {str(layer): rounded(unit(state[0, 0], dim=0)) for layer, state in enumerate(states) if layer},
        })  # fmt: skip
    (folder / "golden.json").write_text(json.dumps({"transformers": __version__, "cases": cases}, ensure_ascii=False))


RANGES = [
    (0x20, 0x7F), (0xA0, 0x250), (0x300, 0x370), (0x370, 0x400), (0x400, 0x530), (0x590, 0x600), (0x600, 0x700), (0x900, 0x980),
    (0xE00, 0xE80), (0xAC00, 0xD7A4), (0x3040, 0x3100), (0x4E00, 0x9FFF), (0x20000, 0x2A6DF), (0x1F300, 0x1F700), (0x2000, 0x2070),
    (0, 0x20), (0xFF00, 0xFFEF), (0x1E00, 0x2000), (0x1D400, 0x1D800), (0xFE00, 0xFE30), (0, 0x110000), (0x1100, 0x1200), (0x1000, 0x10A0),
]  # fmt: skip
ODD = [" ", "  ", "\n", "\t", "\u00a0", "\u3000", "'", "[MASK]", "[CLS]", "##", "ΑΣ", "Σ ", "ΟΔΟΣ", "İ", "ß", "ﬁ", "é", "e\u0301", "\u0301", "[mask]", "_", "a" * 101, "𠀀", "漢字", "<ADD>", "<add>", "<Late>x", " <LEFT>", "<RIGHT>  "]


def strings(count: int, seed: int) -> list[str]:
    """Strings of 23 ranges of characters, words, and what normalisers stumble over."""
    generator = random.Random(seed)
    found = []
    for _ in range(count):
        parts = []
        for _ in range(generator.randint(1, 9)):
            kind = generator.random()
            if kind < 0.3:
                parts.append(generator.choice(WORDS) + generator.choice(["", " ", "s", "ing "]))
            elif kind < 0.55:
                parts.append(generator.choice(ODD))
            else:
                low, high = generator.choice(RANGES)
                points = [generator.randrange(low, high) for _ in range(generator.randint(1, 4))]
                parts += [chr(point) for point in points if not 0xD800 <= point < 0xE000]
        found.append("".join(parts))
    return found


def word_pieces(path: Path) -> None:
    """Tokenizers of several settings, strings, and the ids of the Rust library."""
    from tokenizers import AddedToken, Tokenizer

    added = (
        AddedToken("<ADD>", normalized=False, special=False), AddedToken("<Late>", normalized=True), AddedToken("<LEFT>", lstrip=True, normalized=False),
        AddedToken("<RIGHT>", rstrip=True, normalized=False), AddedToken("sorted", single_word=True, normalized=False),
    )  # fmt: skip
    settings = [{}, {"lowercase": False}, {"strip": False}, {"lowercase": False, "strip": True}, {"clean": False}, {"chinese": False}, {"added": added, "longest": 12}]
    kinds = []
    for number, setting in enumerate(settings):
        pieces = tokenizer(**setting)
        texts = strings(150, number)
        kinds.append({"tokenizer": json.loads(pieces.to_str()), "texts": texts, "ids": [each.ids for each in pieces.encode_batch(texts, add_special_tokens=False)]})
    shipped = Path(__file__).parent.parent.parent / "packages/models/bundles/code-encoder-2/tokenizer.json"
    texts = strings(600, 99)
    whole = [each.ids for each in Tokenizer.from_file(str(shipped)).encode_batch(texts, add_special_tokens=False)]
    path.write_text(json.dumps({"kinds": kinds, "shipped": {"texts": texts, "ids": whole}}, ensure_ascii=True, separators=(",", ":")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = {"bert": bert, "word-pieces": word_pieces}
    parser.add_argument("kind", choices=kinds)
    parser.add_argument("place", type=Path)
    chosen = parser.parse_args()
    kinds[chosen.kind](chosen.place)


if __name__ == "__main__":
    main()
