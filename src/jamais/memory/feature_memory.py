"""What does a detector remember? Normal rows, a sample of them for calibration, typical abnormal rows, and quarantine.

Four parts with one rule each: only rows that somebody vouches for become normal; the calibration sample is drawn
from those alone; abnormal rows sharpen the boundary and are never learned as normal; what waits in quarantine
leaves it by `release` alone, however often it is seen.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from jamais.errors import CorruptStateError, InputError
from jamais.memory.cover import CoverMemory
from jamais.memory.incoming import checked_rows
from jamais.memory.nearest import NearestRows
from jamais.memory.sample import Sample
from jamais.memory.spaces import in_space
from jamais.types import NO_TIME, Ints, StateTree, Vectors

DEFAULT_CAPACITY = 100_000
"""Rows; of width 256 they take 100 MB, and a search through all of them some 0.7 CPU-ms."""
CALIBRATION_ROWS = 2_000
"""Supports alarm rates down to 1/2,001 without extrapolation."""
ABNORMAL_ROWS = 200
QUARANTINED_ROWS = 1_000


class RowMemory(Protocol):
    """What keeps the normal rows: which of them stay when there are too many is its policy.

    The row of an id never changes. `changes` goes up with every change.
    """

    capacity: int
    n_seen: int
    changes: int

    def __len__(self) -> int: ...
    @property
    def width(self) -> int | None: ...
    @property
    def rows(self) -> Vectors: ...
    @property
    def counts(self) -> Ints: ...
    @property
    def ids(self) -> Ints: ...
    @property
    def first_seen(self) -> Ints: ...
    @property
    def last_seen(self) -> Ints: ...
    @property
    def sources(self) -> list[str]: ...
    @property
    def ram_bytes(self) -> int: ...
    @property
    def reach(self) -> float:
        """Up to this distance an exemplar may stand for a row; 0 when only for exact repeats."""
        ...

    def add(
        self, rows: Any, counts: Any = None, times: Any = None, *, source: str = "", digest: str = ""
    ) -> Ints: ...
    def refresh(self, rows: Any, times: Any = None) -> None: ...
    def forget(self, ids: Any) -> int: ...
    def age(self, before: int) -> int: ...
    def clear(self) -> None: ...
    def merge(self, other: Any) -> Ints: ...
    def state_dict(self) -> StateTree: ...
    def load_state_dict(self, tree: StateTree) -> None: ...


class FeatureMemory:
    """Remember normal rows under a policy (`CoverMemory` by default), with what detectors need beside them."""

    def __init__(
        self, normal: RowMemory | int = DEFAULT_CAPACITY, *, calibration: int = CALIBRATION_ROWS, seed: int = 0
    ) -> None:
        self.normal: RowMemory = CoverMemory(normal) if isinstance(normal, int | np.integer) else normal
        self.calibration = Sample(calibration, seed)
        self.abnormal = CoverMemory(ABNORMAL_ROWS)
        self.quarantine = CoverMemory(QUARANTINED_ROWS)
        self._indexes: dict[str, tuple[int, NearestRows]] = {}

    def __len__(self) -> int:
        return len(self.normal)

    @property
    def capacity(self) -> int:
        """The most normal rows that are kept."""
        return self.normal.capacity

    @property
    def width(self) -> int | None:
        """Width of the rows; None before the first."""
        return self.normal.width

    @property
    def rows(self) -> Vectors:
        """The normal rows kept [m, width], read-only, in order of their ids."""
        return self.normal.rows

    @property
    def counts(self) -> Ints:
        """How many rows each kept one stands for [m]."""
        return self.normal.counts

    @property
    def ids(self) -> Ints:
        """Ids [m], rising, never used again."""
        return self.normal.ids

    @property
    def changes(self) -> int:
        """Goes up with every change that may change a score. Not state."""
        return self.normal.changes + self.abnormal.changes

    @property
    def ram_bytes(self) -> int:
        """Bytes held for rows and their books."""
        parts = self.normal.ram_bytes + self.abnormal.ram_bytes + self.quarantine.ram_bytes
        return int(parts + self.calibration.rows.nbytes)

    def index(self, metric: str = "euclidean") -> NearestRows:
        """Give the exact search through the normal rows, made once per change; several detectors share it."""
        current = self._indexes.get(metric)
        if current is None or current[0] != self.normal.changes:
            current = (self.normal.changes, NearestRows(in_space(self.normal.rows, metric)))
            self._indexes[metric] = current
        return current[1]

    def add(self, rows: Any, counts: Any = None, times: Any = None, *, source: str = "", digest: str = "") -> Ints:
        """Learn `rows` [n, width] that somebody vouches for; return the id [n] that now stands for each."""
        new = checked_rows(rows, self.width, "the memory")
        ids = self.normal.add(new, counts, times, source=source, digest=digest)
        self.calibration.add(new, None if counts is None else np.asarray(counts, dtype=np.int64))
        return ids

    def refresh(self, rows: Any, times: Any = None) -> None:
        """Count `rows` [n, width] that nobody vouches for but that look normal: no row enters, none is calibrated on.

        (Rows chosen because they look normal are no fair sample of normal life.)
        """
        self.normal.refresh(checked_rows(rows, self.width, "the memory"), times)

    def detain(self, rows: Any, times: Any = None, *, source: str = "") -> Ints:
        """Put `rows` [n, width] into quarantine; return their ids [n] there."""
        return self.quarantine.add(checked_rows(rows, self.width, "the quarantine"), None, times, source=source)

    def release(self, ids: Any) -> Ints:
        """Learn quarantined rows that somebody vouches for after all; return their ids [n] as normal rows."""
        chosen = self._quarantined(ids)
        rows, counts = self.quarantine.rows[chosen], self.quarantine.counts[chosen]
        given = self.add(rows, counts, self.quarantine.last_seen[chosen], source="released")
        self.quarantine.forget(np.asarray(ids))
        return given

    def confirm(self, ids: Any) -> Ints:
        """Remember quarantined rows as abnormal; return their ids [n] as such."""
        rows = self.quarantine.rows[self._quarantined(ids)]
        self.quarantine.forget(np.asarray(ids))
        return self.remember_abnormal(rows, source="confirmed")

    def remember_abnormal(self, rows: Any, *, source: str = "") -> Ints:
        """Remember typical abnormal `rows` [n, width]; return their ids [n] among the abnormal."""
        return self.abnormal.add(checked_rows(rows, self.width, "the memory"), source=source)

    def forget(self, ids: Any) -> int:
        """Drop normal rows by id, and calibration rows that they stand for; return how many ids there were."""
        gone = np.asarray(ids, dtype=np.int64).ravel()
        if len(self.calibration) and len(self):
            distances, slots = self.index().nearest(self.calibration.rows, 1)
            carried = (distances[:, 0] <= self.normal.reach) & np.isin(self.ids[slots[:, 0]], gone)
            self.calibration.drop(carried)
        return self.normal.forget(gone)

    def age(self, before: int) -> int:
        """Forget normal rows last seen before a time (microseconds since 1970 UTC); return how many.

        Rows without a time are left alone.
        """
        last = self.normal.last_seen
        return self.forget(self.ids[(last < before) & (last != NO_TIME)])

    def clear(self) -> None:
        """Forget everything; ids go on."""
        for part in (self.normal, self.calibration, self.abnormal, self.quarantine):
            part.clear()

    def merge(self, other: FeatureMemory) -> Ints:
        """Take in all that `other` remembers; return the ids [len(other)] of its normal rows here."""
        given = self.normal.merge(other.normal)
        self.calibration.merge(other.calibration)
        self.abnormal.merge(other.abnormal)
        self.quarantine.merge(other.quarantine)
        return given

    def state_dict(self) -> StateTree:
        """Return all that is needed to go on exactly."""
        return {
            "policy": _policy_of(self.normal),
            "normal": self.normal.state_dict(),
            "calibration": self.calibration.state_dict(),
            "abnormal": self.abnormal.state_dict(),
            "quarantine": self.quarantine.state_dict(),
        }

    def load_state_dict(self, tree: StateTree) -> None:
        """Become the memory of a state, policy included; raise `CorruptStateError` and change nothing."""
        try:
            loaded = FeatureMemory(_policy(tree["policy"]))
            for name in ("normal", "calibration", "abnormal", "quarantine"):
                getattr(loaded, name).load_state_dict(tree[name])
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptStateError(f"not the state of a feature memory ({error}): load another version") from None
        self.__dict__.update(loaded.__dict__)

    def _quarantined(self, ids: Any) -> Ints:
        wanted = np.asarray(ids, dtype=np.int64).ravel()
        slots = np.flatnonzero(np.isin(self.quarantine.ids, wanted))
        if len(slots) != len(np.unique(wanted)):
            missing = sorted(set(wanted.tolist()) - set(self.quarantine.ids.tolist()))
            raise InputError(f"no quarantined rows with ids {missing[:5]}: see memory.quarantine.ids")
        return slots


def _policy_of(memory: RowMemory) -> str:
    from jamais.registry import name_of

    return name_of(memory)


def _policy(name: str) -> RowMemory:
    from jamais.registry import find

    made: RowMemory = find(name)(2)  # of any size: its state says how large it is
    return made
