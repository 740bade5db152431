"""In what do two states differ: values, vocabularies, arrays, the rows of a memory? No class is known here."""

from jamais.persistence.difference.arrays import compare_arrays
from jamais.persistence.difference.changes import (
    ArrayChange,
    Difference,
    ListChange,
    PartChange,
    RowsChange,
    Side,
    ValueChange,
)
from jamais.persistence.difference.trees import compare

__all__ = [
    "ArrayChange",
    "Difference",
    "ListChange",
    "PartChange",
    "RowsChange",
    "Side",
    "ValueChange",
    "compare",
    "compare_arrays",
]
