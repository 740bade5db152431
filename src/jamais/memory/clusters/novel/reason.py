"""Is there reason to look for new clusters?

A look costs as much as many rows, so it is taken when the distances to the exemplars are spread otherwise than those
of held-out rows (more far ones, or more near ones: a new cluster may be dense), and now and then without a reason.
"""

from __future__ import annotations

import numpy as np

from jamais.errors import CorruptStateError
from jamais.types import Floats, Ints, StateTree

_PARTS = 10
_REASON = 21.7  # of chi-squared with 9 degrees of freedom: one in a hundred without a reason
_FEWEST = 64
_OFTEN, _SELDOM = 4, 2  # looks per buffer of recent rows, with reason; buffers per so many looks, without
_MOST_BARREN = 4


class Watch:
    """Counts of rows since the last look, by tenths of the held-out rows' distances."""

    def __init__(self) -> None:
        self.counts: Ints = np.zeros(_PARTS, dtype=np.int64)
        self.barren = 0
        """Looks in a row that found nothing: each makes the next one rarer."""

    def copy(self) -> Watch:
        made = Watch()
        made.counts, made.barren = self.counts.copy(), self.barren
        return made

    def see(self, distances: Floats, held: Floats) -> None:
        """Count rows by their `distances` [n] to the exemplars, beside those of held-out rows [h]."""
        edges = np.quantile(held, np.arange(1, _PARTS) / _PARTS)
        self.counts = self.counts + np.bincount(np.searchsorted(edges, distances), minlength=_PARTS)

    def due(self, n_recent: int, n_held: int, capacity: int) -> bool:
        """Say whether to look now."""
        n = int(self.counts.sum())
        often, seldom = max(_FEWEST, n_recent // _OFTEN), capacity // _SELDOM
        if n < often << self.barren and n < seldom << self.barren:
            return False
        expected = n / _PARTS
        chi = float(((self.counts - expected) ** 2).sum() / max(expected, 1e-9)) / (1.0 + n / max(1, n_held))
        return n >= (seldom << self.barren) or chi > _REASON

    def looked(self, found: bool) -> None:
        self.counts = np.zeros(_PARTS, dtype=np.int64)
        self.barren = 0 if found else min(self.barren + 1, _MOST_BARREN)

    def state_dict(self) -> StateTree:
        return {"counts": self.counts, "barren": self.barren}

    @classmethod
    def from_state(cls, tree: StateTree) -> Watch:
        made = cls()
        made.counts, made.barren = np.array(tree["counts"]), int(tree["barren"])
        if made.counts.shape != (_PARTS,) or made.counts.dtype != np.int64 or not 0 <= made.barren <= _MOST_BARREN:
            raise CorruptStateError("counts of a cluster memory are not what they can be: load another version")
        return made
