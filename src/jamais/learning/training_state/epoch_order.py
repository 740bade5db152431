"""Which rows come next, in an order that is another one in each epoch and the same after a restart?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from jamais.errors import SettingsError, StateError
from jamais.learning.training_state.reading import part, same_settings
from jamais.types import Ints, StateTree


class EpochOrder:
    """Batches of row numbers, each row once per epoch. Its state is three numbers: seed, epoch, index.

    A loader that fetches ahead takes the batches of `ahead()` and calls `advance()` when one has been used: a
    position moved while fetching would lose the batches that were fetched and not trained on.
    """

    def __init__(self, n: int, *, batch: int, seed: int, shuffle: bool = True) -> None:
        if n < 1 or batch < 1 or seed < 0:
            raise SettingsError(f"an order wants n >= 1, batch >= 1 and seed >= 0, got {n}, {batch}, {seed}")
        self.n, self.batch, self.seed, self.shuffle = n, batch, seed, shuffle
        self.epoch = 0
        self.index = 0
        """Batches of this epoch that have been used."""
        self._order: tuple[int, Ints] | None = None

    @property
    def batches(self) -> int:
        """How many batches an epoch has; the last may be smaller."""
        return -(-self.n // self.batch)

    def draw(self) -> Ints:
        """Return the next batch, [at most batch], and move behind it."""
        rows = self._rows(self.index)
        self.advance()
        return rows

    def ahead(self) -> Iterator[Ints]:
        """Give the batches left in this epoch without moving."""
        return iter([self._rows(index) for index in range(self.index, self.batches)])

    def advance(self) -> None:
        """Move behind one batch, at the end of an epoch to the beginning of the next."""
        self.index += 1
        if self.index == self.batches:
            self.epoch, self.index = self.epoch + 1, 0

    def state_dict(self) -> StateTree:
        """Return the position, and what the order is made of."""
        return {"epoch": self.epoch, "index": self.index, "order": self._made_of()}

    def load_state_dict(self, tree: StateTree) -> None:
        """Go to a saved position; raise `StateError` when it is a position in another order."""
        same_settings("data.order", part(tree, "order", dict, "data"), self._made_of())
        epoch, index = part(tree, "epoch", int, "data"), part(tree, "index", int, "data")
        if epoch < 0 or not 0 <= index < self.batches:
            raise StateError(f"data: saved epoch {epoch}, index {index}, here {self.batches} batches an epoch")
        self.epoch, self.index = epoch, index

    def _made_of(self) -> StateTree:
        return {"n": self.n, "batch": self.batch, "seed": self.seed, "shuffle": self.shuffle}

    def _rows(self, index: int) -> Ints:
        if self._order is None or self._order[0] != self.epoch:
            self._order = self.epoch, self._order_of(self.epoch)
        rows: Ints = self._order[1][index * self.batch : (index + 1) * self.batch].copy()
        return rows

    def _order_of(self, epoch: int) -> Ints:
        if not self.shuffle:
            return np.arange(self.n, dtype=np.int64)
        # Raw bits and a stable sort: numpy promises them for ever, of `permutation` it does not.
        keys = np.random.PCG64([self.seed, epoch]).random_raw(self.n)
        return np.argsort(keys, kind="stable").astype(np.int64)
