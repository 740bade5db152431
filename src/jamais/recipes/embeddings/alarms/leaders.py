"""Which alarms are of one cause?

Leader clustering (Hartigan 1975): the first alarm founds a cause, later ones within its reach join the nearest
founder. One pass in the order of the rows, so how the rows were cut into pieces changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jamais.errors import CorruptStateError
from jamais.memory.nearest import NearestRows, squared_differences
from jamais.types import Ints, StateTree, Vectors

NONE = -1


class Leaders:
    """Founders [m, width] of causes; bounded. Rows in reach of two belong to the nearest, then to the older one."""

    def __init__(self, width: int, reach: float, capacity: int) -> None:
        self.reach, self.capacity = float(reach), int(capacity)
        self.rows: Vectors = np.empty((0, width), dtype=np.float32)
        self.names: list[str] = []
        self._search: NearestRows | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def found(self, rows: Vectors) -> Ints:
        """Return the place [n] of the nearest founder in reach of each row, -1 where none is; change nothing."""
        return self._nearest(rows)[0]

    def joined(self, rows: Vectors, names: Sequence[str]) -> list[str]:
        """Give the cause of each of `rows` [n, width], letting those out of reach found one by their own name.

        Where there is no more room, a row out of reach is a cause of its own that nothing joins.
        """
        places, distances = self._nearest(rows)
        founded: list[int] = []
        for row in np.flatnonzero(places == NONE).tolist():
            if places[row] != NONE or len(self) + len(founded) >= self.capacity:
                continue
            place = len(self) + len(founded)
            founded.append(row)
            gaps = np.sqrt(squared_differences(rows[row:], np.broadcast_to(rows[row], rows[row:].shape)))
            nearer = (gaps <= self.reach) & (gaps < distances[row:])
            places[row:][nearer], distances[row:][nearer] = place, gaps[nearer]
            places[row] = place
        self.add(rows[founded], [names[row] for row in founded])
        return [names[row] if place == NONE else self.names[place] for row, place in enumerate(places.tolist())]

    def add(self, rows: Vectors, names: Sequence[str]) -> None:
        """Let rows found causes of these names."""
        if len(rows):
            self.rows = np.concatenate([self.rows, rows]).astype(np.float32)
            self.names = [*self.names, *names]
            self._search = None

    def state_dict(self) -> StateTree:
        """Give, as JSON values, the founders."""
        return {"rows": [[float(number) for number in row] for row in self.rows], "names": list(self.names)}

    def load_state_dict(self, tree: StateTree) -> None:
        rows = np.array(tree["rows"], dtype=np.float32).reshape(len(tree["rows"]), self.rows.shape[1])
        if len(rows) != len(tree["names"]):
            raise CorruptStateError("founders of causes and their names do not fit together")
        self.rows, self.names, self._search = rows, [str(name) for name in tree["names"]], None

    def _nearest(self, rows: Vectors) -> tuple[Ints, np.ndarray]:
        if not len(self) or not len(rows):
            return np.full(len(rows), NONE, dtype=np.int64), np.full(len(rows), np.inf)
        if self._search is None:
            self._search = NearestRows(self.rows)
        distances, slots = self._search.nearest(rows, 1)
        near = distances[:, 0] <= self.reach
        return np.where(near, slots[:, 0], NONE), np.where(near, distances[:, 0], np.inf)
