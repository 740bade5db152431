"""Is importance measured per row, whatever the batches, and equal to what autograd says?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from jamais.errors import InputError, SettingsError, ShapeMismatchError
from jamais.learning import compute_fisher, elastic_loss
from jamais.learning.dec import compute_encoder_fisher
from jamais.models import DEC

KINDS: tuple[Any, ...] = ("exact", "empirical", "mas")


@pytest.fixture(scope="module")
def model() -> DEC:
    made = DEC({"dims": [7, 6, 3], "n_clusters": 4, "alpha": 1.5, "seed": 3})
    with torch.no_grad():
        made.clustering.clusters.mul_(3)
    return made


@pytest.fixture(scope="module")
def rows() -> Tensor:
    return torch.randn(53, 7, generator=torch.Generator().manual_seed(1))


def one_by_one(model: DEC, rows: Tensor, kind: str, parameters: list[Tensor]) -> list[Tensor]:
    """The slow twin: one row, one cluster, one backward pass at a time, in float64."""
    totals = [torch.zeros_like(p, dtype=torch.float64) for p in parameters]
    for row in rows:
        q = model(row[None])[0]
        if kind == "mas":
            for total, g in zip(totals, torch.autograd.grad(q.square().sum(), parameters), strict=True):
                total += g.double().abs()
            continue
        asked = range(len(q)) if kind == "exact" else [int(q.argmax())]
        for cluster in asked:
            share = float(q[cluster].detach()) if kind == "exact" else 1.0
            gradients = torch.autograd.grad(model(row[None])[0, cluster].log(), parameters)
            for total, g in zip(totals, gradients, strict=True):
                total += share * g.double().square()
    return [total / len(rows) for total in totals]


@pytest.mark.parametrize("kind", KINDS)
def test_importance_of_centres_is_the_mean_over_single_rows(model: DEC, rows: Tensor, kind: Any) -> None:
    (wanted,) = one_by_one(model, rows, kind, [model.clustering.clusters])
    got = compute_fisher(model, [rows], kind=kind)
    assert got.shape == (4, 3)
    torch.testing.assert_close(got.double(), wanted, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_importance_of_an_encoder_is_the_mean_over_single_rows(model: DEC, rows: Tensor, kind: Any) -> None:
    names, parameters = zip(*model.encoder.named_parameters(), strict=True)
    wanted = one_by_one(model, rows[:19], kind, list(parameters))
    got = compute_encoder_fisher(model, rows.split(8), samples=19, kind=kind)
    for name, total in zip(names, wanted, strict=True):
        torch.testing.assert_close(got[name].double(), total, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_the_size_of_batches_changes_nothing(model: DEC, rows: Tensor, kind: Any) -> None:
    # The seed squared sums over batches: five orders of magnitude between batches of 1 and of 1,437.
    results = [compute_fisher(model, rows.split(size), kind=kind) for size in (1, 8, 53)]
    torch.testing.assert_close(results[0], results[1], rtol=1e-5, atol=0)
    torch.testing.assert_close(results[0], results[2], rtol=1e-5, atol=0)


def test_exactly_as_many_rows_count_as_were_asked_for(model: DEC, rows: Tensor) -> None:
    wanted = compute_fisher(model, [rows[:20]])
    for size in (5, 7, 10, 20):  # 5 and 10 divide it: the seed then took a batch too many
        torch.testing.assert_close(compute_fisher(model, rows.split(size), samples=20), wanted, rtol=1e-5, atol=0)


def test_a_loader_may_give_rows_alone_with_labels_or_with_an_index(model: DEC, rows: Tensor) -> None:
    wanted = compute_fisher(model, [rows])
    numbers = torch.arange(len(rows))
    for loader in ([(rows, numbers)], [(numbers, rows)], [[rows]], [rows.numpy()]):
        assert torch.equal(compute_fisher(model, loader), wanted)


def test_the_model_is_left_as_it_was(model: DEC, rows: Tensor) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.train()
    compute_fisher(model, [rows])
    compute_encoder_fisher(model, [rows[:4]])
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0, equal_nan=True)


def test_a_sure_model_has_no_empirical_importance_left() -> None:
    # Why exact is not worse: both vanish together, and what is unsure weighs most.
    model = DEC({"dims": [2, 2], "n_clusters": 2})
    model.clustering.place(torch.tensor([[0.0, 0.0], [100.0, 0.0]]))
    with torch.no_grad():
        model.encoder[0].weight.copy_(torch.eye(2))
    sure, unsure = torch.tensor([[0.1, 0.0]]), torch.tensor([[50.0, 0.0]])
    assert compute_fisher(model, [unsure]).sum() > compute_fisher(model, [sure]).sum() * 0.5


def test_wrong_calls_say_what_is_wrong(model: DEC, rows: Tensor) -> None:
    with pytest.raises(InputError, match="the loader gave no rows"):
        compute_fisher(model, [])
    with pytest.raises(InputError, match=r"batch 0 of the loader has no rows \[n, width\]; it has \[53\]"):
        compute_fisher(model, [torch.arange(53)])
    with pytest.raises(InputError, match="batch 1 of the loader holds NaN"):
        compute_fisher(model, [rows, rows * float("nan")])
    with pytest.raises(ShapeMismatchError, match=r"the encoder wants rows \[n, 7\], got \[53, 5\]"):
        compute_fisher(model, [rows[:, :5]])
    with pytest.raises(SettingsError, match="kind exact, empirical or mas, got 1000 and 'true'"):
        compute_fisher(model, [rows], kind="true")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="samples >= 1"):
        compute_fisher(model, [rows], samples=0)


def test_the_elastic_loss_is_the_weighted_distance_to_the_anchor() -> None:
    current = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    original, fisher = torch.zeros(2, 2), torch.tensor([[1.0, 0.0], [0.5, 2.0]])
    loss = elastic_loss(current, original, fisher)
    assert float(loss.detach()) == 0.5 * (1 * 1 + 0.5 * 9 + 2 * 16)
    loss.backward()
    assert current.grad is not None
    np.testing.assert_allclose(current.grad.numpy(), [[1, 0], [1.5, 8]])
    assert float(elastic_loss(current, original, fisher, lambda_=0.0).detach()) == 0.0


def test_the_elastic_loss_wants_centres_that_fit() -> None:
    with pytest.raises(ShapeMismatchError, match=r"\[3, 2\], \[2, 2\] and \[2, 2\]: give current"):
        elastic_loss(torch.zeros(3, 2), torch.zeros(2, 2), torch.zeros(2, 2))
