"""Are targets, loss and gradients those of the paper, and not those of the seed's code?"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jamais.errors import ShapeMismatchError
from jamais.learning.dec import target_distribution
from jamais.learning.dec.targets import clustering_loss
from jamais.models import ClusteringLayer


def twin_q(z: np.ndarray, mu: np.ndarray, alpha: float) -> np.ndarray:
    """Equation 1, a pair at a time."""
    q = np.empty((len(z), len(mu)))
    for i, row in enumerate(z):
        for j, centre in enumerate(mu):
            q[i, j] = (1 + sum((a - b) ** 2 for a, b in zip(row, centre, strict=True)) / alpha) ** (-(alpha + 1) / 2)
        q[i] /= q[i].sum()
    return q


def twin_p(q: np.ndarray) -> np.ndarray:
    """Equation 3, a row at a time."""
    f = q.sum(axis=0)
    return np.array([(row**2 / f) / (row**2 / f).sum() for row in q])


@given(st.integers(1, 9), st.integers(1, 6), st.floats(0.3, 5.0), st.integers(0, 99))
def test_assignments_and_targets_are_those_of_the_equations(n: int, k: int, alpha: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    z, mu = rng.normal(size=(n, 3)) * 3, rng.normal(size=(k, 3))
    layer = ClusteringLayer(k, alpha, width=3).double()
    layer.place(torch.from_numpy(mu))
    q = layer(torch.from_numpy(z))
    np.testing.assert_allclose(q.detach().numpy(), twin_q(z, mu, alpha), rtol=1e-9)
    np.testing.assert_allclose(target_distribution(q).numpy(), twin_p(twin_q(z, mu, alpha)), rtol=1e-9)


def test_each_row_of_a_target_sums_to_one() -> None:
    # The seed's "key fix" made the columns sum to one, and the rows to .005 to .025.
    q = torch.softmax(torch.randn(200, 7, generator=torch.Generator().manual_seed(0)), dim=1)
    p = target_distribution(q)
    torch.testing.assert_close(p.sum(dim=1), torch.ones(200))
    assert float((p.sum(dim=0) - 1).abs().max()) > 1
    assert not target_distribution(q.requires_grad_()).requires_grad


def test_a_cluster_that_no_row_is_near_to_makes_no_nan() -> None:
    p = target_distribution(torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    assert torch.equal(p, torch.tensor([[1.0, 0.0], [1.0, 0.0]]))


def test_frequencies_of_all_data_keep_a_batch_from_filling_absent_clusters() -> None:
    q = torch.tensor([[0.8, 0.2], [0.9, 0.1]])
    alone, known = target_distribution(q), target_distribution(q, torch.tensor([50.0, 50.0]))
    assert bool((alone[:, 1] > known[:, 1]).all()), "what a batch does not hold is not rare"
    np.testing.assert_allclose(known.numpy(), q.numpy() ** 2 / (q.numpy() ** 2).sum(1, keepdims=True), rtol=1e-6)


def test_wrong_shapes_are_told() -> None:
    with pytest.raises(ShapeMismatchError, match=r"assignments \[n, k\] and frequencies \[k\], got \[3\]"):
        target_distribution(torch.ones(3))
    with pytest.raises(ShapeMismatchError, match=r"got \[2, 3\] and \[2\]"):
        target_distribution(torch.ones(2, 3), torch.ones(2))


@pytest.mark.parametrize("alpha", [0.5, 1.0, 3.0])
def test_gradients_are_those_of_the_slow_twin(alpha: float) -> None:
    rng = np.random.default_rng(4)
    z, mu = rng.normal(size=(6, 4)) * 2, rng.normal(size=(3, 4))
    p = twin_p(twin_q(z, mu, alpha))

    def loss(z: np.ndarray, mu: np.ndarray) -> float:
        q = twin_q(z, mu, alpha)
        return float((p * np.log(p / q)).sum() / len(z))

    layer = ClusteringLayer(3, alpha, width=4).double()
    layer.place(torch.from_numpy(mu))
    latents = torch.from_numpy(z).requires_grad_()
    got = clustering_loss(layer.log_assignments(latents), torch.from_numpy(p))
    got.backward()  # type: ignore[no-untyped-call]
    assert float(got.detach()) == pytest.approx(loss(z, mu), rel=1e-9)
    assert latents.grad is not None
    assert layer.clusters.grad is not None
    for numbers, gradient, of in ((z, latents.grad, 0), (mu, layer.clusters.grad, 1)):
        for place in np.ndindex(numbers.shape):
            step = np.zeros_like(numbers)
            step[place] = 1e-6
            up, down = [(z, mu), (z, mu)]
            up, down = (z + step, mu) if of == 0 else (z, mu + step), (z - step, mu) if of == 0 else (z, mu - step)
            assert float(gradient[place]) == pytest.approx((loss(*up) - loss(*down)) / 2e-6, abs=1e-8)


def test_the_loss_of_perfect_clusters_is_nothing() -> None:
    # log_softmax of probabilities, as in the seed, leaves log(K) - 1 and more: 3.62 for 100 clusters.
    q = torch.eye(100)
    assert float(clustering_loss(q.clamp_min(1e-30).log(), target_distribution(q))) == pytest.approx(0.0, abs=1e-6)


def test_a_latent_far_away_or_on_a_centre_has_a_finite_gradient() -> None:
    layer = ClusteringLayer(2, width=2)
    layer.place(torch.tensor([[0.0, 0.0], [1.0, 0.0]]))
    latents = torch.tensor([[0.0, 0.0], [1e15, 1e15], [-1e8, 3.0]], requires_grad=True)
    loss = clustering_loss(layer.log_assignments(latents), torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]))
    loss.backward()  # type: ignore[no-untyped-call]
    assert latents.grad is not None
    assert layer.clusters.grad is not None
    assert bool(torch.isfinite(latents.grad).all())
    assert bool(torch.isfinite(layer.clusters.grad).all())
