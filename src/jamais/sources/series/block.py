"""What is handed on of a series: some rows that come one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from jamais.types import Floats, Ints


@dataclass(frozen=True)
class Piece:
    """Rows as they were found, in the order of the channels: times [n], values [n, channels]."""

    times: Ints
    values: Floats

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True)
class SeriesBlock:
    """Rows on the line of time, with empty ones put in where stamps leave a gap. Its length counts the others."""

    rows: Ints
    """[n] numbers of the rows over the whole stream, from 0 (long layout: of stamps; resampled: of cells with a row in
    them); -1 = an empty row that was put in. The last row of a block is never an empty one."""
    times: Ints
    """[n] microseconds since 1970 UTC, NO_TIME where there are none."""
    values: Floats
    """[n, channels], NaN = missing."""

    def __len__(self) -> int:
        return int((self.rows >= 0).sum())

    @classmethod
    def none(cls, n_channels: int) -> SeriesBlock:
        """Give a block without rows."""
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, n_channels)))


def no_piece(n_channels: int) -> Piece:
    """Give a piece without rows."""
    return Piece(np.zeros(0, np.int64), np.zeros((0, n_channels)))


def joined_pieces(pieces: list[Piece], n_channels: int) -> Piece:
    """Join pieces that come one after the other."""
    pieces = [one for one in pieces if len(one)]
    if len(pieces) == 1:
        return pieces[0]
    if not pieces:
        return no_piece(n_channels)
    return Piece(np.concatenate([one.times for one in pieces]), np.concatenate([one.values for one in pieces]))


def joined(blocks: list[SeriesBlock], n_channels: int) -> SeriesBlock:
    """Join blocks that come one after the other."""
    blocks = [one for one in blocks if len(one.rows)]
    if len(blocks) == 1:
        return blocks[0]
    if not blocks:
        return SeriesBlock.none(n_channels)
    return SeriesBlock(
        np.concatenate([one.rows for one in blocks]),
        np.concatenate([one.times for one in blocks]),
        np.concatenate([one.values for one in blocks]),
    )


def cut(block: SeriesBlock, size: int) -> Iterator[SeriesBlock]:
    """Cut a block behind rows of the input, each part as small as `size` allows."""
    ends = np.flatnonzero(block.rows >= 0) + 1
    start = 0
    while start < len(block.rows):
        at = max(int(np.searchsorted(ends, start + size, side="right")) - 1, int(np.searchsorted(ends, start + 1)))
        stop = int(ends[min(at, len(ends) - 1)])
        yield SeriesBlock(block.rows[start:stop], block.times[start:stop], block.values[start:stop])
        start = stop
