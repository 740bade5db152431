"""Which alarms are of one cause?

Leader clustering (Hartigan 1975): the first alarm founds a cause, and a later one joins the first founder in whose
reach it lies. One pass in the order of the rows, so how the rows were cut into pieces changes nothing, and founders
that are kept give the same rows the same causes the next time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jamais.errors import CorruptStateError
from jamais.memory.nearest import NearestRows, squared_differences
from jamais.types import Bools, Ints, StateTree, Vectors

NONE = -1


class Leaders:
    """Founders [m, width] of causes; bounded."""

    def __init__(self, width: int, reach: float, capacity: int) -> None:
        self.reach, self.capacity = float(reach), int(capacity)
        self.rows: Vectors = np.empty((0, width), dtype=np.float32)
        self.names: list[str] = []
        self._search: NearestRows | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def found(self, rows: Vectors) -> Ints:
        """Return the place [n] of the first founder in whose reach each row lies, -1 where there is none."""
        places = np.full(len(rows), NONE, dtype=np.int64)
        if not len(self) or not len(rows):
            return places
        if self._search is None:
            self._search = NearestRows(self.rows)
        # Most rows lie in reach of none, or of one of the first.
        open_rows = np.flatnonzero(self._search.nearest(rows, 1)[0][:, 0] <= self.reach)
        for place in range(len(self)):
            if not len(open_rows):
                break
            near = self._reached(rows[open_rows], self.rows[place])
            places[open_rows[near]] = place
            open_rows = open_rows[~near]
        return places

    def joined(self, rows: Vectors, names: Sequence[str]) -> list[str]:
        """Give the cause of each of `rows` [n, width], letting those out of reach found one by their own name.

        Where there is no more room, a row out of reach is a cause of its own that nothing joins.
        """
        places = self.found(rows)
        founded: list[int] = []
        for row in np.flatnonzero(places == NONE).tolist():
            if len(self) + len(founded) >= self.capacity:
                break
            if places[row] == NONE:
                later = row + np.flatnonzero(places[row:] == NONE)
                near = later[self._reached(rows[later], rows[row])]
                places[near] = len(self) + len(founded)
                founded.append(row)
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

    def _reached(self, rows: Vectors, founder: Vectors) -> Bools:
        gaps = np.sqrt(squared_differences(rows, np.broadcast_to(founder, rows.shape)))
        return np.asarray(gaps <= self.reach)
