"""Is the error that of the reconstruction, the same bits in any company, and unlearned rows truly unlearned?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference.damage import broken

from jamais.detectors.reconstruction import Reconstruction
from jamais.detectors.reconstruction.held_out import fold_weights, holds_out, n_folds, training_weights
from jamais.detectors.reconstruction.products import bits, product
from jamais.errors import CorruptStateError, InputError, NotReadyError, SettingsError
from jamais.memory import CoverMemory, FeatureMemory
from jamais.testing import DETECTOR_CHECKS, DetectorCase, digest

WIDTH = 9


def rows_of(n: int, seed: int = 0, width: int = WIDTH, rank: int = 3, noise: float = 0.2) -> np.ndarray:
    random = np.random.default_rng(seed)
    plane = np.random.default_rng(77).normal(size=(rank, width))
    return (random.normal(size=(n, rank)) @ plane + noise * random.normal(size=(n, width)) + 5).astype(np.float32)


def naive_scores(learned: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Write probabilistic PCA down by its covariance: the Mahalanobis distance, in units of the noise."""
    learned = learned.astype(np.float64)
    width = learned.shape[1]
    mean = learned.mean(axis=0)
    _, singular, vectors = np.linalg.svd(learned - mean, full_matrices=True)
    variances = np.zeros(width)
    variances[: len(singular)] = singular**2 / len(learned)
    k = 0
    while k < width - 1 and variances[:k].sum() < 0.9 * variances.sum():
        k += 1
    noise = max(variances[k:].mean(), 1e-3 * variances.mean())
    model = np.where(np.arange(width) < k, np.maximum(variances, noise), noise)
    along = (rows.astype(np.float64) - mean) @ vectors.T
    return np.sqrt((along**2 / model).sum(axis=1) * noise / width)


