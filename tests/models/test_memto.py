"""Does MEMTO read, write and score as the paper's equations say, and is scoring only looking?"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jamais.errors import InputError, NotReadyError, SettingsError, ShapeMismatchError
from jamais.models import MEMTO, MEMTOLoss
from jamais.models.memto import MEMTOConfig
from jamais.models.memto.scoring import window_starts
from jamais.persistence.faces.models import state_of
from jamais.persistence.tree import state_sha256

SMALL: dict[str, Any] = {"latent_dim": 8, "n_heads": 2, "n_layers": 2, "num_memory_items": 4, "d_ff": 16, "window": 12}


def small(**changes: Any) -> MEMTO:
    return MEMTO.from_config({"n_features": 3, **SMALL, **changes})


def windows(n: int = 6, length: int = 12, channels: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, length, channels, generator=torch.Generator().manual_seed(seed))


def sha(model: MEMTO) -> str:
    return state_sha256(state_of(model)[1])


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def test_the_seeds_names_have_the_seeds_defaults() -> None:
    config = MEMTO(5).config
    got = [config.latent_dim, config.n_heads, config.n_layers, config.num_memory_items, config.lambda_entropy]
    assert got == [64, 4, 3, 10, 0.01]
    assert [config.lr, config.phase1_epochs, config.phase2_epochs] == [1e-4, 3, 5]


def test_the_paper_has_the_papers_sizes() -> None:
    config = MEMTOConfig.paper(55)
    sizes = [config.latent_dim, config.n_heads, config.n_layers, config.num_memory_items, config.d_ff]
    assert sizes == [512, 8, 3, 10, 512]
    assert [config.temperature, config.lambda_entropy, config.lambda_usage] == [0.1, 0.01, 0.0]


def test_a_model_gives_reconstruction_queries_and_attention() -> None:
    reconstruction, queries, attention = small()(windows(5, 9))
    assert [list(one.shape) for one in (reconstruction, queries, attention)] == [[5, 9, 3], [5, 9, 8], [5, 9, 4]]
    torch.testing.assert_close(attention.sum(dim=2), torch.ones(5, 9))


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_reading_is_the_softmax_over_items_at_the_temperature(similarity: str) -> None:
    model = small(similarity=similarity, temperature=0.3)
    _, queries, attention = model(windows())
    q, m = queries.detach().double().numpy(), model.memory.items.double().numpy()
    likeness = q @ m.T
    if similarity == "cosine":
        likeness /= np.linalg.norm(q, axis=-1, keepdims=True) * np.linalg.norm(m, axis=1)
    np.testing.assert_allclose(attention.detach(), softmax(likeness / 0.3), atol=1e-5)


@pytest.mark.parametrize("writing", ["paper", "competing"])
def test_writing_is_equations_1_to_3(writing: str) -> None:
    model = small(writing=writing, similarity="dot", temperature=0.7, centring=False).train()
    x = windows()
    old = model.memory.items.double().numpy().copy()
    q = model.encoder(x).detach().double().numpy().reshape(-1, 8)
    likeness = q @ old.T / 0.7
    v = softmax(likeness.T)  # [M, T]: over time
    if writing == "competing":
        won = softmax(likeness).T
        v = won / won.sum(axis=1, keepdims=True)
    new = np.stack([sum(v[i, t] * q[t] for t in range(len(q))) for i in range(4)])
    u, w = (gate.weight.detach().double().numpy() for gate in (model.memory.old_gate, model.memory.new_gate))
    psi = 1 / (1 + np.exp(-(old @ u.T + new @ w.T)))
    model.training_pass(x)
    np.testing.assert_allclose(model.memory.items, (1 - psi) * old + psi * new, atol=1e-5)


def test_the_decoder_sees_the_query_beside_what_was_read() -> None:
    model = small()
    reconstruction, queries, attention = model(windows())
    both = torch.cat([queries, attention @ model.memory.items], dim=2)
    hidden, output = model.decoder.hidden, model.decoder.output
    torch.testing.assert_close(reconstruction, output(torch.nn.functional.gelu(hidden(both))), atol=1e-5, rtol=1e-5)


def test_the_gate_and_all_else_get_a_gradient() -> None:
    model = small().train()
    x = windows()
    reconstruction, _, attention = model.training_pass(x)
    MEMTOLoss()(reconstruction, x, attention).backward()
    still = [name for name, p in model.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)]
    assert still == []


def test_a_step_reads_the_items_that_it_stores_and_no_graph_grows() -> None:
    model = small(centring=False).train()
    _, queries, attention = model.training_pass(windows())
    torch.testing.assert_close(attention, model.memory.attend(queries))
    assert model.memory.items.grad_fn is None
    assert not model.memory.items.requires_grad


def test_only_a_training_pass_writes() -> None:
    model = small().train()
    before = sha(model)
    model(windows())
    model.eval()
    model(windows())
    values = np.random.default_rng(0).normal(size=(40, 3))
    model.anomaly_score(windows())
    model.isd(windows())
    model.lsd(windows())
    model.pooled(windows())
    model.health(windows())
    model.score_series(values, 5)
    assert sha(model) == before
    for training, grad in ((False, True), (True, False)):
        model.train(training)
        with torch.set_grad_enabled(grad), pytest.raises(NotReadyError, match="written in training only"):
            model.training_pass(windows())
    assert sha(model) == before
    model.training_pass(windows())
    assert sha(model) != before


def test_scoring_leaves_the_mode_as_it_was() -> None:
    for training in (True, False):
        model = small().train(training)
        model.anomaly_score(windows())
        assert model.training is training


def test_queries_are_about_their_mean_after_training_passes_and_items_move_along() -> None:
    model = small().train()
    far = float(model(windows())[1].detach().mean(dim=(0, 1)).norm())
    before = model.memory.nearest(model.encoder(windows()))[0]
    shift = model.encoder.recentre(model.encoder(windows()))
    model.memory.store(model.memory.items - shift)
    assert float(model(windows())[1].detach().mean(dim=(0, 1)).norm()) < 1e-5 < 0.1 < far
    torch.testing.assert_close(model.memory.nearest(model.encoder(windows()))[0], before, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("weighting", ["even", "paper"])
def test_the_score_is_equation_11(weighting: str) -> None:
    model = small(weighting=weighting).eval()
    x = windows(3)
    reconstruction, queries, _ = (one.detach().double().numpy() for one in model(x))
    items = model.memory.items.double().numpy()
    isd = ((x.double().numpy() - reconstruction) ** 2).sum(axis=2)
    lsd = np.array([[min(((q - m) ** 2).sum() for m in items) for q in window] for window in queries])
    scale = 0.1 * (8 if weighting == "even" else 1)
    np.testing.assert_allclose(model.isd(x), isd, rtol=1e-4)
    np.testing.assert_allclose(model.lsd(x), lsd, rtol=1e-4)
    np.testing.assert_allclose(model.anomaly_score(x), softmax(lsd / scale) * isd, rtol=1e-3, atol=1e-9)


def test_a_window_alone_is_that_window_in_any_batch() -> None:
    model = small(latent_dim=16).eval()
    x = windows(37)
    whole, pooled = model.anomaly_score(x), model.pooled(x)
    order = np.random.default_rng(0).permutation(37)
    assert (model.anomaly_score(x[order]) == whole[order]).all()
    for place in (0, 5, 16, 36):
        assert (model.anomaly_score(x[place : place + 1]) == whole[place : place + 1]).all()
        assert (model.pooled(x[place : place + 1]) == pooled[place : place + 1]).all()


def test_inputs_are_left_alone_and_tensors_and_arrays_are_alike() -> None:
    model = small()
    x = windows()
    before = x.clone()
    for method in (model.anomaly_score, model.isd, model.lsd, model.pooled):
        tensor, array = method(x), method(x.numpy().astype(np.float64))
        assert isinstance(tensor, torch.Tensor)
        assert isinstance(array, np.ndarray)
        assert (tensor.numpy() == array).all()
    assert x.equal(before)


def test_pooled_is_the_mean_of_the_queries() -> None:
    model = small().eval()
    np.testing.assert_allclose(model.pooled(windows()), model(windows())[1].detach().mean(dim=1), atol=1e-5)


@pytest.mark.parametrize("kind", ["score", "isd", "lsd"])
@pytest.mark.parametrize(("n", "step"), [(12, 5), (13, 5), (40, 5), (41, 12), (5, 3)])
def test_a_series_is_the_mean_over_the_windows_that_cover_a_point(n: int, step: int, kind: str) -> None:
    model = small()
    values = np.random.default_rng(n).normal(size=(n, 3))
    length = min(12, n)
    starts = sorted({*range(0, n - length + 1, step), n - length})
    each = {"score": model.anomaly_score, "isd": model.isd, "lsd": model.lsd}[kind]
    got = [list[float]() for _ in range(n)]
    for start in starts:
        for place, score in enumerate(each(values[None, start : start + length])[0]):
            got[start + place].append(float(score))
    np.testing.assert_allclose(model.score_series(values, step, kind=kind), [np.mean(one) for one in got], rtol=1e-12)


@given(n=st.integers(1, 300), length=st.integers(1, 100), step=st.integers(1, 100))
@settings(max_examples=60, deadline=None)
def test_windows_cover_all_points_and_stay_inside(n: int, length: int, step: int) -> None:
    length = min(length, n)
    step = min(step, length)
    starts = window_starts(n, length, step)
    covered = {place for start in starts for place in range(start, start + length)}
    assert covered == set(range(n))
    assert len(set(starts.tolist())) == len(starts) == -(-(n - length) // step) + 1


def test_equal_seeds_give_equal_models_and_the_global_numbers_stay() -> None:
    torch.manual_seed(5)
    wanted = torch.rand(1)
    torch.manual_seed(5)
    first = small(seed=1)
    assert torch.rand(1).equal(wanted)
    assert sha(first) == sha(small(seed=1)) != sha(small(seed=2))


def test_health_tells_a_collapsed_memory() -> None:
    model = small()
    spread = model.health(windows())
    model.memory.place(torch.ones(4, 8) + 1e-3 * torch.arange(4.0)[:, None])
    one = model.health(windows())
    assert one.cosine > 0.999 > spread.cosine
    model.memory.place(torch.eye(4, 8) * torch.tensor([0.1, 900.0, 900.0, 900.0])[:, None])
    lonely = model.health(windows())
    assert lonely.usage == (1.0, 0.0, 0.0, 0.0)
    assert lonely.usage_entropy == 0.0 < spread.usage_entropy <= 1.0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"latent_dim": 9}, "latent_dim must be even and n_heads times a width, got 9"),
        ({"num_memory_items": 1}, "num_memory_items must be a whole number of at least 2, got 1"),
        ({"temperature": 0.0}, "temperature must be a number above 0, got 0.0"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1, got 1.0"),
        ({"similarity": "euclid"}, "similarity is cosine or dot, got 'euclid'"),
        ({"window": 600}, "window must be at most max_length = 512, got 600"),
        ({"latent_dimm": 8}, "no setting 'latent_dimm': did you mean 'latent_dim'"),
        ({"n_features": 0}, "n_features must be a whole number of at least 1, got 0"),
        ({"decoder_dim": 0}, "decoder_dim must be a whole number of at least 1 or none, got 0"),
    ],
)
def test_settings_that_make_no_sense_are_told(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        small(**changes)


def test_a_config_wants_the_number_of_channels() -> None:
    with pytest.raises(SettingsError, match="n_features, the number of channels"):
        MEMTO.from_config({"latent_dim": 8})
    with pytest.raises(SettingsError, match="must be a whole number"):
        MEMTO(3, window=2.5)  # type: ignore[arg-type]


def test_what_are_no_windows_is_told() -> None:
    model = small()
    with pytest.raises(ShapeMismatchError, match=r"wanted windows \[n, L, 3\] with L from 1 to 512, got \[6, 12, 2\]"):
        model(windows(channels=2))
    with pytest.raises(ShapeMismatchError, match=r"got \[12, 3\]"):
        model.anomaly_score(windows()[0])
    broken = windows()
    broken[1, 2, 0] = torch.nan
    with pytest.raises(InputError, match=r"NaN or an infinite number at \[1, 2, 0\]"):
        model.pooled(broken)
    with pytest.raises(InputError, match="wanted numbers, got <U1"):
        model.lsd(np.array([[["a"]]]))
    with pytest.raises(ShapeMismatchError, match=r"wanted a series \[T, 3\] of at least one row, got \[0, 3\]"):
        model.score_series(np.empty((0, 3)))
    with pytest.raises(SettingsError, match="step must be from 1 to the window of 12 points, got 0"):
        model.score_series(np.ones((20, 3)), 0)
    with pytest.raises(SettingsError, match="kind is score, isd, lsd, got 'auc'"):
        model.score_series(np.ones((20, 3)), 5, kind="auc")
    with pytest.raises(ShapeMismatchError, match=r"the memory holds items \[4, 8\], got \[5, 8\]"):
        model.memory.place(torch.zeros(5, 8))


def test_no_windows_have_no_scores() -> None:
    assert small().anomaly_score(windows(0)).shape == (0, 12)
    assert small().pooled(windows(0)).shape == (0, 8)


def test_the_loss_is_its_three_parts() -> None:
    attention = torch.tensor([[[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]])
    x, reconstruction = torch.ones(1, 2, 4), torch.zeros(1, 2, 4)
    a = attention[0].double().numpy()
    entropy = float(np.mean([-sum(w * np.log(w) for w in row) for row in a]))
    used = a.mean(axis=0)
    usage = float(np.log(3) + sum(w * np.log(w) for w in used))
    got = MEMTOLoss(0.5, 2.0)(reconstruction, x, attention)
    assert float(got) == pytest.approx(1.0 + 0.5 * entropy + 2.0 * usage, rel=1e-5)
    sharp = MEMTOLoss().terms(x, x, torch.eye(3)[None, :2, :])
    assert float(sharp.entropy) == pytest.approx(0.0, abs=1e-6)
    assert all(float(term) >= -1e-6 for term in sharp)


def test_the_loss_refuses_what_does_not_belong_together() -> None:
    with pytest.raises(ShapeMismatchError, match="wanted reconstruction and x"):
        MEMTOLoss()(torch.zeros(1, 2, 4), torch.zeros(1, 2, 3), torch.ones(1, 2, 5))
    with pytest.raises(SettingsError, match="lambda_usage must be a number of at least 0, got -1"):
        MEMTOLoss(0.01, -1)


def test_an_attention_of_zero_has_a_finite_gradient() -> None:
    likeness = torch.tensor([[[900.0, 0.0, -900.0]]], requires_grad=True)
    MEMTOLoss()(torch.zeros(1, 1, 2), torch.zeros(1, 1, 2), torch.softmax(likeness, dim=2)).backward()
    assert likeness.grad is not None
    assert bool(torch.isfinite(likeness.grad).all())


def test_a_longer_window_than_the_default_most_is_allowed_for() -> None:
    assert MEMTO(2, window=700, latent_dim=8).config.max_length == 700
    assert dataclasses.replace(MEMTOConfig(2), window=300).max_length == 512
