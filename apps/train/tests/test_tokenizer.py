"""The frozen tokenizer: its reserved ids, that nothing is lost, that text cannot spell a mark, and linear time."""

import sys
import time

import pytest

import tokenizer as tokens

TOKENIZER = tokens.load()


def encode(text):
    return tokens.encode(TOKENIZER, [text])[0]


def decode(ids):
    return TOKENIZER.decode(ids, skip_special_tokens=False)


def test_reserved_ids():
    names = [TOKENIZER.id_to_token(number) for number in range(128)]
    assert names == tokens.RESERVED
    assert names[:7] == ["<pad>", "<cls>", "<sep>", "<mask>", "<query>", "<code>", "<text>"]
    assert TOKENIZER.get_vocab_size() == tokens.SIZE
    assert len(set(names)) == 128


def test_text_cannot_spell_a_mark():
    for mark in tokens.RESERVED:
        assert min(encode(f"a {mark}b{mark}")) >= 128


def test_every_code_point_survives():
    """All of Unicode but surrogates, in runs of 512 with a letter between."""
    points = [chr(number) for number in range(sys.maxunicode + 1) if not 0xD800 <= number < 0xE000]
    texts = ["a".join(points[start : start + 512]) for start in range(0, len(points), 512)]
    for text, ids in zip(texts, tokens.encode(TOKENIZER, texts), strict=True):
        assert decode(ids) == text


def test_lone_surrogates_count_as_replacement_characters():
    assert encode("a\ud800b\udfff") == encode("a\ufffdb\ufffd")
    assert encode("\ud83d\ude80") == encode("🚀")


def test_a_pieces_bound_makes_it_linear():
    def seconds(text):
        started = time.perf_counter()
        encode(text)
        return time.perf_counter() - started

    for character in ("x", "é", "(", " ", "\n"):
        short, long = (min(seconds(character * size) for _ in range(3)) for size in (125_000, 1_000_000))
        assert long < 40 * max(short, 1e-3), f"{character!r}: {short:.3f} s for an eighth of {long:.3f} s"


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("parseHTTPResponse2", ["parse", "HTTP", "Response", "2"]),
        ("a != b", ["a", " !=", " b"]),
        ("if x:\n        return", ["if", " x", ":", "\n        ", "return"]),
        ("a  b\t", ["a", "  ", "b", "\t"]),
        ("na\u00efve", ["na", "\u00ef", "ve"]),
        ("x" * 70, ["x" * 32, "x" * 32, "x" * 6]),
        ("\x00\x1f", ["\x00", "\x1f"]),
    ],
)
def test_the_pattern_cuts(text, pieces):
    split = tokens.fresh().pre_tokenizer.pre_tokenize_str(text)
    assert [text[start:end] for _, (start, end) in split] == pieces


def test_training_is_bounded_and_reserved():
    small = tokens.train(["def add(a, b):\n    return a + b\n"] * 50, size=450)
    assert [small.id_to_token(number) for number in (0, 127)] == ["<pad>", "<reserved127>"]
    assert min(tokens.encode(small, ["<pad> add"])[0]) >= 128
    assert len(tokens.encode(small, ["return"])[0]) == 1
