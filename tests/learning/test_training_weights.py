from __future__ import annotations

import copy

import ml_dtypes
import numpy as np
import pytest
import torch
from torch import nn

from jamais.errors import StateError
from jamais.learning.training_state.weights import prepare_weights, weights_tree
from jamais.persistence.tree import flatten, unflatten


class Tied(nn.Module):
    """Words in and words out share one matrix; a buffer counts; one layer is bfloat16."""

    def __init__(self, tie: bool = True) -> None:
        super().__init__()
        self.words = nn.Embedding(7, 4)
        self.norm = nn.BatchNorm1d(4)
        self.low = nn.Linear(4, 4).bfloat16()
        self.out = nn.Linear(4, 7, bias=False)
        if tie:
            self.out.weight = self.words.weight


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def through_a_store(tree: dict) -> dict:
    arrays, plain = flatten(tree)
    return unflatten({path: array.copy() for path, array in arrays.items()}, plain)


def bits(model: nn.Module) -> dict[str, bytes]:
    return {name: weights_tree(model)["tensors"][name].tobytes() for name in model.state_dict()}


def test_parameters_and_buffers_come_back_bit_for_bit() -> None:
    model, other = Tied(), Tied()
    model.norm.running_var.fill_(float("nan"))
    model.norm.num_batches_tracked.fill_(2**60 + 1)
    with torch.no_grad():
        model.low.weight.view(torch.int16)[0, 0] = 0x7FC5  # a NaN with a payload of its own
    assert bits(model) != bits(other)
    prepare_weights(other, through_a_store(weights_tree(model)))()
    assert bits(model) == bits(other)
    assert weights_tree(model)["tensors"]["low.weight"].dtype == ml_dtypes.bfloat16


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.float16, torch.complex64, torch.bool])
def test_every_dtype_of_a_buffer_comes_back(dtype: torch.dtype) -> None:
    model, other = nn.Module(), nn.Module()
    numbers = torch.arange(6.0).reshape(2, 3)
    for one, shift in ((model, 0), (other, 1)):
        one.register_buffer("kept", (numbers + shift).to(dtype) if dtype != torch.bool else numbers > shift)
    prepare_weights(other, through_a_store(weights_tree(model)))()
    assert other.kept.dtype == dtype
    assert bits(other) == bits(model)


def test_scalars_empty_tensors_and_odd_strides_come_back() -> None:
    model = nn.Module()
    model.register_buffer("scalar", torch.tensor(3.5))
    model.register_buffer("empty", torch.zeros(0, 5))
    model.register_buffer("turned", torch.arange(6).reshape(2, 3).T)
    other = copy.deepcopy(model)
    other.scalar.zero_()
    other.turned.zero_()
    prepare_weights(other, through_a_store(weights_tree(model)))()
    assert torch.equal(other.scalar, model.scalar)
    assert torch.equal(other.turned, model.turned)
    assert other.turned.stride() == model.turned.stride()


def test_tied_weights_are_one_array_and_are_tied_again() -> None:
    model, apart = Tied(), Tied(tie=False)
    tree = weights_tree(model)
    assert tree["tensors"]["words.weight"] is tree["tensors"]["out.weight"]
    prepare_weights(apart, through_a_store(tree))()
    assert apart.out.weight is apart.words.weight
    assert bits(apart) == bits(model)


def test_a_tie_on_one_side_only_is_refused_where_it_would_lose_something() -> None:
    tied, apart = Tied(), Tied(tie=False)
    with pytest.raises(StateError, match=r"model\.out\.weight: saved with numbers of its own, here tied to words"):
        prepare_weights(tied, weights_tree(apart))
    with pytest.raises(StateError, match=r"model\.out\.weight: saved tied to words\.weight, here apart"):
        prepare_weights(apart, weights_tree(tied), may_tie=False)


def test_frozen_parameters_are_frozen_again_and_others_are_not() -> None:
    model, other = Tied(), Tied()
    model.low.requires_grad_(False)
    other.norm.requires_grad_(False)
    prepare_weights(other, weights_tree(model))()
    assert not other.low.weight.requires_grad
    assert other.norm.weight.requires_grad


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop("low.bias"), r"model\.low\.bias: here, but not in the saved state"),
        (lambda t: t.update(more=t["low.bias"]), r"model\.more: saved, but not here"),
        (lambda t: t.update({"norm.bias": np.zeros(9, np.float32)}), r"model\.norm\.bias: saved \[9\], here \[4\]"),
        (lambda t: t.update({"norm.bias": np.zeros(4)}), r"norm\.bias: saved float64 \[4\], here float32 \[4\]"),
        (lambda t: t.update({"norm.bias": [0.0] * 4}), r"norm\.bias: saved list, wanted an array"),
        (lambda t: t.update({"norm.bias": np.zeros(4, "M8[s]")}), r"norm\.bias: torch has no dtype"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_changed(change, words) -> None:
    model, other = Tied(), Tied()
    tree = weights_tree(model)
    change(tree["tensors"])
    before = bits(other)
    with pytest.raises(StateError, match=words):
        prepare_weights(other, tree)
    assert bits(other) == before


def test_what_numpy_cannot_hold_is_refused_by_name() -> None:
    model = nn.Module()
    model.register_buffer("few", torch.eye(3).to_sparse())
    with pytest.raises(StateError, match=r"model\.few: cannot save a sparse"):
        weights_tree(model)

    class Chatty(nn.Module):
        def get_extra_state(self) -> object:
            return {"words": "anything"}

    with pytest.raises(StateError, match=r"model\._extra_state: cannot save dict"):
        weights_tree(Chatty())


def test_an_extra_state_that_is_a_tensor_comes_back() -> None:
    class Extra(nn.Module):
        said = torch.zeros(1)

        def get_extra_state(self) -> torch.Tensor:
            return self.said

        def set_extra_state(self, state: torch.Tensor) -> None:
            self.said = state

    model, other = nn.Sequential(Extra()), nn.Sequential(Extra())
    model[0].said = torch.arange(5)
    prepare_weights(other, weights_tree(model))()
    assert torch.equal(other[0].said, torch.arange(5))
