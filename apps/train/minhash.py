"""Near-duplicates by MinHash and banded locality-sensitive hashing.

Broder, "On the resemblance and containment of documents" (1997): the share of equal minima under random
permutations estimates the Jaccard similarity of two sets of shingles. With b bands of r rows, a pair of similarity s
meets in at least one band with probability 1 - (1 - s^r)^b (Leskovec, Rajaraman, Ullman, "Mining of Massive
Datasets", section 3.4): 32 bands of 4 rows find 99.98 % of the pairs at s = 0.7.
"""

import re
import zlib

import numpy

PERMUTATIONS = 128
BANDS = 32
ROWS = PERMUTATIONS // BANDS
THRESHOLD = 0.7

_generator = numpy.random.default_rng(20_240)
_FACTORS = _generator.integers(1, 2**63, PERMUTATIONS, dtype=numpy.uint64) * 2 + 1
_OFFSETS = _generator.integers(0, 2**63, PERMUTATIONS, dtype=numpy.uint64)
_POWERS = numpy.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93, 0xFF51AFD7ED558CCD], numpy.uint64)  # fmt: skip


def shingles(text: str, sizes: tuple[int, ...]) -> numpy.ndarray:
    """Hashes of every run of `size` words or symbols of the lower-cased text, for each size; uint64, unique."""
    words = re.findall(r"[a-z0-9]+|[^\sa-z0-9]", text.lower())
    hashes = numpy.array([zlib.crc32(word.encode("utf-8", "replace")) for word in words], numpy.uint64)
    runs = []
    for size in sizes:
        count = max(len(hashes) - size + 1, min(len(hashes), 1))
        total = numpy.full(count, size, numpy.uint64)
        for place in range(min(size, len(hashes))):
            total = total + hashes[place : place + count] * _POWERS[place]
        total ^= total >> numpy.uint64(29)
        runs.append(total * _POWERS[0])
    return numpy.unique(numpy.concatenate(runs))


def signature(hashes: numpy.ndarray) -> numpy.ndarray:
    """[PERMUTATIONS] uint32: the least value of each permutation over the set; multiply-shift hashing."""
    if len(hashes) == 0:
        return numpy.zeros(PERMUTATIONS, numpy.uint32)
    least = numpy.full(PERMUTATIONS, 2**32 - 1, numpy.uint32)
    for start in range(0, len(hashes), 4_096):
        part = hashes[start : start + 4_096]
        permuted = (part[:, None] * _FACTORS + _OFFSETS) >> numpy.uint64(32)
        least = numpy.minimum(least, permuted.min(axis=0).astype(numpy.uint32))
    return least


class Seen:
    """The texts met so far. `add` tells whether one like it was met before; only new ones are kept."""

    def __init__(self, sizes: tuple[int, ...], threshold: float = THRESHOLD) -> None:
        self.sizes = sizes
        self.threshold = threshold
        self._bands: list[dict[bytes, int]] = [{} for _ in range(BANDS)]
        self._signatures: list[numpy.ndarray] = []
        self._labels: list[str] = []

    def add(self, text: str, label: str) -> str | None:
        """Returns the label of a near-duplicate met before, or None; then the text is remembered under `label`."""
        minima = signature(shingles(text, self.sizes))
        keys = [minima[band * ROWS : (band + 1) * ROWS].tobytes() for band in range(BANDS)]
        for candidate in {self._bands[band][key] for band, key in enumerate(keys) if key in self._bands[band]}:
            if numpy.count_nonzero(self._signatures[candidate] == minima) >= self.threshold * PERMUTATIONS:
                return self._labels[candidate]
        place = len(self._signatures)
        self._signatures.append(minima)
        self._labels.append(label)
        for band, key in enumerate(keys):
            self._bands[band].setdefault(key, place)
        return None
