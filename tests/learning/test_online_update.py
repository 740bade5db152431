"""Does a clustering take in new rows so that old labels hold, and is an update all or nothing?"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from jamais.errors import Cancelled, InputError, NotReadyError, RefusedUpdateError, SettingsError, ShapeMismatchError
from jamais.evaluation import label_shift
from jamais.learning import compute_fisher, online_update
from jamais.learning.dec import OnlineSettings
from jamais.models import DEC
from jamais.persistence.faces.models import state_of, thing_of
from jamais.persistence.tree import state_sha256
from jamais.types import CancelToken, Event

SMALL: dict[str, Any] = {
    "dims": [6, 16, 4],
    "n_clusters": 3,
    "pretrain_epochs": 20,
    "maxiter": 40,
    "batch_size": 32,
    "update_interval": 10,
    "pretrain_lr": 0.01,
    "exemplars": 40,
}


def blob(axis: int, n: int, seed: int, sign: float = 1.0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, 6)) * 0.3
    rows[:, axis] += 3.0 * sign
    return rows.astype(np.float32)


def old_rows(n: int = 80, seed: int = 0) -> np.ndarray:
    return np.concatenate([blob(axis, n, seed + axis) for axis in range(3)])


BASE = DEC(SMALL)
BASE.fit(old_rows())


@pytest.fixture
def model() -> DEC:
    return copy.deepcopy(BASE)


def sha(model: DEC) -> str:
    return state_sha256(state_of(model)[1])


def test_rows_of_known_clusters_make_no_new_one_and_move_no_label(model: DEC) -> None:
    held_out = old_rows(200, seed=50)
    before = model.predict(held_out)
    assert online_update(model, old_rows(60, seed=20)) is model
    assert model.n_clusters == 3
    assert label_shift(before, model.predict(held_out)) == 0.0
    assert model.last_report is not None
    assert model.last_report.accepted


def test_a_new_group_becomes_one_cluster_with_the_next_number(model: DEC) -> None:
    held_out, fresh = old_rows(200, seed=50), blob(4, 60, 30)
    before = model.predict(held_out)
    online_update(model, np.concatenate([old_rows(20, seed=20), fresh]))
    assert model.n_clusters == 4
    assert float((model.predict(blob(4, 100, 31)) == 3).mean()) > 0.9
    assert label_shift(before, model.predict(held_out)) <= 0.005
    assert [event.split(" from ")[0] for event in model.progress.events] == ["update 1: cluster 3 born"]


def test_the_notebooks_call_works_with_centres_and_fisher_given(model: DEC) -> None:
    original = model.clustering.clusters.clone().detach()
    fisher = compute_fisher(model, model.legacy_loader())
    updated = online_update(model, new_embeddings=blob(4, 60, 30), original_centers=original, fisher_matrix=fisher)
    again = online_update(updated, torch.from_numpy(blob(5, 60, 31)), original, fisher, 0.01, 50, 256)
    assert again.n_clusters == 5, "fewer rows of Fisher than centres by now: those given count for the old ones"


def test_labels_hold_through_three_updates_in_a_row(model: DEC) -> None:
    held_out = old_rows(200, seed=50)
    before = model.predict(held_out)
    later: dict[int, np.ndarray] = {}
    for number, (axis, sign) in enumerate([(4, 1.0), (5, 1.0), (3, -1.0)]):
        online_update(model, np.concatenate([old_rows(20, seed=60 + number), blob(axis, 60, 70 + number, sign)]))
        assert model.n_clusters == 4 + number
        later[3 + number] = blob(axis, 100, 90 + number, sign)
        for cluster, rows in later.items():
            assert float((model.predict(rows) == cluster).mean()) > 0.85, "born in one update, protected in the next"
    assert label_shift(before, model.predict(held_out)) <= 0.005
    assert model.n_updates == 3


def test_what_was_born_is_anchored_and_weighs_something(model: DEC) -> None:
    old_fisher = model.clustering.fisher.clone()
    online_update(model, blob(4, 60, 30))
    layer = model.clustering
    assert layer.fisher.shape == (4, 4)
    assert float(layer.fisher[3].sum()) > 0
    assert bool((layer.fisher[:3] >= 0.9 * old_fisher - 1e-9).all()), "old importance is kept, but for the decay"
    assert torch.equal(layer.anchors, layer.clusters.detach())
    assert layer.history_centers_mask.tolist() == [True, True, True, False]


def test_the_encoder_is_frozen_and_stays_trainable(model: DEC) -> None:
    before = copy.deepcopy(model.autoencoder.state_dict())
    online_update(model, blob(4, 60, 30))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.autoencoder.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_few_far_rows_wait_until_they_are_a_group(model: DEC) -> None:
    for number in range(3):
        online_update(model, blob(4, 4, 30 + number))
        if number < 2:
            assert model.n_clusters == 3
            assert len(model.pending) == 4 * (number + 1)
    assert model.n_clusters == 4
    assert len(model.pending) <= 1
    assert set(model.recognise(blob(4, 1, 40) * 20)) == {-1}


def test_one_row_is_enough_and_changes_little(model: DEC) -> None:
    before = model.clustering.clusters.detach().clone()
    online_update(model, old_rows(1, seed=20)[:1])
    assert model.n_clusters == 3
    torch.testing.assert_close(model.clustering.clusters.detach(), before, rtol=0, atol=0.2)


def test_new_rows_enter_the_memory_and_frequencies_run_on(model: DEC) -> None:
    online_update(model, np.concatenate([blob(4, 60, 30), blob(0, 30, 31)]))
    counts = model.exemplars.counts
    assert int(counts.sum()) + len(model.pending) == 240 + 90
    assert 50 <= counts[3] <= 60
    assert np.bincount(model.exemplars.labels).tolist() == [40, 40, 40, 40]


def test_an_update_after_a_load_is_the_update_of_a_model_that_never_stopped(model: DEC) -> None:
    online_update(model, blob(4, 14, 30)[:5])
    again: DEC = thing_of(*state_of(copy.deepcopy(model)))
    for one in (model, again):
        online_update(one, np.concatenate([blob(4, 60, 31), old_rows(20, seed=20)]))
        online_update(one, blob(5, 60, 32))
    assert sha(again) == sha(model)
    assert again.n_clusters == 5


@pytest.mark.parametrize(
    ("rows", "error", "says"),
    [
        (np.full((3, 6), np.nan), InputError, "new_embeddings: 3 of 3 hold NaN"),
        (np.zeros((3, 4)), ShapeMismatchError, r"new_embeddings: wanted \[n, 6\], got \[3, 4\]"),
        (np.zeros((0, 6)), InputError, "there are none"),
        (None, ShapeMismatchError, r"got \[\]"),
    ],
)
def test_bad_rows_change_nothing(model: DEC, rows: Any, error: Any, says: str) -> None:
    before = sha(model)
    with pytest.raises(error, match=says):
        online_update(model, rows)
    assert sha(model) == before


def test_centres_that_explode_are_refused_and_change_nothing(model: DEC) -> None:
    before = sha(model)
    with pytest.raises(RefusedUpdateError, match="no longer finite: take a lower lr"):
        online_update(model, old_rows(60, seed=20), settings=OnlineSettings(lr=1e38, lambda_=1e10))
    assert sha(model) == before


def test_a_broken_label_limit_is_refused_with_the_figures(model: DEC) -> None:
    before = sha(model)
    wild = OnlineSettings(lr=30.0, lambda_=0.0, damping=1.0, max_iters=5, step_backs=0)
    with pytest.raises(RefusedUpdateError, match=r"nothing was changed: .* of 120 remembered rows") as refused:
        online_update(model, np.concatenate([blob(0, 200, 3), blob(4, 100, 2)]), settings=wild)
    report: Any = refused.value.report
    assert not report.accepted
    assert report.checks[0].value > report.checks[0].limit
    assert sha(model) == before


def test_stepping_back_keeps_an_update_within_the_limit(model: DEC) -> None:
    wild = OnlineSettings(lr=30.0, lambda_=0.0, damping=1.0, max_iters=5)
    online_update(model, np.concatenate([blob(0, 200, 3), blob(4, 100, 2)]), settings=wild)
    assert model.last_report is not None
    assert model.last_report.checks[0].value <= 0.005


@pytest.mark.parametrize("at", [1, 2, 5])
def test_a_cancelled_update_changes_nothing(model: DEC, at: int) -> None:
    before, token = sha(model), CancelToken()

    def listen(event: Event) -> None:
        if event.done == at:
            token.cancel()

    slow = OnlineSettings(lr=0.5, damping=1.0)
    with pytest.raises(Cancelled, match="nothing was changed"):
        online_update(model, old_rows(60, 20) + 0.7, settings=slow, on_event=listen, cancel=token)
    assert sha(model) == before


def test_an_error_anywhere_changes_nothing(model: DEC) -> None:
    before = sha(model)

    def broken(event: Event) -> None:
        raise OSError("the terminal is gone")

    with pytest.raises(OSError, match="terminal"):
        online_update(model, blob(4, 60, 30), on_event=broken)
    assert sha(model) == before


def test_wrong_calls_are_told(model: DEC) -> None:
    with pytest.raises(NotReadyError, match="fit it first"):
        online_update(DEC(SMALL), old_rows())
    with pytest.raises(ShapeMismatchError, match=r"original_centers: wanted at most \[3, 4\], got \[9, 4\]"):
        online_update(model, old_rows(), torch.zeros(9, 4), torch.zeros(9, 4))
    with pytest.raises(SettingsError, match="fisher_matrix holds NaN"):
        online_update(model, old_rows(), None, torch.full((3, 4), torch.nan))
    with pytest.raises(SettingsError, match="lr of at least 0"):
        online_update(model, old_rows(), lr=-1.0)
    with pytest.raises(SettingsError, match="batch_size >= 1"):
        online_update(model, old_rows(), batch_size=0)


def test_a_heavy_anchor_holds_and_damping_is_for_old_centres_only(model: DEC) -> None:
    rows = np.concatenate([old_rows(60, 20) + 0.4, blob(4, 60, 30)])
    start = model.clustering.clusters.detach().clone()
    moved = {}
    for name, damping in (("free", 1.0), ("damped", 0.0)):
        plan = OnlineSettings(lr=0.1, lambda_=0.0, damping=damping, batch_size=8)
        one = online_update(copy.deepcopy(model), rows, settings=plan)
        moved[name] = float((one.clustering.clusters.detach()[:3] - start).abs().max())
    plan = OnlineSettings(lr=0.1, lambda_=0.5, damping=1.0, batch_size=8)
    held = online_update(copy.deepcopy(model), rows, start, torch.full((3, 4), 2.0), settings=plan)
    assert moved["damped"] == 0.0
    assert float((held.clustering.clusters.detach()[:3] - start).abs().max()) < 0.5 * moved["free"]


def test_tenfold_rows_of_one_cluster_do_not_pull_the_others_over(model: DEC) -> None:
    # Targets made of a batch alone take what it lacks for rare, and pull rows into it.
    held_out = old_rows(200, seed=50)
    before = model.predict(held_out)
    online_update(model, blob(0, 600, 20))
    assert label_shift(before, model.predict(held_out)) == 0.0
