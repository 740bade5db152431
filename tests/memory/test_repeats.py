"""Are exact repeats found exactly, even where the numbers that tell rows apart are the same?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jamais.memory import CoverMemory
from jamais.memory.kept import repeats


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(1, 5), st.integers(1, 40))
def test_rows_are_told_apart_by_all_their_bits(seed: int, n: int, width: int, size: int) -> None:
    rows = np.random.default_rng(seed).integers(0, 3, (n, width)).astype(np.float32)
    memory, known, next_id = CoverMemory(1_000), {}, 0
    for start in range(0, n, size):
        part = rows[start : start + size]
        wanted = []
        for row in map(tuple, part.tolist()):
            if row not in known:
                known[row], next_id = next_id, next_id + 1
            wanted.append(known[row])
        assert memory.add(part).tolist() == wanted
        gone = memory.ids[::3].tolist()
        memory.forget(gone)
        known = {row: own for row, own in known.items() if own not in gone}
        assert memory.ids_of(rows).tolist() == [known.get(tuple(row), -1) for row in rows.tolist()]


def test_rows_with_the_same_mark_are_still_two(monkeypatch: pytest.MonkeyPatch) -> None:
    real, salts = repeats._marks, []

    def weak(rows: Any, salt: int) -> Any:
        salts.append(salt)
        return real(rows, salt) % np.uint64(4) if salt < 3 else real(rows, salt)

    monkeypatch.setattr(repeats, "_marks", weak)
    rows = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    whole, pieces, plain = CoverMemory(100), CoverMemory(100), CoverMemory(100)
    for start in range(40):
        pieces.add(rows[start : start + 1])
    whole.add(np.concatenate([rows, rows]))
    assert max(salts) == 3
    monkeypatch.setattr(repeats, "_marks", real)
    plain.add(rows)
    assert whole.ids.tolist() == pieces.ids.tolist() == plain.ids.tolist() == list(range(40))
    assert whole.counts.tolist() == [2] * 40


@pytest.mark.parametrize("width", [1, 2, 7, 64])
def test_marks_of_rows_that_differ_little_differ(width: int) -> None:
    rng = np.random.default_rng(0)
    signs = np.unique(rng.choice([-1.0, 1.0], (5_000, width)), axis=0).astype(np.float32)
    whole = np.unique(rng.integers(0, 50, (5_000, width)), axis=0).astype(np.float32)
    for rows in (signs, whole, whole * np.float32(2.0**40), signs * np.float32(1e-38)):
        assert len(np.unique(repeats._marks(rows, 0))) == len(rows)


def test_marks_do_not_depend_on_the_batch() -> None:
    rows = np.random.default_rng(0).normal(size=(3_000, 33)).astype(np.float32)
    alone = [int(repeats._marks(rows[i : i + 1], 1)[0]) for i in range(0, 3_000, 97)]
    assert alone == repeats._marks(rows, 1)[::97].tolist()
