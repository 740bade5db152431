"""What does every policy know of the rows it keeps: ids, counts, times, sources, and whose vectors they are?"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from jamais.errors import CorruptStateError, InputError, RefusedUpdateError, SettingsError, ShapeMismatchError
from jamais.memory.kept.exemplars import BOOK_BYTES, Exemplars
from jamais.memory.kept.repeats import REPEAT_BYTES, Repeats
from jamais.types import NO_TIME, Bools, Ints, StateTree, Vectors

CAPACITY = 10_000
"""Rows, where neither a number of rows nor one of bytes is asked for."""
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kKMGT]?)(i?)B?\s*")
_NO_SOURCE = ""


class Books(ABC):
    """Keep at most `capacity` rows, or as many as fit into `max_bytes`; a policy says which.

    `max_bytes` is a number or a text such as "64MB" or "1GiB"; it turns into rows when their width is known, and
    `ram_bytes` stays within it. Ids are given once and never used again; the row of an id never changes.
    """

    def __init__(self, capacity: int | None, max_bytes: int | str | None = None) -> None:
        self._most = CAPACITY if capacity is None and max_bytes is None else capacity
        if not (self._most is None or (isinstance(self._most, int | np.integer) and self._most >= 2)):
            raise SettingsError(f"{self.name} wants a capacity of at least 2 rows, got {capacity!r}")
        self._max_bytes = None if max_bytes is None else _bytes(max_bytes)
        self.capacity = self._room_for(1)
        """The most rows that are kept; where bytes bound it, the width of the first rows settles it."""
        if self.capacity < 2:
            raise SettingsError(f"{self.name} wants room for at least 2 rows, got {max_bytes} bytes")
        self.encoder_digest = ""
        """Digest of the encoder whose vectors these are; empty while unknown."""
        self.n_seen = 0
        """All rows ever added, counts included; forgetting does not lower it."""
        self.changes = 0
        """Goes up with every change, so that others may keep what they derive from the rows. Not state."""
        self._next_id = 0
        self._source_names: list[str] = [_NO_SOURCE]
        self._kept = Exemplars.empty(0)
        self._repeats = Repeats()

    # What a policy answers itself

    @property
    @abstractmethod
    def reach(self) -> float:
        """Up to this distance an exemplar may stand for a row; 0 when only for exact repeats."""

    @abstractmethod
    def _take_in(self, batch: Exemplars) -> Ints:
        """Take in the rows of `batch`, as if each had come alone; return the id [n] that stands for each, or -1.

        Rows with an id of -1 are new and get one of ours.
        """

    def _bytes_per_row(self, width: int) -> int:
        """Bytes that one more row may take."""
        return 4 * width + BOOK_BYTES + REPEAT_BYTES

    def _own_state(self) -> StateTree:
        """Return what the policy must know to go on, beside rows and books."""
        return {}

    def _load_own(self, tree: StateTree) -> None:
        """Take over what `_own_state` gave, checked against rows and books, which are loaded already."""
        return

    def _merge_in(self, other: Self, batch: Exemplars) -> Ints:
        """Take in `batch`, the rows of `other`; return the id [n] that stands for each, or -1."""
        return self._take_in(batch)

    def _in_order(self) -> Ints:
        """Name the slots [m] in the order in which another memory takes them in."""
        return np.arange(self._kept.size)

    # The rows and their books

    def __len__(self) -> int:
        return self._kept.size

    @property
    def name(self) -> str:
        """The name of the class."""
        return type(self).__name__

    @property
    def width(self) -> int | None:
        """Width of the rows; None before the first."""
        return self._kept.rows.shape[1] or None

    @property
    def rows(self) -> Vectors:
        """The exemplars [m, width], as a read-only view that later changes leave alone."""
        view = self._kept.rows[: self._kept.size]
        view.flags.writeable = False
        return view

    @property
    def counts(self) -> Ints:
        """How many rows each exemplar stands for, [m]."""
        return self._kept.counts[: self._kept.size].copy()

    @property
    def ids(self) -> Ints:
        """The ids, [m], rising."""
        return self._kept.ids[: self._kept.size].copy()

    @property
    def first_seen(self) -> Ints:
        """Earliest time of any row behind each exemplar, [m]; `NO_TIME` where none had one."""
        return self._kept.first_seen[: self._kept.size].copy()

    @property
    def last_seen(self) -> Ints:
        """Latest time of any row behind each exemplar, [m]; `NO_TIME` where none had one."""
        return self._kept.last_seen[: self._kept.size].copy()

    @property
    def sources(self) -> list[str]:
        """The tag under which each exemplar was first added, [m]."""
        return [self._source_names[code] for code in self._kept.source_codes[: self._kept.size]]

    @property
    def ram_bytes(self) -> int:
        """Bytes held for rows, their books and what finds them."""
        return self._kept.n_bytes + self._repeats.n_bytes

    # Its life

    def add(
        self,
        rows: NDArray[Any],
        counts: Sequence[int] | Ints | None = None,
        times: Sequence[int] | Ints | None = None,
        *,
        source: str = _NO_SOURCE,
        digest: str = "",
    ) -> Ints:
        """Remember `rows` [n, width]; return the id [n] of the exemplar that now stands for each, -1 where none does.

        Raise `ShapeMismatchError` on another width, `InputError` on numbers that are not finite or counts
        below 1, `RefusedUpdateError` when `digest` names another encoder; nothing is changed then.
        """
        new = self._checked(rows)
        how_many = _column(counts, len(new), 1, "counts")
        when = _column(times, len(new), NO_TIME, "times")
        if len(new) and how_many.min() < 1:
            raise InputError(f"counts must be at least 1, got {how_many.min()}")
        self._check_digest(digest)
        self.encoder_digest = digest or self.encoder_digest
        code = self._source_code(source)
        batch = Exemplars(new, how_many, np.full(len(new), -1), when, when.copy(), np.full(len(new), code), len(new))
        self._begin(batch)
        self.n_seen += int(how_many.sum())
        return self._take_in(batch) if batch.size else batch.ids

    def refresh(self, rows: NDArray[Any], times: Sequence[int] | Ints | None = None) -> None:
        """Raise count and date of the exemplar nearest to each of `rows` [n, width]; nothing enters."""
        new = self._checked(rows)
        when = _column(times, len(new), NO_TIME, "times")
        if self._kept.size and len(new):
            zeros = np.zeros_like(when)
            batch = Exemplars(new, np.ones_like(when), when, when, when.copy(), zeros, len(new))
            self._refresh(self._nearest(new), batch)
            self.changes += 1

    def ids_of(self, rows: NDArray[Any]) -> Ints:
        """Return the id [n] of the exemplar that repeats each of `rows` [n, width] bit for bit, -1 where none does."""
        slots = self._repeats.marked(self._kept, self._checked(rows))[1]
        return np.where(slots >= 0, self._kept.ids[slots], -1) if self._kept.size else slots

    def forget(self, ids: Sequence[int] | Ints) -> int:
        """Drop the exemplars with these ids; return how many there were (others are passed over)."""
        gone = np.isin(self._kept.ids[: self._kept.size], np.asarray(ids, dtype=np.int64))
        if gone.any():
            self._drop(gone)
        return int(gone.sum())

    def age(self, before: int) -> int:
        """Drop the exemplars last seen before a time, those without a time left alone; return how many."""
        last = self.last_seen
        return self.forget(self.ids[(last < before) & (last != NO_TIME)])

    def clear(self) -> None:
        """Forget all rows, and of which encoder they were. Ids, and what the policy has become, go on."""
        self._replace(Exemplars.empty(0))
        self.encoder_digest = ""

    def check_merge(self, other: Any) -> None:
        """Raise what `merge` would raise, and change nothing."""
        if not isinstance(other, type(self)):
            raise InputError(f"{self.name} merges with its own kind, got {type(other).__name__}: add its rows instead")
        self._check_same(other)

    def merge(self, other: Self) -> Ints:
        """Take in all that `other` remembers; return the ids [len(other)] here, -1 for none. `other` stays as it is.

        Raise as `add` does, `InputError` when `other` follows another policy; nothing is changed then.
        """
        self.check_merge(other)
        if not len(other):
            return np.empty(0, dtype=np.int64)
        order = other._in_order()
        batch = self._copied(other, order)
        n_seen = self.n_seen + other.n_seen
        given = np.empty(len(order), dtype=np.int64)
        given[order] = self._merge_in(other, batch)
        self.n_seen = n_seen
        return given

    def take_over(self, other: Books, ids: Sequence[int] | Ints) -> Ints:
        """Add the exemplars [n] that have these ids in `other`, which may follow another policy; return ids [n] here.

        Counts, dates and sources come along. Raise as `add` does, and `InputError` on an id that `other` lacks.
        """
        wanted = np.asarray(ids, dtype=np.int64).ravel()
        missing = np.setdiff1d(wanted, other.ids)
        if len(missing):
            raise InputError(f"no rows with ids {missing[:5].tolist()}: {len(other)} are kept, see `ids`")
        self._check_same(other)
        batch = self._copied(other, other._slots_of(wanted))
        self.n_seen += int(batch.counts.sum())
        return self._take_in(batch) if batch.size else batch.ids

    def state_dict(self) -> StateTree:
        """Return all that is needed to go on exactly."""
        bound = {} if self._max_bytes is None else {"max_bytes": self._max_bytes, "most_rows": self._most}
        return {
            "capacity": self.capacity,
            **bound,
            **self._own_state(),
            "encoder_digest": self.encoder_digest,
            "n_seen": self.n_seen,
            "next_id": self._next_id,
            "source_names": list(self._source_names),
            **self._kept.to_state(),
        }

    def load_state_dict(self, tree: StateTree) -> None:
        """Become the memory of a state; raise `CorruptStateError` naming the leaf and change nothing."""
        loaded = type(self)(2)
        try:
            loaded._load(tree)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            if isinstance(error, CorruptStateError):
                raise
            raise CorruptStateError(f"not the state of a {self.name} ({error!r}): load another version") from None
        loaded.changes = self.changes + 1
        self.__dict__.update(loaded.__dict__)

    # How

    def _load(self, tree: StateTree) -> None:
        kept = Exemplars.from_state(tree)
        self.capacity = int(tree["capacity"])
        self._max_bytes = None if tree.get("max_bytes") is None else int(tree["max_bytes"])
        self._most = self.capacity if self._max_bytes is None else tree["most_rows"]
        self.encoder_digest = tree["encoder_digest"]
        self.n_seen = int(tree["n_seen"])
        self._next_id = int(tree["next_id"])
        self._source_names = list(tree["source_names"])
        if not all(isinstance(text, str) for text in (self.encoder_digest, *self._source_names)) or self.n_seen < 0:
            raise CorruptStateError("memory.source_names, encoder_digest or n_seen: not what a memory can hold")
        if kept.size > self.capacity or self.capacity < 2:
            raise CorruptStateError(f"memory.rows: saved {kept.size}, capacity {self.capacity}")
        kept.check(self._next_id, len(self._source_names))
        self._replace(kept)
        self._load_own(tree)

    def _check_same(self, other: Books) -> None:
        """Raise where the rows of `other` are none that could be added here."""
        if other.width is not None:
            self._check_width(other.rows)
            self._check_digest(other.encoder_digest)

    def _copied(self, other: Books, slots: Ints) -> Exemplars:
        """Copy rows and books of `other` to be taken in here, and take over its encoder."""
        batch = other._kept.take(slots)
        codes = np.array([self._source_code(name) for name in other._source_names])
        batch.source_codes = codes[batch.source_codes]
        batch.ids[:] = -1
        self.encoder_digest = self.encoder_digest or other.encoder_digest
        self._begin(batch)
        return batch

    def _begin(self, batch: Exemplars) -> None:
        """Become a memory of rows of this width, if these are the first."""
        if batch.size and self.width is None:
            self._replace(Exemplars.empty(batch.rows.shape[1]))
            if self._max_bytes is not None:
                self.capacity = self._room_for(batch.rows.shape[1])

    def _room_for(self, width: int) -> int:
        """Turn the bounds into rows."""
        bounds = [] if self._most is None else [int(self._most)]
        if self._max_bytes is not None:
            bounds.append(self._max_bytes // self._bytes_per_row(width))
        return min(bounds)

    def _nearest(self, rows: Vectors) -> Ints:
        """Slots [n] of the exemplars nearest to `rows`."""
        from jamais.memory.nearest import NearestRows

        return NearestRows(self.rows).nearest(rows, 1)[1][:, 0]

    def _refresh(self, slots: Ints, batch: Exemplars) -> None:
        """Let the exemplars in `slots` stand for the rows of `batch`, which nobody vouches for, too."""
        self._kept.add_to(slots, batch, np.arange(batch.size))
        self.n_seen += batch.size

    def _drop(self, gone: Bools) -> None:
        """Take out the exemplars marked in `gone` [m]."""
        self._repeats.drop(self._kept.rows[: self._kept.size][gone])
        self._kept = self._kept.without(gone)
        self.changes += 1

    def _replace(self, kept: Exemplars) -> None:
        """Hold other exemplars from now on."""
        self._kept, self._repeats = kept, Repeats(kept)
        self.changes += 1

    def _slots_of(self, ids: Ints) -> Ints:
        """Slots [n] of ids that are kept."""
        return np.searchsorted(self._kept.ids[: self._kept.size], ids)

    def _new_ids(self, n: int) -> Ints:
        self._next_id += n
        return np.arange(self._next_id - n, self._next_id)

    def _checked(self, rows: NDArray[Any]) -> Vectors:
        with np.errstate(over="ignore"):
            new = np.array(rows, dtype=np.float32, ndmin=1, order="C")
        self._check_width(new)
        if new.size and not (np.isfinite(new.max()) and np.isfinite(new.min())):
            raise InputError("rows to remember must be finite 32-bit numbers: drop NaN and infinity")
        new += 0.0  # -0.0 and 0.0 are one value but two bit patterns
        return new

    def _check_width(self, new: Vectors) -> None:
        if new.ndim != 2 or new.shape[1] == 0 or self.width not in (None, new.shape[1]):
            wanted = self.width if self.width is not None else "at least 1"
            raise ShapeMismatchError(f"{self.name} holds rows of width {wanted}, got {tuple(new.shape)}")
        if self._max_bytes is not None and self._max_bytes < 2 * self._bytes_per_row(new.shape[1]):
            raise SettingsError(
                f"{self.name} of {self._max_bytes} bytes has no room for two rows of width {new.shape[1]}: "
                f"give it at least {2 * self._bytes_per_row(new.shape[1])}"
            )

    def _check_digest(self, digest: str) -> None:
        if digest and self.encoder_digest and digest != self.encoder_digest:
            raise RefusedUpdateError(
                f"this memory holds vectors of encoder {self.encoder_digest[:12]}, got {digest[:12]}: "
                "encode the stored text again into a new memory"
            )

    def _source_code(self, source: str) -> int:
        if source not in self._source_names:
            self._source_names.append(source)
        return self._source_names.index(source)


def _bytes(size: int | str) -> int:
    """Read a number of bytes: 64_000_000, "64MB", "64MiB"."""
    if isinstance(size, str):
        read = _SIZE.fullmatch(size)
        if read is None:
            raise SettingsError(f"max_bytes wants a number of bytes such as 64_000_000 or '64MB', got {size!r}")
        number, unit, binary = read.groups()
        return int(float(number) * (1024 if binary else 1000) ** " KMGT".index(unit.upper() or " "))
    if isinstance(size, bool) or not isinstance(size, int | np.integer):
        raise SettingsError(f"max_bytes wants a number of bytes such as 64_000_000 or '64MB', got {size!r}")
    return int(size)


def _column(values: Sequence[int] | Ints | None, n: int, default: int, name: str) -> Ints:
    if values is None:
        return np.full(n, default, dtype=np.int64)
    column = np.array(values, dtype=np.int64)
    if column.shape != (n,):
        raise ShapeMismatchError(f"{name} must have one number per row, [{n}], got {list(column.shape)}")
    return column
