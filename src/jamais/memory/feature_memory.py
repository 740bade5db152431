"""What does a detector remember? Normal rows, a sample of them for calibration, typical abnormal rows, and quarantine.

Four parts with one rule each: only rows that somebody vouches for become normal; the calibration sample is drawn
from those alone; abnormal rows sharpen the boundary and are never learned as normal; what waits in quarantine
leaves it by `release` alone, however often it is seen.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Protocol

import numpy as np

from jamais.errors import CorruptStateError, InputError, SettingsError, ShapeMismatchError, StateError
from jamais.memory.cover import CoverMemory
from jamais.memory.incoming import checked_rows
from jamais.memory.kept.books import Books
from jamais.memory.nearest import NearestRows
from jamais.memory.sample import Sample
from jamais.memory.spaces import in_space
from jamais.types import NO_TIME, Bools, Ints, StateTree, Vectors

DEFAULT_CAPACITY = 100_000
"""Rows; of width 256 they take 100 MB, and a search through all of them some 0.7 CPU-ms."""
CALIBRATION_ROWS = 2_000
"""Supports alarm rates down to 1/2,001 without extrapolation."""
ABNORMAL_ROWS = 200
QUARANTINED_ROWS = 1_000
_POLICIES = ("normal", "abnormal", "quarantine")
_PARTS = ("normal", "calibration", "abnormal", "quarantine")


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

    def add(self, rows: Any, counts: Any = None, times: Any = None, *, source: str = "", digest: str = "") -> Ints: ...
    def refresh(self, rows: Any, times: Any = None) -> None: ...
    def ids_of(self, rows: Any) -> Ints: ...
    def forget(self, ids: Any) -> int: ...
    def age(self, before: int) -> int: ...
    def clear(self) -> None: ...
    def check_merge(self, other: Any) -> None: ...
    def merge(self, other: Any) -> Ints: ...
    def take_over(self, other: Any, ids: Any) -> Ints: ...
    def state_dict(self) -> StateTree: ...
    def load_state_dict(self, tree: StateTree) -> None: ...


class FeatureMemory:
    """Remember normal rows under a policy (`CoverMemory` by default), with what detectors need beside them.

    What waits in quarantine is released by hand, by learning the very row as normal, or, only if `release_after`
    (microseconds or a timedelta) is set, by having waited so long unanswered; never by being seen often.
    """

    def __init__(
        self,
        normal: RowMemory | int = DEFAULT_CAPACITY,
        *,
        calibration: int = CALIBRATION_ROWS,
        seed: int = 0,
        release_after: int | timedelta | None = None,
    ) -> None:
        self.normal: RowMemory = CoverMemory(int(normal)) if isinstance(normal, int | np.integer) else normal
        self.calibration = Sample(calibration, seed)
        self.abnormal = CoverMemory(ABNORMAL_ROWS)
        self.quarantine = CoverMemory(QUARANTINED_ROWS)
        self.release_after = _microseconds(release_after)
        self._indexes: dict[str, tuple[int, Vectors, NearestRows]] = {}

    def __len__(self) -> int:
        return len(self.normal)

    @property
    def capacity(self) -> int:
        """The most normal rows that are kept."""
        return self.normal.capacity

    @property
    def width(self) -> int | None:
        """Width of the rows; None before the first."""
        widths = (part.width for part in (self.normal, self.abnormal, self.quarantine))
        return next((width for width in widths if width is not None), None)

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
        """Give the exact search through the normal rows, made once per change; several detectors share it.

        Where rows were only appended, it is extended.
        """
        current = self._indexes.get(metric)
        if current is None or current[0] != self.normal.changes:
            rows = self.normal.rows
            # Rows in use are never written again: the same array, only longer, is the same rows and some more.
            grown = current is not None and _starts_with(rows, current[1])
            spaced = in_space(rows, metric)
            search = current[2].extended(spaced) if current is not None and grown else NearestRows(spaced)
            current = self._indexes[metric] = (self.normal.changes, rows, search)
        return current[2]

    def add(self, rows: Any, counts: Any = None, times: Any = None, *, source: str = "", digest: str = "") -> Ints:
        """Learn `rows` [n, width] that somebody vouches for; return the id [n] that now stands for each.

        -1 where the policy keeps nothing for a row. The very same rows leave the quarantine.
        """
        new = checked_rows(rows, self.width, "the memory")
        ids = self.normal.add(new, counts, times, source=source, digest=digest)
        self.calibration.add(new, None if counts is None else np.asarray(counts, dtype=np.int64))
        if len(self.quarantine):
            self._leave_quarantine(self.quarantine.ids_of(new))
        return ids

    def draw_calibration(self) -> None:
        """Draw the calibration sample from the rows kept where none was drawn as they came: a memory made elsewhere."""
        if not len(self.calibration) and len(self):
            self.calibration.add(self.rows, self.counts)

    def refresh(self, rows: Any, times: Any = None) -> None:
        """Count `rows` [n, width] that nobody vouches for but that look normal: no row enters, none is calibrated on.

        (Rows chosen because they look normal are no fair sample of normal life.)
        """
        self.normal.refresh(checked_rows(rows, self.width, "the memory"), times)

    def detain(self, rows: Any, times: Any = None, *, source: str = "") -> Ints:
        """Put `rows` [n, width] into quarantine; return their ids [n] there.

        It is bounded: when it is full, waiting rows melt together, and none becomes normal by that.
        """
        ids = self.quarantine.add(checked_rows(rows, self.width, "the quarantine"), None, times, source=source)
        if self.release_after is not None and times is not None and len(ids):
            self.release_due(int(np.max(times)))
        return ids

    def release(self, ids: Any) -> Ints:
        """Learn quarantined rows that somebody vouches for after all; return their ids [n] as normal rows.

        Counts, dates and sources come along.
        """
        waiting = self._quarantined(ids)
        slots = np.searchsorted(self.quarantine.ids, waiting)
        rows, counts = self.quarantine.rows[slots], self.quarantine.counts[slots]
        given = self.normal.take_over(self.quarantine, waiting)
        self.calibration.add(rows, counts)
        self._leave_quarantine(waiting)
        return given

    def release_due(self, now: int) -> Ints:
        """Release what was first seen `release_after` before `now` or earlier, if that is set; return ids [n]."""
        first = self.quarantine.first_seen
        due = (first != NO_TIME) & (self.release_after is not None) & (first <= now - (self.release_after or 0))
        return self.release(self.quarantine.ids[due])

    def confirm(self, ids: Any) -> Ints:
        """Remember quarantined rows as abnormal; return their ids [n] as such. Counts, dates and sources come along."""
        waiting = self._quarantined(ids)
        given = self.abnormal.take_over(self.quarantine, waiting)
        self._leave_quarantine(waiting)
        return given

    def remember_abnormal(self, rows: Any, *, source: str = "") -> Ints:
        """Remember typical abnormal `rows` [n, width]; return their ids [n] among the abnormal."""
        return self.abnormal.add(checked_rows(rows, self.width, "the memory"), source=source)

    def forget(self, ids: Any) -> int:
        """Drop normal rows by id, and calibration rows that they stand for; return how many ids there were."""
        gone = np.intersect1d(np.asarray(ids, dtype=np.int64), self.ids)
        if len(self.calibration) and len(gone):
            self.calibration.drop(self._carried(self.calibration.rows, gone))
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
        """Take in all that `other` remembers; return the ids [len(other)] of its normal rows here.

        Raise `InputError` on another policy, `ShapeMismatchError` on another width, `RefusedUpdateError` on
        another encoder; nothing is changed then.
        """
        if not isinstance(other, FeatureMemory):
            raise InputError(f"a feature memory merges with another one, got {type(other).__name__}: add its rows")
        if None not in (self.width, other.width) and self.width != other.width:
            raise ShapeMismatchError(f"this memory holds rows of width {self.width}, the other of {other.width}")
        for name in _POLICIES:
            getattr(self, name).check_merge(getattr(other, name))
        given = self.normal.merge(other.normal)
        for name in _PARTS[1:]:
            getattr(self, name).merge(getattr(other, name))
        return given

    def __getstate__(self) -> dict[str, Any]:
        # A copy makes its own searches: they hold locks, and are as large as the rows.
        return {**self.__dict__, "_indexes": {}}

    def state_dict(self) -> StateTree:
        """Return all that is needed to go on exactly."""
        parts = {name: getattr(self, name).state_dict() for name in _PARTS}
        return {"policy": _policy_of(self.normal), "release_after": self.release_after, **parts}

    def load_state_dict(self, tree: StateTree) -> None:
        """Become the memory of a state, policy included; raise `CorruptStateError` and change nothing."""
        try:
            loaded = FeatureMemory(_policy(tree["policy"]), release_after=tree.get("release_after"))
            for name in _PARTS:
                getattr(loaded, name).load_state_dict(tree[name])
        except (KeyError, TypeError, ValueError, AttributeError, StateError) as error:
            raise CorruptStateError(f"not the state of a feature memory ({error}): load another version") from None
        widths = {getattr(loaded, name).width for name in _POLICIES} - {None}
        if len(loaded.calibration):
            widths.add(loaded.calibration.rows.shape[1])
        if len(widths) > 1:
            raise CorruptStateError(f"parts of a feature memory have widths {sorted(widths)}: load another version")
        self.__dict__.update(loaded.__dict__)

    def _carried(self, rows: Vectors, gone: Ints) -> Bools:
        """Say which of `rows` [n, width] an exemplar among the ids `gone` stands for."""
        reach, slots = self.normal.reach, np.searchsorted(self.ids, gone)
        if reach == 0.0:
            # Equal rows have equal sums: few are left to be compared.
            carried = np.isin(np.add.reduce(rows, axis=1), np.add.reduce(self.rows[slots], axis=1))
            carried[carried] = np.isin(self.normal.ids_of(rows[carried]), gone)
            return carried
        carried = NearestRows(self.rows[slots]).nearest(rows, 1)[0][:, 0] <= reach
        if carried.any():  # only then it matters whether another exemplar is nearer
            nearest = self.index().nearest(rows[carried], 1)[1][:, 0]
            carried[carried] = np.isin(nearest, slots)
        return carried

    def _quarantined(self, ids: Any) -> Ints:
        """Return different ids in the order given, all of them in quarantine."""
        wanted = list(dict.fromkeys(np.asarray(ids, dtype=np.int64).ravel().tolist()))
        missing = sorted(set(wanted) - set(self.quarantine.ids.tolist()))
        if missing:
            raise InputError(f"no quarantined rows with ids {missing[:5]}: see memory.quarantine.ids")
        return np.array(wanted, dtype=np.int64)

    def _leave_quarantine(self, ids: Ints) -> None:
        if self.quarantine.forget(ids) and not len(self.quarantine):
            self.quarantine.radius = 0.0  # a flood made it coarse; that is over


def _starts_with(rows: Vectors, old: Vectors) -> bool:
    """Say whether `rows` are `old` and perhaps some more behind, in the same place."""
    place = [one.__array_interface__["data"][0] for one in (rows, old)]
    return place[0] == place[1] and rows.shape[1] == old.shape[1] and len(rows) >= len(old) > 0


def _policy_of(memory: RowMemory) -> str:
    from jamais.registry import name_of

    return name_of(memory)


def _policy(name: Any) -> RowMemory:
    from jamais.registry import find

    found = find(str(name))
    if not issubclass(found, Books):
        raise CorruptStateError(f"{name!r} is no policy of a memory")
    made: RowMemory = found(2)  # of any size: its state says how large it is
    return made


def _microseconds(time: int | timedelta | None) -> int | None:
    if time is None:
        return None
    given = int(time / timedelta(microseconds=1)) if isinstance(time, timedelta) else time
    if not isinstance(given, int) or given <= 0:
        raise SettingsError(f"release_after wants microseconds or a timedelta above 0, got {time!r}")
    return given
