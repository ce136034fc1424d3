"""MinHash against exact Jaccard similarity."""

import random

from minhash import PERMUTATIONS, Seen, shingles, signature


def exact(left, right):
    left, right = set(left.tolist()), set(right.tolist())
    return len(left & right) / len(left | right)


def test_the_share_of_equal_minima_estimates_jaccard():
    generator = random.Random(1)
    words = [f"word{number}" for number in range(400)]
    for _ in range(30):
        left = generator.choices(words, k=300)
        right = list(left)
        for place in generator.sample(range(300), generator.randrange(0, 100)):
            right[place] = generator.choice(words)
        a, b = shingles(" ".join(left), (5,)), shingles(" ".join(right), (5,))
        estimate = (signature(a) == signature(b)).mean()
        assert abs(estimate - exact(a, b)) < 4 * 0.5 / PERMUTATIONS**0.5


def test_shingles_are_runs():
    def count(text, sizes):
        return len(shingles(text, sizes))

    assert count("a b c d e f", (5,)) == 2
    assert count("a b", (5,)) == 1
    assert count("", (5,)) == 0
    assert count("a b a b", (1, 2)) == 4
    assert shingles("Foo(Bar)", (5,)).tolist() == shingles("foo ( bar )", (5,)).tolist()


def test_finds_near_duplicates_and_only_those():
    generator = random.Random(2)
    seen = Seen((5,))
    texts = [" ".join(generator.choices("abcdefghijklmnop", k=120)) for _ in range(200)]
    assert all(seen.add(text, str(number)) is None for number, text in enumerate(texts))
    for number, text in enumerate(texts):
        words = text.split()
        words[generator.randrange(120)] = "z"
        assert seen.add(" ".join(words), "copy") == str(number)


def test_a_found_duplicate_is_not_remembered():
    seen = Seen((1, 2))
    assert seen.add("returns the sum of two numbers", "a") is None
    assert seen.add("Returns the sum of two numbers.", "b") == "a"
    assert len(seen._labels) == 1
