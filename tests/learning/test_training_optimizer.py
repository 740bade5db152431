from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from jamais.errors import StateError
from jamais.learning.training_state.optimizer import optimizer_tree, prepare_optimizer
from jamais.persistence.tree import flatten, unflatten

KINDS: list[tuple[str, dict[str, Any]]] = [
    ("AdamW", {"lr": 0.01, "amsgrad": True}),
    ("Adam", {"lr": torch.tensor(0.01)}),
    ("SGD", {"lr": 0.01, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.01}),
    ("RMSprop", {"lr": 0.01, "momentum": 0.5, "centered": True}),
    ("Adagrad", {"lr": 0.01}),
    ("Adadelta", {}),
    ("Adafactor", {}),
    ("Adamax", {}),
    ("ASGD", {"lr": 0.01}),
    ("NAdam", {}),
    ("RAdam", {}),
    ("Rprop", {}),
]


def network(width: int = 5, *, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, width), nn.Tanh(), nn.LayerNorm(width), nn.Linear(width, 2)).to(dtype)


def grouped(kind: str, model: nn.Module, options: dict[str, Any], *, turned: bool = False) -> torch.optim.Optimizer:
    """Weights in one group, the rest in another; `turned` gives groups and parameters the other way round."""
    weights = [p for name, p in model.named_parameters() if name.endswith("weight")]
    rest = [p for name, p in model.named_parameters() if not name.endswith("weight")]
    groups = [{"params": weights}, {"params": rest, "weight_decay": 0.1}]
    if turned:
        groups = [{"params": rest[::-1]}, {"params": weights[::-1]}]
    return getattr(torch.optim, kind)(groups, **options)


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        optimizer.zero_grad()
        data = torch.randn(4, 3, generator=torch.Generator().manual_seed(step)).to(model[0].weight.dtype)
        model(data).square().mean().backward()
        optimizer.step()


def through_a_store(tree: dict) -> dict:
    arrays, plain = flatten(tree)
    return unflatten({path: array.copy() for path, array in arrays.items()}, plain)


@pytest.mark.parametrize(("kind", "options"), KINDS, ids=[f"{kind}-{len(options)}" for kind, options in KINDS])
def test_an_optimizer_built_in_another_order_goes_on_with_the_same_bits(kind: str, options: dict[str, Any]) -> None:
    model = network()
    optimizer = grouped(kind, model, copy.deepcopy(options))
    train(model, optimizer, range(4))
    tree = through_a_store(optimizer_tree(optimizer, model))
    other = copy.deepcopy(model)
    turned = grouped(kind, other, {"lr": 0.5}, turned=True)  # its options come from the saved state
    prepare_optimizer(turned, other, tree)()
    train(model, optimizer, range(4, 9))
    train(other, turned, range(4, 9))
    for (name, a), b in zip(model.named_parameters(), other.parameters(), strict=True):
        assert torch.isfinite(a).all()
        assert torch.equal(a, b), name


def test_moments_of_bfloat16_stay_bfloat16_and_the_step_stays_float32_on_the_cpu() -> None:
    model = network(dtype=torch.bfloat16)
    optimizer = grouped("AdamW", model, {})
    train(model, optimizer, range(3))
    other = copy.deepcopy(model)
    fresh = grouped("AdamW", other, {})
    prepare_optimizer(fresh, other, through_a_store(optimizer_tree(optimizer, model)))()
    kept = fresh.state[other[0].weight]
    assert kept["exp_avg"].dtype == torch.bfloat16
    assert kept["step"].dtype == torch.float32
    train(model, optimizer, range(3, 6))
    train(other, fresh, range(3, 6))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


def test_the_restored_state_shares_no_memory_with_the_saved_one() -> None:
    model = network()
    optimizer = grouped("Adam", model, {})
    train(model, optimizer, range(2))
    tree = optimizer_tree(optimizer, model)
    before = tree["state"]["0.weight"]["exp_avg"].copy()
    other = copy.deepcopy(model)
    fresh = grouped("Adam", other, {})
    prepare_optimizer(fresh, other, tree)()
    train(other, fresh, range(2, 4))
    assert (tree["state"]["0.weight"]["exp_avg"] == before).all()


def test_a_scheduled_optimizer_keeps_no_rate() -> None:
    model = network()
    optimizer = grouped("AdamW", model, {"lr": 0.123})
    tree = optimizer_tree(optimizer, model, scheduled=True)
    assert all("lr" not in group["options"] for group in tree["groups"].values())
    fresh = grouped("AdamW", model, {"lr": 0.5})
    prepare_optimizer(fresh, model, tree, scheduled=True)()
    assert {group["lr"] for group in fresh.param_groups} == {0.5}
    prepare_optimizer(fresh, model, optimizer_tree(optimizer, model), scheduled=True)()
    assert {group["lr"] for group in fresh.param_groups} == {0.5}
    prepare_optimizer(fresh, model, optimizer_tree(optimizer, model))()
    assert {group["lr"] for group in fresh.param_groups} == {0.123}


def test_parameters_without_a_state_yet_have_none_after() -> None:
    model = network()
    model[0].requires_grad_(False)
    optimizer = grouped("AdamW", model, {})
    train(model, optimizer, range(2))
    other = network()
    busy = grouped("AdamW", other, {})
    train(other, busy, range(3))
    tree = optimizer_tree(optimizer, model)
    assert "0.weight" not in tree["state"]
    prepare_optimizer(busy, other, tree)()
    assert not busy.state[other[0].weight]


