"""Is there reason to look for new clusters?

A look costs as much as many rows, so it is taken when the distances to the exemplars are spread otherwise than those
of held-out rows (more far ones, or more near ones: a new cluster may be dense), and now and then without a reason.
"""

from __future__ import annotations

import numpy as np

from jamais.errors import CorruptStateError
from jamais.types import Floats, StateTree

_TAIL = 0.1  # of held-out rows are nearer, or farther, than rows that are counted
_REASON = 2.6  # standard errors more than expected, at either end: one in a hundred without a reason
_FEWEST = 64
_OFTEN, _SELDOM = 4, 2  # looks per buffer of recent rows, with a reason and without
_MOST_BARREN = 4


class Watch:
    """How long ago was the last look, and how many in a row found nothing? Each makes the next one rarer."""

    def __init__(self) -> None:
        self.since = 0
        self.barren = 0
        self.n_looks = 0

    def copy(self) -> Watch:
        made = Watch()
        made.since, made.barren, made.n_looks = self.since, self.barren, self.n_looks
        return made

    def due(self, distances: Floats, held: Floats, capacity: int) -> bool:
        """Say whether to look, by `distances` [n] of recent and [h] of held-out rows to the exemplars."""
        if self.since >= (capacity // _SELDOM) << self.barren:
            return True
        often = max(_FEWEST, len(distances) // _OFTEN) << min(self.barren, 1)
        return self.since >= often and _excess(distances, held) > _REASON

    def looked(self, found: bool) -> None:
        self.since = 0
        self.n_looks += 1
        self.barren = 0 if found else min(self.barren + 1, _MOST_BARREN)

    def state_dict(self) -> StateTree:
        return {"since": self.since, "barren": self.barren, "n_looks": self.n_looks}

    @classmethod
    def from_state(cls, tree: StateTree) -> Watch:
        made = cls()
        made.since, made.barren, made.n_looks = (int(tree[name]) for name in ("since", "barren", "n_looks"))
        if min(made.since, made.n_looks) < 0 or not 0 <= made.barren <= _MOST_BARREN:
            raise CorruptStateError("counts of a cluster memory are not what they can be: load another version")
        return made


def _excess(distances: Floats, held: Floats) -> float:
    """Return how many standard errors more of `distances` [n] than of `held` [h] lie at one end of the latter."""
    low, high = np.quantile(held, [_TAIL, 1.0 - _TAIL])
    most = max(int((distances < low).sum()), int((distances > high).sum()))
    expected = _TAIL * len(distances)
    variance = (1.0 - _TAIL) * expected * (1.0 + len(distances) / max(1, len(held)))
    return float((most - expected) / max(variance, 1e-9) ** 0.5)
