"""Does an encoder of windows learn what it is told to, repeatably, and is it left alone when learning fails?"""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from torch.nn import functional

from jamais.errors import Cancelled, InputError, SettingsError, ShapeMismatchError
from jamais.learning import train_patches
from jamais.learning.contrastive import ContrastSettings, spoilt
from jamais.learning.contrastive.spoiling import KINDS
from jamais.learning.contrastive.training import contrast
from jamais.models import PatchEncoder
from jamais.types import CancelToken, Event

SMALL = ContrastSettings(batch=16)


def series(n: int = 600, channels: int = 3) -> np.ndarray:
    chance = np.random.default_rng(0)
    time_of = np.arange(n)[:, None]
    return np.sin(time_of / np.linspace(3, 90, channels)) * 2 + 0.2 * chance.normal(size=(n, channels))


def encoder(channels: int = 3) -> PatchEncoder:
    return PatchEncoder(channels, past=20, width=8, hidden=12)


def test_the_loss_falls_and_the_seed_decides_everything() -> None:
    first, second, other = encoder(), encoder(), encoder()
    losses = train_patches(first, series(), 60, SMALL, seed=1)
    torch.manual_seed(99)
    assert train_patches(second, series(), 60, SMALL, seed=1) == losses
    train_patches(other, series(), 60, SMALL, seed=2)
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])
    assert first.describe(series()).tobytes() == second.describe(series()).tobytes()
    assert first.describe(series()).tobytes() != other.describe(series()).tobytes()
    assert first.steps == 60


def test_the_global_seed_the_threads_and_the_rows_are_left_alone() -> None:
    values = series()
    values[5, 1] = np.nan
    kept, before, threads = values.copy(), torch.random.get_rng_state(), torch.get_num_threads()
    train_patches(encoder(), values, 2, SMALL)
    np.testing.assert_array_equal(values, kept)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_trained_windows_are_nearer_to_their_neighbours_in_time() -> None:
    values = series(2_000)
    held_back, made = series(2_600)[2_000:], encoder()
    train_patches(made, values, 0)
    before = _cosine_ratio(made.describe(held_back))
    train_patches(made, values, 150, ContrastSettings(batch=32))
    assert _cosine_ratio(made.describe(held_back)) < before


def _cosine_ratio(vectors: np.ndarray) -> float:
    """Distance in angle of windows 5 rows apart, by that of any two."""
    rows = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    near = 1 - (rows[5:] * rows[:-5]).sum(axis=1).mean()
    return float(near / (1 - (rows @ rows.mean(axis=0)).mean()))


def test_training_on_after_a_load_is_as_never_stopped() -> None:
    kept = encoder()
    train_patches(kept, series(), 5, SMALL)
    again = PatchEncoder.from_state(kept.state_dict())
    for one in (kept, again):
        train_patches(one, series(), 5, SMALL, seed=3)
    assert kept.describe(series()).tobytes() == again.describe(series()).tobytes()
    assert again.steps == 10


def test_no_steps_settle_the_features_only() -> None:
    made = encoder()
    assert train_patches(made, series(), 0) == []
    vectors = made.describe(series())
    np.testing.assert_allclose(vectors.mean(axis=0), 0, atol=0.5)
    np.testing.assert_allclose(vectors.std(axis=0), 1, atol=0.5)


def test_the_contrast_is_that_of_its_equation() -> None:
    chance = torch.Generator().manual_seed(0)
    windows, near, wrong = (torch.randn(n, 7, generator=chance) for n in (5, 5, 4))
    others = torch.cat([near, wrong])
    total = 0.0
    for i in range(5):
        cosines = [float(functional.cosine_similarity(windows[i], one, dim=0)) for one in others]
        total -= np.log(np.exp(cosines[i] / 0.3) / np.exp(np.array(cosines) / 0.3).sum())
    assert float(contrast(windows, near, wrong, 0.3)) == pytest.approx(total / 5, rel=1e-5)
    assert float(contrast(windows, near, None, 0.3)) < float(contrast(windows, near, wrong, 0.3))


def test_every_spoilt_window_differs_and_the_normal_ones_stay() -> None:
    chance = torch.Generator().manual_seed(0)
    windows = torch.randn(300, 4, 20, generator=chance)
    kept = windows.clone()
    made = spoilt(windows, chance)
    assert torch.equal(windows, kept)
    assert made.shape == windows.shape
    assert torch.isfinite(made).all()
    changed = (made != windows).flatten(1).any(dim=1).float().mean()
    assert float(changed) > 0.75  # no spike may fall, a channel may be swapped with itself
    assert len(KINDS) == 6
    alone = spoilt(windows[:1, :1], chance)
    assert alone.shape == (1, 1, 20)


def test_spoilt_windows_are_told_from_normal_ones_after_training() -> None:
    values = series(2_000)
    made = encoder()
    losses = train_patches(made, values, 120, ContrastSettings(batch=32, spoilt=True))
    assert np.mean(losses[-20:]) < 0.8 * np.mean(losses[:20])


def test_after_an_error_the_encoder_is_what_it_was() -> None:
    made = encoder()
    before = made.describe(series()).tobytes()
    token = CancelToken()
    told: list[Event] = []

    def listen(event: Event) -> None:
        told.append(event)
        if event.done == 3:
            token.cancel()

    with pytest.raises(Cancelled, match="after step 3 of 10"):
        train_patches(made, series(), 10, SMALL, on_event=listen, cancel=token)
    assert [event.done for event in told] == [1, 2, 3]
    with pytest.raises(SettingsError, match=r"diverged|not finite"):
        train_patches(made, series(), 50, ContrastSettings(batch=16, lr=1e30))
    with pytest.raises(InputError, match="at least 21 rows, got 20"):
        train_patches(made, series(20), 1)
    with pytest.raises(ShapeMismatchError, match=r"wants rows \[n, 3\]"):
        train_patches(made, series(100, 4), 1)
    with pytest.raises(SettingsError, match="steps is 0 or more"):
        train_patches(made, series(), -1)
    assert made.describe(series()).tobytes() == before
    assert made.steps == 0


def test_settings_that_make_no_sense_are_told() -> None:
    for name, value in (("batch", 1), ("near", -1), ("threads", 0), ("lr", 0.0), ("temperature", float("nan"))):
        with pytest.raises(SettingsError, match=name):
            ContrastSettings(**{name: value})


@pytest.mark.slow
def test_training_takes_seconds() -> None:
    values = series(28_000, 38)
    start = time.process_time()
    train_patches(PatchEncoder(38), values)
    assert time.process_time() - start < 15  # 3 on the machine it was written on
