"""How do a million lines get their codes without looking at most of them?

Level 1: the line without digits -> place of its code. Level 2 (on a miss): the same without hex ids. Level
3: the normal form, which alone decides. When fresh ids make many lines miss level 1, ids are cut out of the
whole chunk at once and level 1 is skipped. All levels lead to the same place, so codes depend neither on
chunks nor on the way a line went.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import islice, repeat

import numpy as np

from jamais.parsing.masks import HEX_DIGITS, HEX_ID, Masks
from jamais.types import Codes

DIGITS = b"0123456789"
_HEX_ID = re.compile(HEX_ID.encode())
# The same for the faster engine in polars, which knows no look-behind: it takes a little less, never more.
_HEX_ID_FAST = rf"(?-u:\b){HEX_DIGITS}(?-u:\b)"
_MISS = -1
_FIRST_KEPT = -2  # entry -2 - j: read the numbers that stay words with the j-th set of regexes first
_NO_DIGITS = {ord(str(d)): None for d in range(10)}
_WINDOW = 4096  # lines that must have passed before a share of misses means anything
_TOO_MANY = 0.2  # share of misses from which cutting ids out of every chunk is the cheaper way
_MANY = 1024  # records looked at in one chunk from which having them all is cheaper
_RETRY = 64  # chunks after which the plain way gets another chance

Resolve = Callable[[int], int]
Keeps = tuple[re.Pattern[bytes], ...]
Find = Callable[[bytes], list[bytes]]
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
        self._kept: list[tuple[list[Find], dict[Values, int]]] = []
        self._shapes: dict[tuple[Keeps, str], int] = {}
        self._fresh = True
        self._cutting = False
        self._chunks = self._lines = self._same_but_ids = 0

    def codes(self, blob: bytes, raw: Sequence[bytes], resolve: Resolve) -> Codes:
        """Return the code of every record of `raw`, [n] int32.

        `blob` is `b"\\n".join(raw)`, line ends inside a record as `\\x1f`. `resolve(i)` gives the code of
        record i; it is called in order, once per normal form that is not remembered.
        """
        if not raw:
            return np.empty(0, np.int32)
        self._make_room()
        if self._fresh and len(raw) > _WINDOW:  # a first look, before the bulk goes the wrong way
            head, rest = raw[:_WINDOW], raw[_WINDOW:]
            first = self._chunk(b"\n".join(head), head, resolve)
            second = self._chunk(b"\n".join(rest), rest, lambda i: resolve(i + _WINDOW))
            return np.concatenate([first, second])
        return self._chunk(blob, raw, resolve)

    def _chunk(self, blob: bytes, raw: Sequence[bytes], resolve: Resolve) -> Codes:
        self._choose_way()
        table = self._cut if self._cutting else self._plain
        keys = (_without_ids(blob) if self._cutting else blob).translate(None, DIGITS).split(b"\n")
        if len(keys) != len(raw):  # the caller left line ends inside records
            keys = [(_HEX_ID.sub(b"", r) if self._cutting else r).translate(None, DIGITS) for r in raw]
        places = np.fromiter(map(table.get, keys, repeat(_MISS)), np.int64, len(keys))
        self._lines += len(raw)
        get, kept = table.get, self._kept
        missing = np.flatnonzero(places < 0).tolist()
        if len(missing) > _MANY:
            raw = raw[:]  # a sequence that cuts out records one by one gives all at once
        for i in missing:
            entry = get(keys[i], _MISS)
            if entry == _MISS:
                entry = table[keys[i]] = self._entry(i, raw[i], resolve)
            if entry < 0:
                finders, known = kept[_FIRST_KEPT - entry]
                values = tuple([number for find in finders for number in find(raw[i])])
                entry = known.get(values, _MISS)
                if entry == _MISS:
                    entry = known[values] = self._resolved(i, raw[i], resolve)
            places[i] = entry
        return self._codes[places]

    def _entry(self, i: int, raw: bytes, resolve: Resolve) -> int:
        """Return the entry of the line without ids and digits, a new one if needed."""
        key = _HEX_ID.sub(b"", raw).translate(None, DIGITS)
        entry = self._cut.get(key)
        if entry is not None:
            self._same_but_ids += 1
        else:
            keeps = self.masks.keep.at(key, raw)
            entry = self._shape(raw, keeps) if keeps else self._resolved(i, raw, resolve)
            self._cut[key] = entry
        return entry

    def _shape(self, raw: bytes, keeps: Keeps) -> int:
        """Return the entry of lines that differ only in kept numbers and what the normal form leaves out."""
        shape = self.masks.normal(raw.decode("utf-8", "replace")).translate(_NO_DIGITS)
        entry = self._shapes.get((keeps, shape))
        if entry is None:
            entry = self._shapes[keeps, shape] = _FIRST_KEPT - len(self._kept)
            self._kept.append(([keep.findall for keep in keeps], {}))
        return entry

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
        if self._lines < _WINDOW or (self._cutting and self._chunks < _RETRY):
            return
        self._cutting = not self._cutting and self._same_but_ids > _TOO_MANY * self._lines
        self._fresh = False
        self._chunks = self._lines = self._same_but_ids = 0

    def _make_room(self) -> None:
        if max(self._n_codes, len(self._kept)) > 2 * self.capacity:
            for table in (self._plain, self._cut, self._normal, self._shapes, self._kept):
                self.dropped += len(table)
                table.clear()
            self._n_codes = 0
        for table in (self._plain, self._cut, self._normal):
            if len(table) > self.capacity:
                older = list(islice(table, len(table) // 2))
                self.dropped += len(older)
                for key in older:
                    del table[key]  # type: ignore[arg-type]


def _without_ids(blob: bytes) -> bytes:
    import polars  # here, because most logs never come this way

    lines = polars.Series(blob.decode("utf-8", "replace").split("\n"), dtype=polars.String)
    return "\n".join(lines.str.replace_all(_HEX_ID_FAST, "").to_list()).encode()
