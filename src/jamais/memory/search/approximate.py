"""Which rows are probably the nearest, faster than any exact search of a large memory finds them?

An inverted file of faiss (Jégou et al., PAMI 2011) looks into the lists nearest to a query only. It names candidates
and nothing else: their distances are computed exactly. It is made from the rows again whenever they have changed
much, and is never saved.
"""

from __future__ import annotations

from math import isqrt
from typing import Any

import numpy as np

from jamais.errors import MissingExtraError
from jamais.memory.search.columns import Numbers
from jamais.types import Ints

FEWEST = 50_000
"""Rows below which the exact search is as fast."""
_PROBES = 8  # lists looked into
_TRAINED_ON = 40  # rows for each list, at which faiss no longer warns
_MORE = 4  # candidates beyond k: distances of near-duplicates are rounded in faiss


class ApproximateRows:
    """Name candidates for the nearest of `rows` [m, width]; raise `MissingExtraError` without faiss."""

    def __init__(self, rows: Numbers, centre: Numbers) -> None:
        try:
            import faiss
        except ImportError:
            raise MissingExtraError("an approximate search", "ann") from None
        self._centre = centre
        self._m: int = len(rows)
        width = rows.shape[1]
        n_lists = 2 * isqrt(self._m)
        self._quantizer = faiss.IndexFlatL2(width)
        self._index: Any = faiss.IndexIVFFlat(self._quantizer, width, n_lists)
        self._index.nprobe = min(_PROBES, n_lists)
        centred = (rows - centre).astype(np.float32)
        chosen = np.random.default_rng(0).permutation(self._m)[: _TRAINED_ON * n_lists]
        self._index.train(centred[chosen])
        self._index.add(centred)

    def __len__(self) -> int:
        return self._m

    def candidates(self, queries: Numbers, k: int) -> tuple[Ints, Ints]:
        """Return sorted (query, slot) pairs; queries [n] for whom fewer than `k` were found have none."""
        slots = self._index.search((queries - self._centre).astype(np.float32), min(k + _MORE, self._m))[1]
        slots[(slots >= 0).sum(axis=1) < k] = -1
        query, place = np.nonzero(slots >= 0)
        keys = query * self._m + slots[query, place]
        keys.sort()
        return np.divmod(keys, self._m)