def _tree(width: int = 5) -> dict:
    model = network(width)
    optimizer = grouped("AdamW", model, {})
    train(model, optimizer, range(2))
    return copy.deepcopy(optimizer_tree(optimizer, model))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s["2.bias"].update(exp_avg=np.zeros(64, "f4")), r"exp_avg of 2\.bias: saved \[64\], here \[5\]"),
        (lambda s: s["2.bias"].update(exp_avg=np.zeros(1, "f4")), r"exp_avg of 2\.bias: saved \[1\], here \[5\]"),
        (lambda s: s["2.bias"].update(exp_avg=np.zeros(5)), r"exp_avg of 2\.bias: saved float64 \[5\], here float32"),
        (lambda s: s["2.bias"].update(exp_avg=0.0), r"exp_avg of 2\.bias: saved float, wanted an array"),
        (lambda s: s["2.bias"].pop("exp_avg_sq"), r"exp_avg_sq of 2\.bias: here, but not in the saved state"),
        (lambda s: s["2.bias"].update(exp_cubed=np.zeros(5, "f4")), r"exp_cubed of 2\.bias: saved, but not here"),
        (lambda s: s.update({"9.bias": s["2.bias"]}), r"optimizer\.9\.bias: saved, but not here"),
    ],
)
@pytest.mark.parametrize("used", [False, True], ids=["fresh", "used"])
def test_a_leaf_that_does_not_fit_is_named_and_nothing_is_changed(change, words, used: bool) -> None:
    tree = _tree()
    change(tree["state"])
    model = network()
    optimizer = grouped("AdamW", model, {"lr": 0.5})
    if used:
        train(model, optimizer, range(1))
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(StateError, match=words):
        prepare_optimizer(optimizer, model, tree)
    assert str(optimizer.state_dict()) == str(before)


def test_another_width_names_the_first_leaf() -> None:
    model = network(8)
    with pytest.raises(StateError, match=r"optimizer\.exp_avg of 0\.weight: saved \[5, 3\], here \[8, 3\]"):
        prepare_optimizer(grouped("AdamW", model, {}), model, _tree())


def test_other_parameters_groups_and_kinds_are_refused() -> None:
    tree, model = _tree(), network()
    with pytest.raises(StateError, match="saved AdamW, here Adam"):
        prepare_optimizer(grouped("Adam", model, {}), model, tree)
    with pytest.raises(StateError, match=r"optimizer\.groups\.0: 0\.bias was in a group with other parameters"):
        prepare_optimizer(torch.optim.AdamW(model.parameters()), model, tree)
    fewer = torch.optim.AdamW([p for n, p in model.named_parameters() if n != "2.bias"])
    with pytest.raises(StateError, match=r"optimizer\.2\.bias: saved, but not here"):
        prepare_optimizer(fewer, model, tree)
    tree["groups"]["0"]["options"]["eps"] = "tiny"
    with pytest.raises(StateError, match=r"groups\.0\.eps: saved 'tiny', wanted a number"):
        prepare_optimizer(grouped("AdamW", model, {}), model, tree)


def test_a_parameter_that_the_model_does_not_have_is_refused() -> None:
    stranger = nn.Parameter(torch.zeros(4, 4))
    model = network()
    with pytest.raises(StateError, match=r"its parameter 1, of shape \[4, 4\], has no name in the model"):
        optimizer_tree(torch.optim.SGD([model[0].weight, stranger], lr=0.1), model)


def test_objects_that_are_neither_tensor_nor_number_are_refused_by_name() -> None:
    model = network()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=3)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = model(torch.ones(2, 3)).square().mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    with pytest.raises(StateError, match=r"optimizer\.al of 0\.weight: cannot save list"):
        optimizer_tree(optimizer, model)
    plain = torch.optim.SGD(model.parameters(), lr=0.1)
    plain.param_groups[0]["hook"] = print
    with pytest.raises(StateError, match=r"optimizer\.groups\.0\.hook: cannot save builtin_function_or_method"):
        optimizer_tree(plain, model)


def test_an_optimizer_of_somebody_else_is_taken_as_saved() -> None:
    class Stubborn(torch.optim.Optimizer):
        """Wants a closure and keeps a state of odd shapes: neither can be found out beforehand."""

        def __init__(self, params: Any) -> None:
            super().__init__(params, {"lr": 0.1})

        def step(self, closure: Any) -> None:  # type: ignore[override]
            closure()
            for parameter in self.param_groups[0]["params"]:
                kept = self.state[parameter]
                kept.setdefault("trace", torch.zeros(3))
                kept["trace"] += float(parameter.grad.sum())
                kept["count"] = kept.get("count", 0) + 1

    model = network()
    optimizer = Stubborn(model.parameters())
    model(torch.ones(2, 3)).sum().backward()
    optimizer.step(lambda: None)
    fresh = Stubborn(model.parameters())
    prepare_optimizer(fresh, model, through_a_store(optimizer_tree(optimizer, model)))()
    for parameter in model.parameters():
        assert torch.equal(fresh.state[parameter]["trace"], optimizer.state[parameter]["trace"])
        assert fresh.state[parameter]["count"] == 1
