"""Which far latents lie together so closely that they are a cluster of their own?

A new cluster is about as wide as the old ones, so a ball of their reach is moved to where it holds most far latents
(mean shift with a flat kernel), and it counts only where it holds clearly more than old rows alone would bring there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jamais.types import Bools, Floats, Ints, Vectors

_STARTS = 2_000  # far latents that may be a first centre: squares of them are held
_MOVES = 10
_APART = 2.0  # two groups lie so many radii apart, or the skirt of one would be another
_LOOSE = 1.5  # a group is so many times as wide as its densest spot
_ALONE = 1 / 3  # and no wider than that share of its distance to the nearest cluster
_TIMES = 3.0  # as many rows as old data would bring to the same ball
_SIGMAS = 4.0  # and as many standard deviations above it: 4 leave one chance in 30,000 a ball


@dataclass(frozen=True)
class Expected:
    """What old rows would bring: old latents [m, width], and as how many of the new rows each counts, [m].

    The weights follow how often each cluster comes among the new rows: ten times as many rows of one known cluster
    make its fringe ten times as dense, and are no news.
    """

    latents: Vectors
    weights: Floats

    def within(self, centre: Floats, radius: float) -> float:
        """Return how many new rows to expect in a ball."""
        gaps = np.add.reduce((self.latents - centre) ** 2, axis=1)
        # The nearest old row is added to those inside: none among few kept rows does not mean none among all.
        return float(self.weights[gaps <= radius**2].sum() + self.weights[int(gaps.argmin())])


def dense_groups(latents: Vectors, far: Bools, known: Expected | None, *, radius: float, smallest: int) -> list[Ints]:
    """Return the members (row numbers) of each group among the far `latents` [n, width], largest first.

    A group has at least `smallest` far members within `radius` of its centre.
    """
    left = np.flatnonzero(far)
    groups: list[Ints] = []
    while len(left) >= smallest:
        centre = _densest(latents[left], radius)
        inside = _within(latents[left], centre, radius)
        if np.count_nonzero(inside) < smallest:
            break
        if _is_news(latents, known, centre, radius, smallest):
            groups.append(left[inside])
            inside = _within(latents[left], centre, _APART * radius)
        left = left[~inside]
    return groups


def own_radius(far: Vectors, gaps: Floats, *, least: float, smallest: int) -> float:
    """Return how wide groups among the `far` latents [n, width] are, where no old cluster says it.

    `gaps` [n] are their distances to the nearest centre. It is `least` where they lie loosely.
    """
    starts = np.arange(len(far))[:: -(-len(far) // _STARTS) or 1]
    if len(far) <= smallest:
        return least
    held = [np.partition(np.add.reduce((far - far[one]) ** 2, axis=1), smallest - 1)[smallest - 1] for one in starts]
    densest = int(np.argmin(held))
    radius = _LOOSE * float(held[densest]) ** 0.5
    return max(least, radius) if radius <= _ALONE * gaps[starts[densest]] else least


def _densest(rows: Vectors, radius: float) -> Floats:
    """Return the centre [width] of the ball that holds most rows, moved to their mean a few times."""
    starts = rows[:: -(-len(rows) // _STARTS)].astype(np.float64)
    held = np.array([np.count_nonzero(_within(rows, start, radius)) for start in starts])
    centre: Floats = starts[int(held.argmax())]
    best, most = centre, int(held.max())
    for _ in range(_MOVES):
        inside = _within(rows, centre, radius)
        centre = rows[inside].mean(axis=0, dtype=np.float64)
        now = int(np.count_nonzero(_within(rows, centre, radius)))
        if now <= most:
            break
        best, most = centre, now
    return best


def _within(rows: Vectors, centre: Floats, radius: float) -> Bools:
    return np.asarray(np.add.reduce((rows - centre) ** 2, axis=1) <= radius**2)


def _is_news(latents: Vectors, known: Expected | None, centre: Floats, radius: float, smallest: int) -> bool:
    """Tell whether the ball holds many more of the new latents than their share of the old ones."""
    here = int(np.count_nonzero(_within(latents, centre, radius)))
    if known is None or not len(known.latents):
        return here >= smallest
    expected = known.within(centre, radius)
    return bool(here >= max(smallest, _TIMES * expected, expected + _SIGMAS * expected**0.5))