class Torch(torch.nn.Module):
    """A network as somebody might bring it; it notes in which shapes it is asked."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.net = torch.nn.Sequential(torch.nn.Linear(width, 4), torch.nn.Tanh(), torch.nn.Linear(4, width))
        self.shapes: set[tuple[int, ...]] = set()

    def reconstruct(self, rows: np.ndarray) -> torch.Tensor:
        self.shapes.add(rows.shape)
        return self.net(torch.from_numpy(rows))


class Loss:
    def reconstruction_loss(self, rows: np.ndarray) -> np.ndarray:
        return np.abs(rows - 5).sum(axis=1)


@pytest.mark.parametrize("check", DETECTOR_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(
    "make",
    [
        Reconstruction,
        lambda: Reconstruction("pca", memory=40),
        lambda: Reconstruction(Torch()),
        lambda: Reconstruction(Loss()),
        lambda: Reconstruction(memory=FeatureMemory(CoverMemory(500), calibration=10)),  # held out
    ],
)
def test_contract(make: Any, check: Any) -> None:
    check(DetectorCase(make, rows_of(90), rows_of(20, seed=1)))


@pytest.mark.parametrize(("n", "width", "rank"), [(200, 9, 3), (40, 60, 5), (500, 2, 2), (300, 1, 1), (6, 30, 3)])
def test_scores_are_distances_under_probabilistic_pca(n: int, width: int, rank: int) -> None:
    learned = rows_of(n, width=width, rank=rank)
    new = np.concatenate([rows_of(20, 1, width, rank), rows_of(20, 2, width, rank) * 3])
    one = Reconstruction().fit(learned)
    np.testing.assert_allclose(one.decision_function(new), naive_scores(learned, new), rtol=2e-5)


def test_the_score_is_the_error_of_the_reconstruction() -> None:
    one = Reconstruction().fit(rows_of(200))
    new = rows_of(10, seed=4) * 2
    made = one._own().reconstruct(new)
    assert np.allclose(one.decision_function(new), np.sqrt(((new - made) ** 2).mean(axis=1)), rtol=1e-12, atol=0)
    assert 1 <= one.n_components_ <= 3


def test_counts_are_rows() -> None:
    rows = rows_of(40)
    counts = np.random.default_rng(1).integers(1, 6, 40)
    counted = Reconstruction()
    counted.memory.add(rows, counts)
    counted.fit(force=True)
    repeated = Reconstruction().fit(np.repeat(rows, counts, axis=0))
    assert np.array_equal(repeated.decision_function(rows_of(9, 5)), counted.decision_function(rows_of(9, 5)))
    np.testing.assert_allclose(
        counted.decision_function(rows_of(9, 5)),
        naive_scores(np.repeat(rows, counts, axis=0), rows_of(9, 5)),
        rtol=1e-5,
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 70), st.integers(1, 40), st.integers(1, 30), st.integers(-120, 120))
def test_a_product_has_the_same_bits_in_any_batch_and_order(seed: int, n: int, m: int, k: int, power: int) -> None:
    random = np.random.default_rng(seed)
    n_bits = bits(m)
    rows = np.ldexp(random.normal(size=(n, m)) * 10.0 ** random.integers(-9, 9, size=(n, m)), power)
    whole = random.integers(-(2**n_bits), 2**n_bits + 1, size=(m, k)).astype(np.float64)
    together = product(rows, whole, n_bits)
    order = random.permutation(n)
    assert np.array_equal(product(rows[order], whole, n_bits), together[order])
    for i in range(n):
        assert np.array_equal(product(rows[i : i + 1], whole, n_bits)[0], together[i])
    exact = [[math.fsum(rows[i] * whole[:, j]) for j in range(k)] for i in range(n)]
    size = np.abs(rows).max(axis=1, initial=0)[:, None] * 2.0**n_bits * m
    assert (np.abs(together - exact) <= 2.0 ** (-2 * n_bits) * size).all()


@pytest.mark.parametrize("width", [3, 64, 257])
def test_a_row_alone_is_a_row_in_any_batch(width: int) -> None:
    one = Reconstruction().fit(rows_of(300, width=width))
    new = rows_of(70, seed=3, width=width)
    together = one.decision_function(new)
    order = np.random.default_rng(0).permutation(70)
    assert np.array_equal(one.decision_function(new[order]), together[order])
    assert np.array_equal([one.decision_function(row[None])[0] for row in new], together)
    assert np.array_equal(np.concatenate([one.decision_function(new[:13]), one.decision_function(new[13:])]), together)


def test_a_model_from_outside_is_always_asked_for_one_row() -> None:
    model = Torch()
    one = Reconstruction(model).fit(rows_of(40))
    scores = one.decision_function(rows_of(8, 2))
    assert model.shapes == {(1, WIDTH)}
    made = model.reconstruct(rows_of(8, 2)).detach().numpy()
    np.testing.assert_allclose(scores, np.sqrt(((rows_of(8, 2) - made) ** 2).mean(axis=1)), rtol=1e-5)
    assert one.explain(rows_of(1))[0].features


def test_a_loss_is_taken_at_its_word() -> None:
    one = Reconstruction(Loss()).fit(rows_of(40))
    assert np.allclose(one.decision_function(rows_of(8, 2)), np.abs(rows_of(8, 2) - 5).sum(axis=1))
    assert one.explain(rows_of(1))[0].features


def test_a_model_that_answers_nonsense_is_named() -> None:
    class Short:
        def reconstruct(self, rows: Any) -> Any:
            return rows[:, 1:]

    class Nan:
        def reconstruction_loss(self, rows: Any) -> Any:
            return np.full(len(rows), np.nan)

    with pytest.raises(InputError, match="Short answered"):
        Reconstruction(Short()).fit(rows_of(20))
    with pytest.raises(InputError, match="Nan answered NaN"):
        Reconstruction(Nan()).fit(rows_of(20))


def test_a_model_from_outside_is_not_state() -> None:
    model = Torch()
    one = Reconstruction(model).fit(rows_of(40))
    tree = one.state_dict()
    assert tree["settings"]["model"] == "external"
    assert one.get_params()["model"] is model
    bare = Reconstruction()
    bare.load_state_dict(tree)
    with pytest.raises(NotReadyError, match=r"set \.model"):
        bare.decision_function(rows_of(3))
    bare.model = model
    assert np.array_equal(bare.decision_function(rows_of(3)), one.decision_function(rows_of(3)))
    other = Reconstruction(model)
    other.load_state_dict(tree)
    assert other.model is model
    with pytest.raises(SettingsError, match="can only be set"):
        Reconstruction().model = model


def test_a_row_is_judged_by_a_model_that_has_not_learned_it() -> None:
    rows = np.repeat(rows_of(45, seed=8), [1, 2, 12] * 15, axis=0)
    one = Reconstruction().fit(rows)
    assert not holds_out(one.memory)
    parts = n_folds(one.memory)
    for slot in range(0, 45, 4):
        fold = int(one.memory.ids[slot] % parts)
        weights = fold_weights(one.memory, fold)
        assert weights[slot] <= one.memory.counts[slot] - 1
        learned = np.repeat(one.memory.rows, weights.astype(int), axis=0)
        row = one.memory.rows[slot : slot + 1]
        np.testing.assert_allclose(one._unseen_scores(row), naive_scores(learned, row), rtol=2e-5)
    whole = sum(one.memory.counts - fold_weights(one.memory, fold) for fold in range(parts))
    assert np.array_equal(whole, one.memory.counts), "each row is in one fold"


def test_calibration_rows_are_held_out_and_learned_once_they_are_dropped() -> None:
    one = Reconstruction(memory=FeatureMemory(CoverMemory(5000), calibration=30))
    one.fit(rows_of(200))
    for step in range(6):
        one.partial_fit(rows_of(40, seed=step + 1))
        one.forget(one.memory.ids[step : step + 3])
        assert holds_out(one.memory)
        drawn = {row.tobytes() for row in one.memory.calibration.rows}
        weights = training_weights(one.memory)
        assert [w == 0 for w in weights] == [row.tobytes() in drawn for row in one.memory.rows]
        learned = one.memory.rows[weights > 0]
        new = rows_of(10, seed=50 + step)
        np.testing.assert_allclose(one.decision_function(new), naive_scores(learned, new), rtol=2e-5)
        held = one.memory.calibration.rows
        np.testing.assert_allclose(one._unseen_scores(held), naive_scores(learned, held), rtol=2e-5)


def test_learning_and_forgetting_is_a_refit() -> None:
    one = Reconstruction().fit(rows_of(150) + 40)
    random = np.random.default_rng(5)
    for step in range(8):
        one.partial_fit(rows_of(9, seed=10 + step) + 40)
        one.partial_fit(one.memory.rows[random.integers(0, len(one.memory), 5)])
        if step % 2:
            one.forget(random.choice(one.memory.ids, 6, replace=False))
        learned = np.repeat(one.memory.rows, one.memory.counts, axis=0)
        new = rows_of(5, seed=60 + step) + 40
        np.testing.assert_allclose(one.decision_function(new), naive_scores(learned, new), rtol=2e-5)


@pytest.mark.parametrize("n", [60, 400])
def test_p_values_hold_on_unseen_rows(n: int) -> None:
    shares = []
    for seed in range(25):
        one = Reconstruction().fit(rows_of(n, seed=seed))
        one.partial_fit(rows_of(n // 3, seed=500 + seed))
        shares.append((one.p_value(rows_of(500, seed=1000 + seed)) <= 0.05).mean())
    assert 0.035 <= float(np.mean(shares)) <= 0.058


def test_a_memory_that_melts_rows_together_is_followed() -> None:
    one = Reconstruction(memory=60).fit(rows_of(150))
    one.partial_fit(rows_of(60, seed=1))
    assert one.memory.normal.reach > 0
    learned = np.repeat(one.memory.rows, one.memory.counts, axis=0)
    np.testing.assert_allclose(one.decision_function(rows_of(4, 2)), naive_scores(learned, rows_of(4, 2)), rtol=2e-5)
    assert np.isfinite(one.p_value(rows_of(4, 2))).all()


def test_constant_columns_equal_rows_and_extremes_are_answered() -> None:
    flat = rows_of(60)
    flat[:, 2] = 7.5
    moved = flat[:1].copy()
    moved[0, 2] = 20
    one = Reconstruction().fit(flat)
    assert one.decision_function(moved)[0] > one.threshold_
    same = Reconstruction().fit(np.full((10, 3), 50.0))
    assert same.decision_function([[50, 50, 50]])[0] == 0.0
    assert same.decision_function([[50, 50, 51]])[0] == pytest.approx(1 / math.sqrt(3))
    assert same.predict([[50, 50, 51]])[0] == 1
    narrow = Reconstruction().fit([[0.0], [1.0]])
    assert narrow.decision_function([[2.0]])[0] == 1.5
    assert np.isfinite(narrow.p_value([[9.0]])).all()
    huge = Reconstruction().fit(np.random.default_rng(0).normal(size=(30, 3)) * 1e38)
    assert np.isfinite(huge.decision_function(np.full((2, 3), 3e38))).all()
    tiny = Reconstruction().fit(np.random.default_rng(0).normal(size=(30, 3)) * 1e-37)
    assert np.isfinite(tiny.decision_function(np.full((2, 3), 3e-30))).all()
    with pytest.raises(NotReadyError, match="needs 2"):
        Reconstruction().fit([[1.0, 2.0]])


def test_forgetting_everything_and_starting_again_works() -> None:
    one = Reconstruction().fit(rows_of(40))
    one.forget(one.memory.ids)
    with pytest.raises(NotReadyError):
        one.decision_function(rows_of(2))
    one.partial_fit(rows_of(30, seed=2))
    np.testing.assert_allclose(one.decision_function(rows_of(5)), naive_scores(rows_of(30, 2), rows_of(5)), rtol=2e-5)


def test_shares_name_the_column_that_is_off() -> None:
    one = Reconstruction().fit(rows_of(300, noise=0.05))
    row = rows_of(1, seed=9, noise=0.05)
    row[0, 6] += 9
    assert one.explain(row)[0].features[0][0] == 6


@pytest.mark.parametrize("model", ["autoencoder", 3, object(), Torch])
def test_a_model_that_cannot_reconstruct_is_refused(model: Any) -> None:
    with pytest.raises(SettingsError, match="reconstruct"):
        Reconstruction(model)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("engine", {}),
        ("engine.mass_at_refit", 0.0),
        ("engine.mass_at_refit", "much"),
        ("engine.moments.mass", -1.0),
        ("engine.moments.origin", lambda a: a[1:]),
        ("engine.moments.sums", lambda a: a.astype(np.float32)),
        ("engine.moments.products", lambda a: a * math.nan),
        ("engine.moments.products", [1, 2]),
        ("engine.pca.mean", lambda a: a[None]),
        ("engine.pca.directions", lambda a: a + 0.5),
        ("engine.pca.directions", lambda a: a * 2.0**20),
        ("engine.pca.directions", lambda a: a[:, :0]),
        ("engine.pca.kept", lambda a: a + 7),
        ("engine.pca.kept", 3),
        ("settings.model", "external?"),
        ("settings.random_state", "x"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(path: str, value: Any) -> None:
    one = Reconstruction().fit(rows_of(50))
    before = digest(one.state_dict())
    with pytest.raises(CorruptStateError):
        one.load_state_dict(broken(one.state_dict(), path, value))
    assert digest(one.state_dict()) == before
