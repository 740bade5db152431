"""What does it cost when 1 % of the train part is abnormal, and what does a row that was learned so still score?"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.series.sets import Series
from jamais.evaluation.series import segments

SHARE = 0.01


@dataclass(frozen=True)
class Contaminated:
    """A series whose train part has abnormal stretches of its test in it, and which rows of the test those are."""

    series: Series
    taken: NDArray[np.bool_]

    def rest(self, series: Series) -> Series:
        """Return `series` without the rows that were taken."""
        left = ~self.taken
        return replace(series, rows=series.rows[left], labels=series.labels[left], causes=())


def contaminate(series: Series, share: float = SHARE, seed: int = 0) -> Contaminated:
    """Write whole abnormal stretches of the test, in random order, over train rows until `share` of these are abnormal.

    The last stretch is cut where the share is reached; one stretch always stays out of train.
    """
    chance = np.random.default_rng(seed)
    spans = chance.permutation(segments(series.labels))
    train, taken = series.train.copy(), np.zeros(len(series.labels), dtype=np.bool_)
    wanted = round(share * len(train))
    free = np.ones(len(train), dtype=np.bool_)
    for first, after in spans[:-1]:
        length = min(int(after - first), wanted)
        if length == 0:
            break
        places = np.flatnonzero(np.convolve(free, np.ones(length), mode="valid") >= length)
        at = int(chance.choice(places))
        train[at : at + length] = series.rows[first : first + length]
        free[at : at + length] = False
        taken[first : first + length] = True
        wanted -= length
    return Contaminated(replace(series, train=train), taken)
