"""What may be said about where the rows of a file or table are?"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class VectorSettings:
    """Where rows of numbers are found, and how many are read at once."""

    array: str | None = None
    """Key of the rows in an .npz, or the column of a table that holds lists. None: the only one there is."""
    columns: tuple[str, ...] = ()
    """Columns of a table that make up a row, in this order. None given: all columns of numbers, as `fit` saw them."""
    label_column: str | None = None
    """Key of an .npz, or column of a table, that names each row's first cluster. Looked at by `fit` only."""
    block_rows: int = 5_000
    """Rows read, scored and learned at once. Of width 384 they take 8 MB; new clusters are looked for once in each."""

    def __post_init__(self) -> None:
        if self.block_rows < 1:
            raise ValueError("block_rows is 1 or more, for example 5000")
