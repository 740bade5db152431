"""How do a million lines get their codes without looking at most of them?

Level 1: the line without digits -> place of its code. Level 2 (on a miss): the same without hex ids. Level 3: the
normal form, which alone decides. When most lines miss level 1, fresh ids are the cause: then ids are cut out of the
whole chunk at once and level 1 is skipped. All levels lead to the same place, so codes depend neither on chunks nor on
which way a line went.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice, repeat

import numpy as np

from jamais.parsing.masks import HEX_ID, Masks
from jamais.types import Codes

DIGITS = b"0123456789"
_HEX_ID = re.compile(HEX_ID.encode())
_MISS = -1
_WINDOW = 4096  # lines that must have passed before a share of misses means anything
_TOO_MANY = 0.2  # share of misses from which cutting ids out of every chunk is the cheaper way
_RETRY = 64  # chunks after which the plain way gets another chance

Resolve = Callable[[int], int]
Keeps = tuple[re.Pattern[bytes], ...]
Values = tuple[bytes, ...]


class LineMemo:
    """Remember the code of every kind of line; a cache outside any state. Not for two threads at once."""

    def __init__(self, masks: Masks, capacity: int) -> None:
        self.masks = masks
        self.capacity = capacity
        self.dropped = 0
        self._codes: Codes = np.empty(64, np.int32)
        # An entry is the place of a code, or, below -1, says which numbers of the line must be read first.
        self._plain: dict[bytes, int] = {}
        self._cut: dict[bytes, int] = {}
        self._normal: dict[str, int] = {}
        self._n_codes = 0
        self._kept: list[tuple[Keeps, dict[Values, int]]] = []
        self._cutting = False
        self._chunks = self._lines = self._misses = 0

    def codes(self, blob: bytes, raw: list[bytes], resolve: Resolve) -> Codes:
        """Return the code of every record of `raw`, [n] int32.

        `blob` is `b"\\n".join(raw)`, line ends inside a record as `\\x1f`. `resolve(i)` gives the code of record i; it
        is called in order, once per normal form that is not remembered.
        """
        if not raw:
            return np.empty(0, np.int32)
        self._make_room()
        self._choose_way()
        table = self._cut if self._cutting else self._plain
        keys = (_HEX_ID.sub(b"", blob) if self._cutting else blob).translate(None, DIGITS).split(b"\n")
        if len(keys) != len(raw):  # the caller left line ends inside records
            keys = [(_HEX_ID.sub(b"", r) if self._cutting else r).translate(None, DIGITS) for r in raw]
        places = np.fromiter(map(table.get, keys, repeat(_MISS)), np.int64, len(keys))
        self._lines += len(raw)
        for i in np.flatnonzero(places < 0).tolist():
            entry = table.get(keys[i], _MISS)
            if entry == _MISS:
                self._misses += 1
                entry = table[keys[i]] = self._entry(i, raw[i], resolve)
            places[i] = entry if entry >= 0 else self._place(i, raw[i], entry, resolve)
        return self._codes[places]

    def _entry(self, i: int, raw: bytes, resolve: Resolve) -> int:
        """Return the entry of the line without ids and digits, a new one if needed."""
        key = _HEX_ID.sub(b"", raw).translate(None, DIGITS)
        entry = self._cut.get(key)
        if entry is None:
            keeps = self.masks.keep.at(key, raw)
            if keeps:
                self._kept.append((keeps, {}))
                entry = -1 - len(self._kept)
            else:
                entry = self._resolved(i, raw, resolve)
            self._cut[key] = entry
        return entry

    def _place(self, i: int, raw: bytes, entry: int, resolve: Resolve) -> int:
        """Return the place for a line whose kept numbers have to be read."""
        keeps, known = self._kept[-2 - entry]
        values = tuple([number for keep in keeps for number in keep.findall(raw)])
        place = known.get(values)
        if place is None:
            place = known[values] = self._resolved(i, raw, resolve)
        return place

    def _resolved(self, i: int, raw: bytes, resolve: Resolve) -> int:
        normal = self.masks.normal(raw.decode("utf-8", "replace"))
        place = self._normal.get(normal)
        if place is None:
            code = resolve(i)
            place = self._normal[normal] = self._n_codes
            if place == len(self._codes):
                self._codes = np.concatenate([self._codes, np.empty_like(self._codes)])
            self._codes[place] = code
            self._n_codes += 1
        return place

    def _choose_way(self) -> None:
        self._chunks += 1
        if self._cutting:
            if self._chunks >= _RETRY:
                self._cutting, self._chunks, self._lines, self._misses = False, 0, 0, 0
        elif self._lines >= _WINDOW:
            self._cutting = self._misses > _TOO_MANY * self._lines
            self._chunks = self._lines = self._misses = 0

    def _make_room(self) -> None:
        if max(self._n_codes, len(self._kept)) > 2 * self.capacity:
            for table in (self._plain, self._cut, self._normal, self._kept):
                self.dropped += len(table)
                table.clear()
            self._n_codes = 0
        for table in (self._plain, self._cut, self._normal):
            if len(table) > self.capacity:
                older = list(islice(table, len(table) // 2))
                self.dropped += len(older)
                for key in older:
                    del table[key]  # type: ignore[arg-type]
