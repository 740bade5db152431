"""Which remembered rows may be among the nearest, when rows come and go?

Each remembered row has a slot in one float32 matrix; a product of it with the questions gives lower bounds on all
squared distances. What is written to a slot replaces what was there, so a change costs as much as it changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jamais.types import Bools, Floats, Ints, Vectors

STEP = 64
"""Slots come in multiples of it: the longest run of columns that share a minimum."""
_ROWS, _COLUMNS = 1_024, 12_288  # of one tile of the product: 48 MB
_FEW_ROWS = 256  # of one tile where there are few columns: what is done with it then stays in the cache
_CHUNKS_PER_NEIGHBOUR = 6  # chunk minima then let hardly more pass than the k nearest themselves
_AT_ONCE = 128  # rows converted at once
_NUMBERS = 16_384  # of one block of differences: 128 kB, which stay in the cache
_PAIRS = 4_000_000  # places in one table of candidates
_FAR = np.float32(1e20)  # above every bound of a remembered row, and below those of empty slots:
_EMPTY = (1e30, -1e34)  # norm columns of an empty slot; the first speaks to near questions, the second to far ones
_LARGEST = 1e6  # norm of a row that may be written, in units of the largest at first
_TINY = 1e-30  # more than float32 products of numbers up to 1 can lose by underflow
_ROUNDING = 2.0**-40  # more than the relative rounding error of a distance computed in float64

Pairs = tuple[Ints, Ints]


@dataclass(frozen=True)
class _Questions:
    """Rows [n, width] as the product wants them; each is scaled by itself, so that none is too far."""

    factors: NDArray[np.float32]
    norms: Floats
    scales: Floats
    errors: NDArray[np.float32]
    """Times |y| and |y|², the most [n, 2] by which the true value is above the product."""
    own: Ints | None
    """The slot of each that is no candidate for it."""


class Candidates:
    """Bound distances to the rows in `room` slots, all empty at first; `rows` [m, width] say where they will lie.

    Centred rows are scaled to norms up to about 1. With e = (width + 16) x unit roundoff, products are wrong by at
    most e (2 |x| |y| + |y|²) (Higham, "Accuracy and stability of numerical algorithms", 2002, §3.1); two more
    columns take this off, so that they are lower bounds on |x - y|² - |x|².
    """

    def __init__(self, rows: Vectors, room: int) -> None:
        width = rows.shape[1]
        self.n_written = 0
        """Rows written so far. The centre is that of the first: after many a new object bounds better."""
        self._centre = rows.mean(axis=0, dtype=np.float64)
        self._scale = 1.0
        largest = max(float(self._centred(part)[1].max()) for part in _parts(rows))
        self._scale = 2.0 ** -float(np.ceil(np.log2(largest))) if largest > 0.0 else 1.0
        self._e = (width + 16) * 2.0**-24
        self._matrix = np.zeros((room, width + 2), dtype=np.float32)
        self._norms = np.zeros(room)
        self.empty(np.arange(room))

    @property
    def n_bytes(self) -> int:
        """Bytes held."""
        return self._matrix.nbytes + self._norms.nbytes

    def write(self, slots: Ints, rows: Vectors) -> bool:
        """Write `rows` [n, width] into `slots` [n]; return False, and write nothing, where they are out of scale."""
        written = np.empty((len(rows), self._matrix.shape[1]), dtype=np.float32)
        norms = np.empty(len(rows))
        for part, into, lengths in zip(_parts(rows), _parts(written), _parts(norms), strict=True):
            into[:, :-2], lengths[:] = self._centred(part)
        if norms.max(initial=0.0) > _LARGEST:
            return False
        written[:, -2] = (1.0 - self._e) * norms * norms
        written[:, -1] = norms
        self._matrix[slots], self._norms[slots] = written, norms
        self.n_written += len(slots)
        return True

    def empty(self, slots: Ints) -> None:
        """Take the rows out of `slots` [n]."""
        self._matrix[slots, :-2] = 0.0
        self._matrix[slots, -2:] = _EMPTY
        self._norms[slots] = 0.0

    def near(
        self, rows: Vectors, k: int, own: Ints | None = None, limits: Floats | None = None
    ) -> Iterator[tuple[int, int, Pairs, Pairs]]:
        """Give, for block after block of `rows` [n, width], (first row, row behind the last, pairs, pairs in reach).

        Pairs are (row of the block [p], slot [p]), by rising row. The k nearest of every row, its slot `own` [n] left
        out, are among the first; all slots with a distance of at most `limits` [room] are among the others.
        """
        at_once = min(_ROWS, max(_FEW_ROWS, len(self._norms) // 8))
        parts = [(start, min(start + at_once, len(rows))) for start in range(0, len(rows), at_once)][::-1]
        tile = np.empty(min(at_once, len(rows)) * min(_COLUMNS, len(self._norms)), dtype=np.float32)
        marks = np.empty(len(tile), dtype=np.bool_)
        while parts:
            start, stop = parts.pop()
            asked = self._questions(rows[start:stop], None if own is None else own[start:stop])
            found, close = self._block(asked, k, limits, tile, marks)
            if stop - start > 1 and (stop - start) * max(map(_most, (found, close))) > _PAIRS:
                middle = (start + stop) // 2  # so many ties ask for smaller blocks
                parts += [(middle, stop), (start, middle)]
            else:
                yield start, stop, found, close

    def _questions(self, rows: Vectors, own: Ints | None) -> _Questions:
        factors = np.empty((len(rows), self._matrix.shape[1]), dtype=np.float32)
        norms, scales = np.empty(len(rows)), np.empty(len(rows))
        for part, into, lengths, shares in zip(*map(_parts, (rows, factors, norms, scales)), strict=True):
            centred, lengths[:] = self._centred(part)
            np.divide(1.0, np.maximum(lengths, 1.0), out=shares)
            np.multiply(centred, (-2.0 * shares)[:, None], out=into[:, :-2], casting="same_kind")
        factors[:, -2] = scales
        factors[:, -1] = -2.0 * self._e * norms * scales
        errors = np.empty((len(rows), 2), dtype=np.float32)
        errors[:, 0] = (4.0 + 1e-5) * self._e * norms * scales
        errors[:, 1] = (2.0 + 1e-5) * self._e * scales
        return _Questions(factors, norms, scales, errors, own)

    def _block(
        self, asked: _Questions, k: int, limits: Floats | None, into: NDArray[np.float32], marks: Bools
    ) -> tuple[Pairs, Pairs]:
        n, room, chunk = len(asked.norms), len(self._norms), STEP
        while chunk > 1 and room < _CHUNKS_PER_NEIGHBOUR * k * chunk:
            chunk //= 2
        slack, seen = self._slack(asked), []
        found: list[Pairs] = []
        values: list[NDArray[Any]] = []
        close: list[Pairs] = []
        for first in range(0, room, _COLUMNS):
            columns = slice(first, first + _COLUMNS)
            part = self._matrix[columns]
            # Written over and over: fresh memory would cost as much as what is done with it.
            tile, below = (one[: n * len(part)].reshape(n, -1) for one in (into, marks))
            np.matmul(asked.factors, part.T, out=tile)
            if asked.own is not None:
                (inside,) = ((asked.own >= first) & (asked.own < first + tile.shape[1])).nonzero()
                tile[inside, asked.own[inside] - first] = np.inf
            seen.append(self._chunk_uppers(tile, asked, columns, chunk))
            at_most = np.minimum(_kth(seen, k) + slack, _FAR)
            found.append(_pairs(np.less_equal(tile, at_most[:, None], out=below), first))
            if room > _COLUMNS:
                values.append(tile[found[-1][0], found[-1][1] - first])
            if limits is not None:
                close.append(_pairs(tile <= self._bounds(asked, limits[columns]), first))
        row, slot = _joined(found)
        if len(found) > 1:  # the bound fell from block to block
            order = np.argsort(np.concatenate([one[0] for one in found]), kind="stable")
            still = np.concatenate(values)[order] <= at_most[row]
            row, slot = row[still], slot[still]
        return (row, slot), _joined(close)

    def _chunk_uppers(self, tile: NDArray[Any], asked: _Questions, columns: slice, chunk: int) -> NDArray[Any]:
        """Give an upper bound on the smallest true value of each chunk of slots, [n, chunks]."""
        # Every so many-th slot makes a chunk: a minimum over the middle axis is one of whole vectors, thus fast.
        lowest = tile.reshape(len(tile), chunk, -1).min(axis=1)
        norms = np.empty((2, lowest.shape[1]), dtype=np.float32)
        norms[0] = self._norms[columns].reshape(chunk, -1).max(axis=0)
        np.multiply(norms[0], norms[0], out=norms[1])
        lowest += asked.errors @ norms
        return np.asarray(lowest)

    def _slack(self, asked: _Questions) -> NDArray[np.float32]:
        """Give what rounding in float64, which decides in the end, may turn round, [n]."""
        with np.errstate(over="ignore"):
            return (_ROUNDING * asked.norms * asked.norms * asked.scales + _TINY).astype(np.float32)

    def _bounds(self, asked: _Questions, limits: Floats) -> NDArray[np.float32]:
        """Give |x - y|² - |x|² for |x - y| = limit, or a little more, in the scale of the products, [n, columns]."""
        # Only rows that were written have limits, so no norm is above _LARGEST, and _FAR stays above all.
        squares = np.minimum((limits * self._scale) ** 2 * (1.0 + 1e-4) + _TINY, _FAR).astype(np.float32)
        squares[limits < 0.0] = -np.inf
        own = (asked.scales * asked.norms * asked.norms * (1.0 - 1e-6)).astype(np.float32)
        if asked.norms.max() <= 1.0:
            return np.asarray(squares - own[:, None])
        return np.asarray(asked.scales.astype(np.float32)[:, None] * squares - own[:, None])

    def _centred(self, rows: Vectors) -> tuple[Floats, Floats]:
        centred = rows - self._centre
        centred *= self._scale
        return centred, np.sqrt(_squares(centred))


def distances(left: Vectors, right: Vectors, pairs: Pairs) -> Floats:
    """Return |x - y| [p] of rows `left[pairs[0]]` and `right[pairs[1]]` in float64, each by its own bits only."""
    at, to = pairs
    squares = np.empty(len(at), dtype=np.float64)
    width = left.shape[1]
    step = min(max(1, _NUMBERS // width), len(at))
    wide = left.astype(np.float64)
    narrow, differences, other = np.empty((step, width), np.float32), np.empty((step, width)), np.empty((step, width))
    for start in range(0, len(at), step):
        if len(at) - start < step:
            n = len(at) - start
            narrow, differences, other = narrow[:n], differences[:n], other[:n]
        part = slice(start, start + step)
        # Without mode="clip", take would write to a copy of `out` first.
        wide.take(at[part], axis=0, out=differences, mode="clip")
        other[:] = right.take(to[part], axis=0, out=narrow, mode="clip")
        differences -= other
        differences *= differences
        np.add.reduce(differences, axis=1, out=squares[part])
    return np.sqrt(squares)


def _kth(parts: list[NDArray[Any]], k: int) -> NDArray[Any]:
    values = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
    if values.shape[1] < k:
        return np.full(len(values), _FAR)
    return np.asarray(np.partition(values, k - 1, axis=1)[:, k - 1])


def _pairs(mask: Bools, first: int) -> Pairs:
    (flat,) = mask.ravel().nonzero()
    if len(mask) == 1:
        return np.zeros(len(flat), dtype=np.int64), flat + first
    row = flat // mask.shape[1]
    return row, flat - row * mask.shape[1] + first


def _most(pairs: Pairs) -> int:
    return int(np.bincount(pairs[0], minlength=1).max())


def _joined(parts: list[Pairs]) -> Pairs:
    if len(parts) == 1:
        return parts[0]
    row = np.concatenate([np.empty(0, np.int64), *(part[0] for part in parts)])
    order = np.argsort(row, kind="stable")
    return row[order], np.concatenate([np.empty(0, np.int64), *(part[1] for part in parts)])[order]


def _parts(rows: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Cut rows into blocks: large temporary arrays would be given back to the system and asked for again."""
    return (rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE))


def _squares(rows: Floats) -> Floats:
    return np.asarray(np.add.reduce(rows * rows, axis=1), dtype=np.float64)
