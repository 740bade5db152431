"""Do the three steps of MEMTO train, go on after a load, stop cleanly, and leave the memory spread out?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from jamais.errors import Cancelled, CorruptStateError, InputError, SettingsError, ShapeMismatchError
from jamais.learning import initialize_memory_with_kmeans, phase1_initial_training, phase2_full_training
from jamais.models import MEMTO, MEMTOLoss
from jamais.persistence import load_model_auto, save_model_binary
from jamais.persistence.faces.models import state_of
from jamais.persistence.tree import state_sha256
from jamais.types import CancelToken, Event

SMALL: dict[str, Any] = {"latent_dim": 16, "n_heads": 2, "n_layers": 1, "num_memory_items": 4, "d_ff": 16, "window": 20}


def small(**changes: Any) -> MEMTO:
    return MEMTO.from_config({"n_features": 3, **SMALL, **changes})


def waves(n: int = 24, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    time = np.arange(20) + rng.integers(0, 50, size=(n, 1))
    rows = np.stack([np.sin(time / 3), np.cos(time / 5), np.sign(np.sin(time / 4))], axis=2)
    return torch.from_numpy((rows + rng.normal(size=rows.shape) * 0.1).astype(np.float32))


def sha(model: MEMTO) -> str:
    return state_sha256(state_of(model)[1])


def three_phases(model: MEMTO, loader: Any, lr: float = 1e-3, epochs: int = 4) -> list[float]:
    losses = phase1_initial_training(model, loader, epochs, lr)
    initialize_memory_with_kmeans(model, loader, 0.5)
    return losses + phase2_full_training(model, loader, MEMTOLoss(), epochs, lr)


def test_the_loss_falls_and_the_memory_stays_spread_out() -> None:
    model = small()
    losses = three_phases(model, [waves(24, 1), waves(24, 2)], epochs=15)
    assert losses[14] < 0.7 * losses[0]
    assert losses[-1] < losses[15]
    health = model.health(waves(20, 9))
    assert health.cosine < 0.9
    assert health.usage_entropy > 0.5
    assert (model.progress.phase1_epochs, model.progress.phase2_epochs) == (15, 15)
    assert not model.training


def test_the_gate_is_learned() -> None:
    model = small()
    before = model.memory.old_gate.weight.detach().clone(), model.memory.new_gate.weight.detach().clone()
    phase2_full_training(model, [waves()], MEMTOLoss(), 2, 1e-3)
    assert not model.memory.old_gate.weight.equal(before[0])
    assert not model.memory.new_gate.weight.equal(before[1])


@pytest.mark.slow
def test_an_abnormal_window_scores_higher_after_training() -> None:
    model = small()
    three_phases(model, [waves(24, seed) for seed in range(6)], lr=3e-3, epochs=15)
    normal, broken = waves(16, 50), waves(16, 50)
    broken[:, 8:12, :2] += 3.0
    assert model.isd(broken)[:, 8:12].mean() > 5 * model.isd(normal)[:, 8:12].mean()
    assert model.lsd(broken)[:, 8:12].mean() > 1.2 * model.lsd(normal)[:, 8:12].mean()


@pytest.mark.parametrize(
    "given",
    [
        lambda x: x,
        lambda x: (x,),
        lambda x: (x, torch.zeros(len(x))),
        lambda x: [x, torch.zeros(len(x), 20)],
        lambda x: (torch.arange(len(x)), x),
        lambda x: x.numpy().astype(np.float64),
    ],
)
def test_a_loader_may_give_windows_alone_with_labels_or_with_indices(given: Callable[[Any], Any]) -> None:
    plain, other = small(), small()
    phase1_initial_training(plain, [waves()], 1)
    phase1_initial_training(other, [given(waves())], 1)
    assert sha(plain) == sha(other)


def test_a_loader_of_torch_is_a_loader() -> None:
    loader = DataLoader(TensorDataset(waves(), torch.zeros(24)), batch_size=10)
    three_phases(small(), loader, epochs=1)


def test_kmeans_places_items_at_the_centres_and_leaves_the_weights() -> None:
    model = small()
    phase1_initial_training(model, [waves()], 2, 1e-3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    centres = initialize_memory_with_kmeans(model, [waves()], 1.0)
    after = model.state_dict()
    assert [name for name in after if not after[name].equal(before[name])] == ["memory.items"]
    np.testing.assert_allclose(model.memory.items, centres, rtol=1e-6)
    queries = model(waves())[1].detach().flatten(0, 1)
    nearest = model.memory.nearest(queries)[1]
    own = torch.stack([queries[nearest == item].mean(dim=0) for item in range(4)])
    # Lloyd's may stop while one query in a thousand still changes sides.
    torch.testing.assert_close(model.memory.items, own, atol=0.05, rtol=0.05)


def test_kmeans_takes_a_random_part_and_is_repeatable() -> None:
    first, second, other = small(), small(), small()
    first.encoder.load_state_dict(other.encoder.state_dict())
    kept = [initialize_memory_with_kmeans(one, [waves(60)], 0.2) for one in (first, second)]
    assert (kept[0] == kept[1]).all()
    whole = initialize_memory_with_kmeans(other, [waves(60)], 1.0)
    assert not np.array_equal(kept[0], whole)
    events: list[Event] = []
    initialize_memory_with_kmeans(small(), [waves(60)], 1.0, most=50, on_event=events.append)
    assert events[-1].total == 50


def test_a_handful_of_windows_is_enough_for_kmeans() -> None:
    initialize_memory_with_kmeans(small(), [waves(1)], 1e-9)


def test_what_kmeans_cannot_do_is_told() -> None:
    model = small(max_length=20)
    before = sha(model)
    with pytest.raises(SettingsError, match="fraction must be above 0 and at most 1, got 0"):
        initialize_memory_with_kmeans(model, [waves()], 0.0)
    with pytest.raises(SettingsError, match="most must be at least the 4 items"):
        initialize_memory_with_kmeans(model, [waves()], most=3)
    with pytest.raises(InputError, match="the loader gave no windows"):
        initialize_memory_with_kmeans(model, [])
    with pytest.raises(InputError, match="found 2 different queries for num_memory_items=4"):
        initialize_memory_with_kmeans(model, [torch.zeros(8, 2, 3)], 1.0)
    assert sha(model) == before


def test_going_on_after_a_load_is_never_having_stopped(tmp_path: Path) -> None:
    loader = [waves(16, 1), waves(16, 2)]
    whole, parts = small(), small()
    for model in (whole, parts):
        phase1_initial_training(model, loader, 1, 1e-3)
        initialize_memory_with_kmeans(model, loader, 0.5)
    losses = phase2_full_training(whole, loader, MEMTOLoss(), 4, 1e-3)
    first = phase2_full_training(parts, loader, MEMTOLoss(), 2, 1e-3)
    save_model_binary(parts, tmp_path / "memto.bin")
    again = load_model_auto(tmp_path / "memto.bin")
    second = phase2_full_training(again, loader, MEMTOLoss(), 2, 1e-3)
    assert first + second == losses
    assert sha(again) == sha(whole)


def test_saved_and_loaded_scores_are_the_same_bits(tmp_path: Path) -> None:
    model = small()
    three_phases(model, [waves()], epochs=1)
    save_model_binary(model, tmp_path / "memto.bin")
    again = load_model_auto(tmp_path / "memto.bin")
    assert (again.anomaly_score(waves(9, 5)) == model.anomaly_score(waves(9, 5))).all()
    values = np.random.default_rng(0).normal(size=(90, 3))
    assert (again.score_series(values, 3) == model.score_series(values, 3)).all()


def damaged(tree: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    node, names = tree, path.split("/")
    for name in names[:-1]:
        node = node[name]
    if value is None:
        del node[names[-1]]
    else:
        node[names[-1]] = value
    return tree


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("model/memory.items", np.zeros((5, 16), np.float32), r"model.memory.items: saved \[5, 16\], here float32 \[4"),
        ("model/memory.items", np.full((4, 16), np.nan, np.float32), "model.memory.items: holds a number that is not"),
        ("model/memory.items", None, "missing or unknown: memory.items"),
        ("config/window", 0, "config: .*window must be a whole number"),
        ("config/window", None, "config: not that of a MEMTO"),
        ("progress", {"phase1_epochs": -1, "phase2_epochs": 0}, "progress: wanted"),
        ("optimizer/phase", 3, "optimizer: wanted phase and adam"),
        ("optimizer/adam/state/decoder.output.bias/exp_avg", np.zeros(9, np.float32), "exp_avg of decoder.output.bias"),
        ("optimizer", [], "optimizer: wanted a dict"),
        ("more", 1, "not the state of a MEMTO"),
    ],
)
def test_a_damaged_state_is_named(path: str, value: Any, says: str) -> None:
    model = small()
    phase2_full_training(model, [waves()], MEMTOLoss(), 1)
    with pytest.raises(CorruptStateError, match=says):
        MEMTO.from_state(damaged(model.to_state(), path, value))


def test_weights_that_the_last_step_broke_are_noticed() -> None:
    model = small()
    before = sha(model)

    def broken(reconstruction: Any, x: Any, attention: Any) -> Any:
        return _Broken.apply(reconstruction)

    with pytest.raises(SettingsError, match="diverged in the last step of phase 2"):
        phase2_full_training(model, [waves()], broken, 1)
    assert sha(model) == before


class _Broken(torch.autograd.Function):
    """A finite loss whose gradient is no number."""

    @staticmethod
    def forward(context: Any, x: Any) -> Any:
        context.save_for_backward(x)
        return x.new_zeros(())

    @staticmethod
    def backward(context: Any, gradient: Any) -> Any:
        return torch.full_like(context.saved_tensors[0], torch.nan)


def test_events_tell_phase_epoch_and_losses() -> None:
    events: list[Event] = []
    losses = phase2_full_training(small(), [waves()], MEMTOLoss(), 2, validation=[waves(8, 3)], on_event=events.append)
    assert [(event.phase, event.done, event.total) for event in events] == [("phase 2", 1, 2), ("phase 2", 2, 2)]
    assert [event.values["loss"] for event in events] == losses
    assert all(event.values["validation"] > 0 for event in events)


def test_the_best_epoch_is_kept_whole_and_patience_ends_the_wait() -> None:
    kept: list[tuple[float, dict[str, torch.Tensor]]] = []
    model = small()

    def worse(reconstruction: Any, x: Any, attention: Any) -> Any:
        # Validation runs without gradients; the third epoch and all after it look bad.
        loss = MEMTOLoss()(reconstruction, x, attention)
        return loss if torch.is_grad_enabled() else torch.tensor([3.0, 2.0, 4.0, 5.0, 6.0, 7.0][len(kept)])

    def note(event: Event) -> None:
        kept.append((event.values["validation"], {n: t.clone() for n, t in model.state_dict().items()}))

    losses = phase2_full_training(model, [waves()], worse, 6, 1e-3, validation=[waves(4, 1)], patience=2, on_event=note)
    assert len(losses) == 4
    best = min(kept, key=lambda one: one[0])[1]
    assert all(tensor.equal(best[name]) for name, tensor in model.state_dict().items())
    assert not kept[-1][1]["memory.items"].equal(best["memory.items"])


def test_validation_changes_nothing_but_which_epoch_is_kept() -> None:
    plain, judged = small(), small()
    phase1_initial_training(plain, [waves()], 1)
    phase1_initial_training(judged, [waves()], 1, validation=[waves(8, 3)])
    assert sha(plain) == sha(judged)


def cancelled_at(calls: int) -> tuple[CancelToken, Any]:
    token = CancelToken()

    class Loader:
        def __iter__(self) -> Any:
            for number in range(5):
                if number == calls:
                    token.cancel()
                yield waves(8, number)

    return token, Loader()


def test_cancelled_training_leaves_the_model_as_it_was() -> None:
    model = small()
    three_phases(model, [waves()], epochs=1)
    before = sha(model)
    token, loader = cancelled_at(2)
    with pytest.raises(Cancelled, match="phase 2, epoch 1"):
        phase2_full_training(model, loader, MEMTOLoss(), cancel=token)
    with pytest.raises(Cancelled):
        initialize_memory_with_kmeans(model, loader, cancel=token)
    assert sha(model) == before


@pytest.mark.parametrize(
    ("loader", "error", "says"),
    [
        ([], InputError, "the loader gave no windows in phase 2, epoch 1"),
        (
            [torch.zeros(4, 20)],
            InputError,
            r"batch 0 of the loader has no windows \[n, L, channels\]; it has \[4, 20\]",
        ),
        ([{"x": waves()}], InputError, "it has dict: give x"),
        ([waves(), torch.zeros(4, 20, 2)], ShapeMismatchError, r"batch 1 .* \[n, L, 3\], got \[4, 20, 2\]"),
        ([waves(), waves() * torch.nan], InputError, "batch 1 of the loader holds NaN"),
        ([waves() * 1e30], SettingsError, "training diverged in phase 2, epoch 1, the loss is"),
    ],
)
def test_bad_input_is_told_and_changes_nothing(loader: Any, error: type[Exception], says: str) -> None:
    model = small()
    phase1_initial_training(model, [waves()], 1)
    before = sha(model)
    with pytest.raises(error, match=says):
        phase2_full_training(model, loader, MEMTOLoss())
    assert sha(model) == before


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"epochs": -1}, "epochs must be a whole number of at least 0, got -1"),
        ({"lr": 0.0}, "lr must be a number above 0, got 0.0"),
        ({"patience": 2}, "patience must be at least 1 and wants a loader as validation"),
        ({"validation": []}, "the validation loader gave no windows"),
    ],
)
def test_settings_of_a_phase_that_make_no_sense_are_told(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        phase1_initial_training(small(), [waves()], **changes)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_dropout_draws_from_the_models_seed_and_the_global_numbers_go_on(dropout: float) -> None:
    shas = set()
    for seed in (1, 2):
        torch.manual_seed(seed)
        wanted = torch.rand(1)
        torch.manual_seed(seed)
        model = small(dropout=dropout)
        phase1_initial_training(model, [waves()], 1)
        shas.add(sha(model))
        assert torch.rand(1).equal(wanted)
    assert len(shas) == 1


def test_fit_is_the_three_phases_of_the_config() -> None:
    one, other = small(phase1_epochs=1, phase2_epochs=2, lr=1e-3), small(phase1_epochs=1, phase2_epochs=2, lr=1e-3)
    phases: list[str] = []
    one.fit([waves()], on_event=lambda event: phases.append(event.phase))
    phase1_initial_training(other, [waves()], 1, 1e-3)
    initialize_memory_with_kmeans(other, [waves()])
    phase2_full_training(other, [waves()], MEMTOLoss(0.01, other.config.lambda_usage), 2, 1e-3)
    assert sha(one) == sha(other)
    assert phases == ["phase 1", "memory", "phase 2", "phase 2"]
