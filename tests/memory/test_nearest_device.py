from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jamais.memory import NearestRows
from jamais.memory.search import device as devices
from jamais.memory.search.device import device_of, full_precision


def grouped(n: int, width: int, n_groups: int, spread: float, seed: int, offset: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(n_groups, width)) * 10 + offset
    return (centres[rng.integers(0, n_groups, n)] + spread * rng.normal(size=(n, width))).astype(np.float32)


def same(left: tuple[np.ndarray, np.ndarray], right: tuple[np.ndarray, np.ndarray]) -> bool:
    return left[0].tobytes() == right[0].tobytes() and bool((left[1] == right[1]).all())


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    m=st.integers(1, 1_200),
    width=st.integers(1, 40),
    n_groups=st.sampled_from([1, 4, 300]),
    spread=st.sampled_from([1e-6, 1e-3, 1.0]),
    offset=st.sampled_from([0.0, 1e3]),
    k=st.sampled_from([1, 5, 60]),
    lattice=st.booleans(),
)
def test_torch_and_numpy_give_the_same_bits(
    seed: int, m: int, width: int, n_groups: int, spread: float, offset: float, k: int, lattice: bool
) -> None:
    rows = grouped(m, width, n_groups, spread, seed, offset)
    queries = np.concatenate([rows[:9], grouped(20, width, n_groups, spread, seed), rows[:1] * 1e25])
    if lattice:
        rows, queries = np.round(rows), np.round(queries)
    assert same(NearestRows(rows).nearest(queries, k, device="cpu"), NearestRows(rows).nearest(queries, k))


def test_small_tiles_change_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, queries = grouped(9_000, 20, 9_000, 1.0, 0), grouped(50, 20, 9_000, 1.0, 1)
    wanted = NearestRows(rows).nearest(queries, 7)
    monkeypatch.setattr(devices, "_TILE", 50 * 1_100)
    assert same(NearestRows(rows).nearest(queries, 7, device="cpu"), wanted)
    monkeypatch.setattr(devices, "_MOST_HELD", 60)
    assert same(NearestRows(rows).nearest(queries, 7, device="cpu"), wanted)


def test_crowds_of_near_duplicates_come_back_exact() -> None:
    rows = grouped(20_000, 32, 2, 1e-5, 5, 50.0)
    assert same(NearestRows(rows).nearest(rows[:600], 5, device="cpu"), NearestRows(rows).nearest(rows[:600], 5))


def test_a_grown_search_is_asked_on_the_device_again() -> None:
    rows, queries = grouped(900, 6, 900, 1.0, 2), grouped(30, 6, 900, 1.0, 3)
    index = NearestRows(rows[:700])
    index.nearest(queries, 3, device="cpu")
    assert same(index.extended(rows).nearest(queries, 3, device="cpu"), NearestRows(rows).nearest(queries, 3))


def test_products_use_whole_numbers_and_the_setting_comes_back() -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        with full_precision():
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)


def test_only_tensors_elsewhere_name_a_device() -> None:
    assert device_of(np.zeros(3)) == ""
    assert device_of(torch.zeros(3)) == ""
    assert device_of(torch.zeros(3, device="meta")) == "meta"


@pytest.mark.gpu
def test_cuda_gives_the_same_bits() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    for seed, (n_groups, spread) in enumerate(((20_000, 1.0), (50, 1e-4), (2, 1e-5))):
        rows = grouped(20_000, 256, n_groups, spread, seed, 5.0)
        queries = np.concatenate([rows[::100], grouped(300, 256, n_groups, spread, seed, 5.0)])
        torch.set_float32_matmul_precision("high")
        try:
            found = NearestRows(rows).nearest(queries, 5, device="cuda")
        finally:
            torch.set_float32_matmul_precision("highest")
        assert same(found, NearestRows(rows).nearest(queries, 5))
