"""Balanced k-means with the published care: k-means++ starts, the best of several, and each assignment exact.

After arXiv 2310.10908, whose release clusters with k-means-constrained: groups of one size, the assignment by minimum cost.
Needs scipy besides requirements.txt.
"""

import numpy
from torch import Tensor, from_numpy
from torch.nn import functional as F


def exact_clusters(keys: Tensor, clusters: int, seed: int = 0, starts: int = 10, rounds: int = 10) -> Tensor:
    """The cluster of each row of `keys` [rows, width], all of one size: the start of least inertia of `starts`.

    Rows are brought to unit length. Raises ValueError where the clusters do not divide the rows.
    """
    if len(keys) % clusters:
        raise ValueError(f"{clusters} experts do not divide {len(keys)} neurons")
    points = F.normalize(keys.detach().double(), dim=-1).numpy()
    found = [one_start(points, clusters, numpy.random.default_rng((seed, start)), rounds) for start in range(starts)]
    return from_numpy(min(found, key=lambda labels: inertia(points, labels, clusters)))


def one_start(points: numpy.ndarray, clusters: int, random: numpy.random.Generator, rounds: int) -> numpy.ndarray:
    from scipy.optimize import linear_sum_assignment

    centres = points[[random.integers(len(points))]]
    while len(centres) < clusters:
        nearest = squared(points, centres).min(1)
        centres = numpy.vstack([centres, points[random.choice(len(points), p=nearest / nearest.sum())]])
    size, labels = len(points) // clusters, None
    for _ in range(rounds):
        # every cluster stands there once for each of its places
        places = linear_sum_assignment(squared(points, centres).repeat(size, axis=1))[1] // size
        if labels is not None and (places == labels).all():
            break
        labels = places
        centres = numpy.stack([points[labels == cluster].mean(0) for cluster in range(clusters)])
    return labels


def squared(points: numpy.ndarray, centres: numpy.ndarray) -> numpy.ndarray:
    return numpy.maximum((points**2).sum(1)[:, None] - 2 * points @ centres.T + (centres**2).sum(1), 0)


def inertia(points: numpy.ndarray, labels: numpy.ndarray, clusters: int) -> float:
    """The sum of squared distances of rows to the mean of their cluster."""
    return float(sum(((points[labels == cluster] - points[labels == cluster].mean(0)) ** 2).sum() for cluster in range(clusters)))
