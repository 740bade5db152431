"""Does DEC train, stop when it should, keep the best, and leave nothing half done?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from jamais.errors import Cancelled, InputError, NotReadyError, SettingsError, ShapeMismatchError, StateError
from jamais.evaluation import clustering_accuracy
from jamais.learning.dec.neighbours import nearest_rows, smoothed, spectral_rows
from jamais.models import DEC, load_dec_model
from jamais.persistence.faces.models import state_of
from jamais.persistence.tree import state_sha256
from jamais.types import CancelToken, Event

SMALL: dict[str, Any] = {
    "dims": [6, 16, 3],
    "n_clusters": 3,
    "pretrain_epochs": 15,
    "maxiter": 60,
    "batch_size": 32,
    "update_interval": 10,
    "pretrain_lr": 0.01,
    "exemplars": 20,
}


def blobs(n: int = 40, seed: int = 0, k: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    classes = np.repeat(np.arange(k), n)
    rows = rng.normal(size=(n * k, 6)) * 0.4
    rows[np.arange(n * k), classes] += 3.0
    order = rng.permutation(n * k)
    return rows[order].astype(np.float32), classes[order]


def sha(model: DEC) -> str:
    return state_sha256(state_of(model)[1])


@pytest.fixture(scope="module")
def fitted() -> DEC:
    model = DEC(SMALL)
    model.fit(blobs()[0])
    return model


def events_of(model: DEC, *given: Any, phase: str = "clustering") -> list[Event]:
    events: list[Event] = []
    model.fit(*given, on_event=events.append)
    return [event for event in events if event.phase == phase]


def test_the_seeds_keys_have_the_seeds_defaults() -> None:
    config = DEC().config
    got = [config.dims, config.n_clusters, config.pretrain_epochs, config.maxiter, config.batch_size]
    assert got == [(768, 512, 256, 64, 10), 100, 100, 2000, 256]
    assert [config.update_interval, config.tol, config.alpha, config.save_dir] == [100, 0.001, 1.0, "./model"]
    assert [config.lr, config.momentum, config.lr_step, config.lr_decay, config.n_init] == [0.01, 0.9, 500, 0.5, 20]


def test_two_models_of_different_sizes_live_side_by_side() -> None:
    one, two = DEC({"dims": [8, 4], "n_clusters": 2}), DEC({"dims": [5, 3], "n_clusters": 6, "alpha": 2.0})
    assert one(torch.zeros(2, 8)).shape == (2, 2)
    assert two(torch.zeros(2, 5)).shape == (2, 6)


def test_an_unknown_key_and_nonsense_are_told() -> None:
    with pytest.raises(SettingsError, match="no setting 'n_cluster': did you mean 'n_clusters'"):
        DEC({"n_cluster": 5})
    for wrong in ({"dims": [5]}, {"alpha": 0}, {"tol": -1}, {"optimizer": "lion"}, {"n_clusters": 0}, {"noise": 1.0}):
        with pytest.raises(SettingsError):
            DEC(wrong)
    with pytest.raises(SettingsError, match="a config is a dict of settings, got list"):
        DEC([1, 2])  # type: ignore[arg-type]


def test_fit_finds_the_clusters_and_answers_the_same_when_asked(fitted: DEC) -> None:
    rows, classes = blobs()
    labels = DEC(SMALL).fit(rows)
    assert clustering_accuracy(classes, labels) > 0.98
    assert np.array_equal(labels, fitted.predict(rows))
    assert clustering_accuracy(blobs(seed=5)[1], fitted.predict(blobs(seed=5)[0])) > 0.98


def test_it_trains_past_iteration_0() -> None:
    # The seed compared the labels of the start with themselves: "Converged at iteration 0".
    looks = events_of(DEC({**SMALL, "quiet_rounds": 2}), blobs()[0])
    assert looks[0].done == 0
    assert "changed" not in looks[0].values
    assert [event.done for event in looks] == [0, 10, 20], "two quiet looks after the first end it"
    never = events_of(DEC({**SMALL, "tol": 0.0}), blobs()[0])
    assert never[-1].done == 60


def test_an_iteration_is_a_batch_and_centres_move() -> None:
    rows = blobs()[0]
    model = DEC({**SMALL, "tol": 0.0, "maxiter": 0})
    model.fit(rows)
    start = model.clustering.clusters.detach().clone()
    moved = DEC({**SMALL, "tol": 0.0, "maxiter": 10, "gamma": 1.0})
    moved.fit(rows)
    assert not torch.equal(moved.clustering.clusters.detach(), start)


def test_figures_are_shown_while_it_trains_and_choose_nothing() -> None:
    rows, classes = blobs()
    model, blind = DEC({**SMALL, "tol": 0.0}), DEC({**SMALL, "tol": 0.0})
    shown = events_of(model, rows, classes)
    assert all({"acc", "nmi", "ari", "largest", "empty"} <= event.values.keys() for event in shown)
    assert all("loss" in event.values for event in shown[1:])
    assert not any("acc" in event.values for event in events_of(blind, rows))
    assert sha(model) == sha(blind)


def test_the_same_seed_gives_the_same_bits_and_fit_begins_anew(fitted: DEC) -> None:
    again = DEC(SMALL)
    again.fit(blobs(seed=9)[0])
    again.fit(blobs()[0])
    assert sha(again) == sha(fitted)
    other = DEC({**SMALL, "seed": 1})
    other.fit(blobs()[0])
    assert sha(other) != sha(fitted)


def test_pretraining_takes_whatever_a_loader_gives() -> None:
    rows = torch.from_numpy(blobs()[0])
    numbers = torch.arange(len(rows))
    made = []
    for loader in (
        rows.split(32),
        list(zip(rows.split(32), numbers.split(32), strict=True)),
        list(zip(numbers.split(32), rows.split(32), strict=True)),
    ):
        model = DEC(SMALL)
        losses = model.pretrain(loader)
        assert len(losses) == 15
        assert losses[-1] < losses[0] / 2
        made.append(sha(model))
    assert len(set(made)) == 1


def test_inputs_are_scaled_so_that_unit_vectors_are_not_tiny() -> None:
    rows = blobs()[0]
    tiny = rows / np.linalg.norm(rows, axis=1, keepdims=True) / 1000
    model = DEC({**SMALL, "maxiter": 0})
    model.fit(tiny)
    assert float(model.encoder.scale) == pytest.approx(1000 * np.sqrt(6), rel=1e-4)
    assert float(np.linalg.norm(model.encode(tiny), axis=1).mean()) > 0.1
    fixed = DEC({**SMALL, "maxiter": 0, "input_scale": 2.0})
    fixed.fit(rows)
    assert float(fixed.encoder.scale) == 2.0


def spoiled_at(iteration: int, model: DEC) -> Any:
    """Give a listener that pushes all centres but one far away at a look, as a wild step of an optimizer would."""

    def listen(event: Event) -> None:
        if event.phase == "clustering" and event.done == iteration:
            with torch.no_grad():
                model.clustering.clusters[1:] += 1e3

    return listen


def test_a_collapse_is_noticed_and_the_model_before_it_kept() -> None:
    rows, classes = blobs()
    settings = {**SMALL, "tol": 0.0, "lr": 1e-6}
    model, fine = DEC(settings), DEC({**settings, "maxiter": 20})
    with pytest.warns(UserWarning, match="one cluster took 100% of all rows after 30 updates: training stopped"):
        labels = model.fit(rows, on_event=spoiled_at(20, model))
    assert clustering_accuracy(classes, labels) > 0.98
    fine.fit(rows)
    for name, tensor in fine.state_dict().items():
        torch.testing.assert_close(tensor, model.state_dict()[name], rtol=0, atol=0, equal_nan=True)


def test_the_best_look_is_kept_not_the_last() -> None:
    def listen(event: Event) -> None:
        if event.phase == "clustering" and event.done == 30:
            with torch.no_grad():
                model.autoencoder.decoder[0].weight.zero_()

    settings = {**SMALL, "tol": 0.0, "lr": 1e-4}
    model, fine = DEC(settings), DEC({**settings, "maxiter": 30})
    model.fit(blobs()[0], on_event=listen)
    fine.fit(blobs()[0])
    for name, tensor in fine.state_dict().items():
        torch.testing.assert_close(tensor, model.state_dict()[name], rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("at", [1, 8, 16, 17])
def test_a_cancelled_fit_leaves_the_model_as_it_was(fitted: DEC, at: int) -> None:
    before, token, seen = sha(fitted), CancelToken(), list[Event]()

    def listen(event: Event) -> None:
        seen.append(event)
        if len(seen) == at:
            token.cancel()

    with pytest.raises(Cancelled):
        fitted.fit(blobs(seed=7)[0], on_event=listen, cancel=token)
    assert sha(fitted) == before


@pytest.mark.parametrize(
    ("rows", "error", "says"),
    [
        (np.full((9, 6), np.nan), InputError, "X: 9 of 9 hold NaN"),
        (np.zeros((9, 5)), ShapeMismatchError, r"X: wanted \[n, 6\], got \[9, 5\]"),
        (np.zeros((2, 6)), InputError, "2 rows cannot make n_clusters=3"),
        (np.zeros((9, 6)), InputError, "k-means found no more than 1 different latents in 9 rows"),
        (np.zeros(6), ShapeMismatchError, r"got \[6\]"),
        (np.array([["a"] * 6] * 9), InputError, "wanted numbers"),
        (np.full((9, 6), 1e300), InputError, "NaN or infinite"),
    ],
)
def test_rows_that_are_not_fit_are_told_and_change_nothing(fitted: DEC, rows: Any, error: Any, says: str) -> None:
    before = sha(fitted)
    with pytest.raises(error, match=says):
        fitted.fit(rows)
    assert sha(fitted) == before


def test_other_wrong_calls_are_told(fitted: DEC) -> None:
    before = sha(fitted)
    with pytest.raises(ShapeMismatchError, match="y_true: wanted one class for each of 120 rows"):
        fitted.fit(blobs()[0], [1, 2])
    with pytest.raises(ShapeMismatchError, match=r"rows: wanted \[n, 6\]"):
        fitted.predict(np.zeros((3, 7)))
    with pytest.raises(InputError, match="batch 0 of the loader holds NaN"):
        fitted.pretrain([torch.full((4, 6), torch.nan)])
    with pytest.raises(InputError, match="the loader gave no rows in epoch 1"):
        fitted.pretrain([])
    with pytest.raises(InputError, match="no rows in epoch 2: give one that can be walked again"):
        DEC({**SMALL, "input_scale": 1.0}).pretrain(iter([torch.zeros(4, 6)]))
    with pytest.raises(SettingsError, match="diverged"):
        DEC({**SMALL, "pretrain_lr": 1e30}).fit(blobs()[0])
    with pytest.raises(NotReadyError, match="fit the model first"):
        DEC(SMALL).legacy_loader()
    assert sha(fitted) == before


def test_a_single_cluster_is_no_collapse() -> None:
    model = DEC({**SMALL, "n_clusters": 1})
    assert set(model.fit(blobs()[0])) == {0}


def test_the_answer_for_a_row_does_not_hang_on_its_neighbours(fitted: DEC) -> None:
    rows = blobs(seed=3)[0]
    together = fitted.encode(rows)
    for number in (0, 1, 63, 64, 100, 119):
        assert fitted.encode(rows[number : number + 1]).tobytes() == together[number].tobytes()
    assert fitted.encode(rows[::-1])[::-1].tobytes() == together.tobytes()


def test_the_memory_is_bounded_and_holds_rows_of_every_cluster(fitted: DEC) -> None:
    loader = fitted.legacy_loader(batch_size=16)
    rows, labels = (torch.cat(parts) for parts in zip(*loader, strict=True))
    assert rows.shape == (60, 6)
    assert labels.bincount().tolist() == [20, 20, 20]
    assert np.array_equal(fitted.predict(rows), labels.numpy())
    assert int(fitted.exemplars.counts.sum()) == 120
    assert set(map(bytes, rows.numpy())) <= set(map(bytes, blobs()[0]))


def test_parameters_are_registered_once(fitted: DEC) -> None:
    assert fitted.encoder is fitted.autoencoder.encoder
    assert not [name for name in fitted.state_dict() if name.startswith("encoder")]
    pointers = [tensor.data_ptr() for tensor in fitted.state_dict().values()]
    assert len(set(pointers)) == len(pointers)


def test_fit_saves_where_the_config_says_and_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    DEC(SMALL).fit(blobs()[0])
    assert list(tmp_path.iterdir()) == [], "the default save_dir is where load looks, not a place fit writes to unasked"
    config = {**SMALL, "save_dir": str(tmp_path / "kept")}
    model = DEC(config)
    model.fit(blobs()[0])  # without classes, too: the seed then saved nothing
    again = load_dec_model(config, torch.device("cpu"))
    assert sha(again) == sha(model)
    assert not again.training
    assert again.config.save_dir == config["save_dir"]


def test_load_dec_model_knows_its_sizes_and_says_what_is_wrong(fitted: DEC, tmp_path: Path) -> None:
    fitted.save(tmp_path / "kept")
    assert load_dec_model({"save_dir": str(tmp_path / "kept")}).n_clusters == 3
    with pytest.raises(StateError, match=r"has dims \[6, 16, 3\], the config says \[7, 3\]"):
        load_dec_model({"save_dir": str(tmp_path / "kept"), "dims": [7, 3]})
    with pytest.raises(InputError, match="no such file"):
        load_dec_model({"save_dir": str(tmp_path / "nowhere")})


def test_a_graph_of_neighbours_finds_clusters_that_are_long_and_bent() -> None:
    rng = np.random.default_rng(0)
    angles = np.tile(np.arange(300) * 2 * np.pi / 300, 2)
    classes = np.repeat([0, 1], 300)
    rings = np.stack([np.cos(angles), np.sin(angles)], axis=1) * np.where(classes, 3.0, 1.0)[:, None]
    rows = np.concatenate([rings, np.zeros((600, 4))], axis=1) + rng.normal(size=(600, 6)) * 0.02
    settings = {**SMALL, "dims": [6, 32, 2], "n_clusters": 2, "maxiter": 0, "neighbours": 5}
    model = DEC(settings)
    found = spectral_rows(nearest_rows(rows.astype(np.float32), 5), 2)
    together = np.abs(found @ found.T) > 0.99
    assert np.array_equal(together, classes[:, None] == classes), "the cut tells the rings apart, no mean could"
    same = DEC(settings)
    assert model.fit(rows).tolist() == same.fit(rows).tolist()


def test_neighbours_are_the_nearest_other_rows() -> None:
    rows = blobs()[0]
    gaps = np.square(rows[:, None] - rows[None]).sum(axis=2)
    np.fill_diagonal(gaps, np.inf)
    found = nearest_rows(rows, 4)
    wanted = np.sort(gaps, axis=1)[:, :4]
    np.testing.assert_allclose(np.sort(np.take_along_axis(gaps, found, axis=1), axis=1), wanted, rtol=1e-4)
    with pytest.raises(InputError, match="neighbours=120 wants more than 120 rows, got 120: set fewer, or 0"):
        nearest_rows(rows, 120)


def test_averaged_targets_are_means_over_neighbours() -> None:
    q = torch.softmax(torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    neighbours = torch.tensor([[1, 2], [0, 2], [4, 3], [2, 0], [0, 1]])
    once = torch.stack([(q[i] + q[a] + q[b]) / 3 for i, (a, b) in enumerate(neighbours.tolist())])
    torch.testing.assert_close(smoothed(q, neighbours, 1), once)
    torch.testing.assert_close(smoothed(q, neighbours, 0), q)
    torch.testing.assert_close(smoothed(q, neighbours, 4).sum(dim=1), torch.ones(5))
