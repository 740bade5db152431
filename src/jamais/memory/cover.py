"""Which rows stand for everything seen so far, when only so many may be kept?

An online cover: a row within `radius` of a kept exemplar raises its count, any other row is kept itself.
When the memory is full the radius grows and exemplars within it melt together. Rare normal behaviour thus
stays (a uniform sample would forget it), and one pass is enough.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jamais.errors import CorruptStateError, InputError, RefusedUpdateError, SettingsError, ShapeMismatchError
from jamais.memory.exemplars import Exemplars
from jamais.memory.nearest import NearestRows, smallest_gaps, squared_differences
from jamais.types import NO_TIME, Ints, StateTree, Vectors

_GROWTH = 1.15  # of the radius each time the memory is full, within these bounds:
_LEAST_REACH = 0.02  # of the exemplars must have a neighbour in reach, or a wide memory would regrow per row
_MOST_REACH = 0.10  # in many dimensions all distances are alike, and 15 % more would melt nearly everything
_BLOCK = 256  # rows whose distances are looked up at once; changes no result
_KEY_COST = 130  # bytes of one entry of the table of exact repeats
_NO_SOURCE = ""


class CoverMemory:
    """Keep at most `capacity` rows that cover all rows added, with counts and times.

    `radius` 0 keeps every distinct row until the memory is full. Ids are given once and never used again.
    """

    def __init__(self, capacity: int = 10_000, radius: float = 0.0) -> None:
        if capacity < 2 or not radius >= 0.0:
            raise SettingsError(f"CoverMemory wants capacity >= 2 and radius >= 0, got {capacity}, {radius}")
        self.capacity = int(capacity)
        self.radius = float(radius)
        self.encoder_digest = ""
        """Digest of the encoder whose vectors these are; empty while unknown."""
        self.n_seen = 0
        """All rows ever added, counts included; forgetting does not lower it."""
        self.changes = 0
        """Goes up with every change, so that others may keep what they derive from the rows. Not state."""
        self._next_id = 0
        self._source_names: list[str] = [_NO_SOURCE]
        self._kept = Exemplars.empty(0)
        self._slots: dict[bytes, int] = {}

    def __len__(self) -> int:
        return self._kept.size

    @property
    def width(self) -> int | None:
        """Width of the rows; None before the first."""
        return self._kept.rows.shape[1] or None

    @property
    def rows(self) -> Vectors:
        """The exemplars [m, width], as a read-only view that later changes leave alone."""
        view = self._kept.rows[: len(self)]
        view.flags.writeable = False
        return view

    @property
    def counts(self) -> Ints:
        """How many rows each exemplar stands for, [m]."""
        return self._kept.counts[: len(self)].copy()

    @property
    def ids(self) -> Ints:
        """The ids, [m], rising."""
        return self._kept.ids[: len(self)].copy()

    @property
    def first_seen(self) -> Ints:
        """Earliest time of any row behind each exemplar, [m]; `NO_TIME` where none had one."""
        return self._kept.first_seen[: len(self)].copy()

    @property
    def last_seen(self) -> Ints:
        """Latest time of any row behind each exemplar, [m]; `NO_TIME` where none had one."""
        return self._kept.last_seen[: len(self)].copy()

    @property
    def sources(self) -> list[str]:
        """The tag under which each exemplar was first added, [m]."""
        return [self._source_names[code] for code in self._kept.source_codes[: len(self)]]

    @property
    def reach(self) -> float:
        """Up to this distance an exemplar stands for a row; 0 when only for exact repeats."""
        return self.radius

    @property
    def ram_bytes(self) -> int:
        """Bytes held for rows and their books."""
        return self._kept.n_bytes + _KEY_COST * len(self._slots)

    def add(
        self,
        rows: NDArray[Any],
        counts: Sequence[int] | Ints | None = None,
        times: Sequence[int] | Ints | None = None,
        *,
        source: str = _NO_SOURCE,
        digest: str = "",
    ) -> Ints:
        """Remember `rows` [n, width]; return the id [n] of the exemplar that now stands for each.

        Raise `ShapeMismatchError` on another width, `InputError` on numbers that are not finite or counts
        below 1, `RefusedUpdateError` when `digest` names another encoder; nothing is changed then.
        """
        new = self._checked(rows)
        how_many = _column(counts, len(new), 1, "counts")
        when = _column(times, len(new), NO_TIME, "times")
        if len(new) and how_many.min() < 1:
            raise InputError(f"counts must be at least 1, got {how_many.min()}")
        self._check_digest(digest)
        code = self._source_code(source)
        batch = Exemplars(new, how_many, np.full(len(new), -1), when, when.copy(), np.full(len(new), code), len(new))
        self.n_seen += int(how_many.sum())
        return self._absorb_all(batch)

    def refresh(self, rows: NDArray[Any], times: Sequence[int] | Ints | None = None) -> None:
        """Raise count and date of the exemplar nearest to each of `rows` [n, width]; nothing enters."""
        new = self._checked(rows)
        when = _column(times, len(new), NO_TIME, "times")
        if not len(self) or not len(new):
            return
        nearest = NearestRows(self.rows).nearest(new, 1)[1][:, 0]
        batch = Exemplars(new, np.ones_like(when), when, when, when.copy(), np.zeros_like(when), len(new))
        for row, slot in enumerate(nearest.tolist()):
            self._kept.add_to(slot, batch, row)
        self.n_seen += len(new)
        self.changes += 1

    def age(self, before: int) -> int:
        """Drop the exemplars last seen before a time, those without a time left alone; return how many."""
        last = self.last_seen
        return self.forget(self.ids[(last < before) & (last != NO_TIME)])

    def forget(self, ids: Sequence[int] | Ints) -> int:
        """Drop the exemplars with these ids; return how many there were (others are passed over)."""
        gone = np.isin(self._kept.ids[: len(self)], np.asarray(ids, dtype=np.int64))
        if gone.any():
            self._replace(self._kept.take(np.flatnonzero(~gone)))
        return int(gone.sum())

    def clear(self) -> None:
        """Forget all rows, and of which encoder they were. Radius and ids go on."""
        self._replace(Exemplars.empty(0))
        self.encoder_digest = ""

    def merge(self, other: CoverMemory) -> Ints:
        """Take in all that `other` remembers; return the ids [len(other)] here. `other` stays as it is.

        Counts add up exactly; each of the two covers stays within the larger of the two radii.
        """
        if other.width is None:
            return np.empty(0, dtype=np.int64)
        batch = other._kept.take(np.arange(len(other)))
        self._checked(batch.rows)
        self._check_digest(other.encoder_digest)
        codes = np.array([self._source_code(name) for name in other._source_names])
        batch.source_codes = codes[batch.source_codes]
        batch.ids[:] = -1
        if other.radius > self.radius:
            self._widen(other.radius)
        self.n_seen += other.n_seen
        return self._absorb_all(batch)

    def state_dict(self) -> StateTree:
        """Return all that is needed to go on exactly."""
        return {
            "capacity": self.capacity,
            "radius": self.radius,
            "encoder_digest": self.encoder_digest,
            "n_seen": self.n_seen,
            "next_id": self._next_id,
            "source_names": list(self._source_names),
            **self._kept.to_state(),
        }

    def load_state_dict(self, tree: StateTree) -> None:
        """Become the memory of a state; raise `CorruptStateError` naming the leaf and change nothing."""
        kept = Exemplars.from_state(tree)
        if kept.size > int(tree["capacity"]):
            raise CorruptStateError(f"memory.rows: saved {kept.size}, capacity {tree['capacity']}")
        self.capacity = int(tree["capacity"])
        self.radius = float(tree["radius"])
        self.encoder_digest = str(tree["encoder_digest"])
        self.n_seen = int(tree["n_seen"])
        self._next_id = int(tree["next_id"])
        self._source_names = [str(name) for name in tree["source_names"]]
        self._replace(kept)

    def _checked(self, rows: NDArray[Any]) -> Vectors:
        with np.errstate(over="ignore"):
            new = np.array(rows, dtype=np.float32, ndmin=1, order="C")
        if new.ndim != 2 or new.shape[1] == 0 or self.width not in (None, new.shape[1]):
            wanted = self.width if self.width is not None else "at least 1"
            raise ShapeMismatchError(f"CoverMemory holds rows of width {wanted}, got {tuple(new.shape)}")
        if not np.isfinite(new).all():
            raise InputError("rows to remember must be finite 32-bit numbers: drop NaN and infinity")
        new += 0.0  # -0.0 and 0.0 are one value but two bit patterns
        return new

    def _check_digest(self, digest: str) -> None:
        if digest and self.encoder_digest and digest != self.encoder_digest:
            raise RefusedUpdateError(
                f"this memory holds vectors of encoder {self.encoder_digest[:12]}, got {digest[:12]}: "
                "encode the stored text again into a new memory"
            )
        self.encoder_digest = digest or self.encoder_digest

    def _source_code(self, source: str) -> int:
        if source not in self._source_names:
            self._source_names.append(source)
        return self._source_names.index(source)

    def _absorb_all(self, batch: Exemplars) -> Ints:
        """Take in the rows of `batch` one after the other, as if each had come alone."""
        if batch.size and self._kept.rows.shape[1] == 0:
            self._replace(Exemplars.empty(batch.rows.shape[1]))
        given = np.full(batch.size, -1, dtype=np.int64)
        start = 0
        while start < batch.size:
            stop = min(start + _BLOCK, batch.size)
            done = self._absorb_block(batch, start, stop, given)
            if done < stop:  # full: make room, then look the rest up anew
                moved = self._widen(0.0)
                assert len(self) < self.capacity, "growing the radius freed no slot"
                given[:done] = np.array([moved.get(i, i) for i in given[:done].tolist()], dtype=np.int64)
            start = done
        self.changes += 1
        return given

    def _absorb_block(self, batch: Exemplars, start: int, stop: int, given: Ints) -> int:
        """Take in rows start … stop; return where it had to end because the memory was full."""
        cover = _BlockCover(self._kept, batch.rows[start:stop], self.radius, self._slots)
        for row in range(start, stop):
            slot = cover.nearest(row - start)
            if slot is not None:
                self._kept.add_to(slot, batch, row)
            elif len(self) >= self.capacity:
                return row
            else:
                slot = len(self)
                own_id = int(batch.ids[row])
                if own_id < 0:
                    own_id, self._next_id = self._next_id, self._next_id + 1
                self._kept.append(batch, row, own_id)
                self._slots[_key(batch.rows[row])] = slot
                cover.keep(row - start, slot)
            given[row] = self._kept.ids[slot]
        return stop

    def _widen(self, at_least: float) -> dict[int, int]:
        """Grow the radius, or set it, and melt exemplars together; return old id → new id of those gone."""
        old = self._kept
        gaps = smallest_gaps(old.rows[: old.size]) if old.size > 1 else np.full(old.size, np.inf)
        if at_least > 0.0:
            self.radius = at_least
        else:
            rising = np.sort(gaps)
            least, most = rising[int(_LEAST_REACH * len(gaps))], rising[int(_MOST_REACH * len(gaps))]
            self.radius = float(min(max(self.radius * _GROWTH, least), most))
        # Whoever is in reach of another has it in its own reach, so only these have to be covered anew.
        close = np.flatnonzero(gaps <= self.radius)
        if not len(close):
            return {}
        part = CoverMemory(max(2, len(close)), self.radius)
        given = part._absorb_all(old.take(close))
        self._replace(Exemplars.joined(old.take(np.flatnonzero(gaps > self.radius)), part._kept))
        return {int(a): int(b) for a, b in zip(old.ids[close], given, strict=True) if a != b}

    def _replace(self, kept: Exemplars) -> None:
        self._kept = kept
        self._slots = {_key(row): slot for slot, row in enumerate(kept.rows[: kept.size])}
        self.changes += 1


class _BlockCover:
    """Find the nearest exemplar in reach for each row of a block, kept block mates included."""

    def __init__(self, kept: Exemplars, block: Vectors, radius: float, slots: dict[bytes, int]) -> None:
        self._block = block
        self._radius = radius
        self._slots = slots
        self._mates: list[int] = []
        self._mate_slots: list[int] = []
        self._distances = np.full(len(block), np.inf)
        self._nearest = np.zeros(len(block), dtype=np.int64)
        if radius > 0.0 and kept.size:
            distances, found = NearestRows(kept.rows[: kept.size]).nearest(block, 1)
            self._distances, self._nearest = distances[:, 0], found[:, 0]

    def nearest(self, row: int) -> int | None:
        same = self._slots.get(_key(self._block[row]))
        if same is not None or self._radius == 0.0:
            return same
        distance, slot = float(self._distances[row]), int(self._nearest[row])
        if self._mates:
            mates = self._block[self._mates]
            gaps = np.sqrt(squared_differences(mates, np.broadcast_to(self._block[row], mates.shape)))
            best = int(gaps.argmin())
            if gaps[best] < distance:
                distance, slot = float(gaps[best]), self._mate_slots[best]
        return slot if distance <= self._radius else None

    def keep(self, row: int, slot: int) -> None:
        self._mates.append(row)
        self._mate_slots.append(slot)


def _key(row: Vectors) -> bytes:
    return hashlib.blake2b(row.tobytes(), digest_size=16).digest()


def _column(values: Sequence[int] | Ints | None, n: int, default: int, name: str) -> Ints:
    if values is None:
        return np.full(n, default, dtype=np.int64)
    column = np.array(values, dtype=np.int64)
    if column.shape != (n,):
        raise ShapeMismatchError(f"{name} must have one number per row, [{n}], got {list(column.shape)}")
    return column
