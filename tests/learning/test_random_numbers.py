from __future__ import annotations

import copy
import random
from typing import Any

import numpy as np
import pytest
import torch

from jamais.errors import StateError
from jamais.learning.training_state import RandomNumbers
from jamais.persistence.tree import flatten, unflatten

BITS = ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"]


def through_a_store(tree: dict) -> dict:
    arrays, plain = flatten(tree)
    return unflatten({path: array.copy() for path, array in arrays.items()}, plain)


def sources(seed: int) -> dict[str, Any]:
    made: dict[str, Any] = {f"numpy {name}": np.random.Generator(getattr(np.random, name)(seed)) for name in BITS}
    made["torch"] = torch.Generator().manual_seed(seed)
    made["python"] = random.Random(seed)
    made["legacy"] = np.random.RandomState(seed)
    return made


def draw(found: dict[str, Any]) -> list[float]:
    """Odd numbers of narrow and normal draws leave half-used words behind: those must be kept, too."""
    numbers: list[float] = []
    for source in found.values():
        if isinstance(source, torch.Generator):
            numbers += torch.randn(3, generator=source).tolist() + torch.rand(1, generator=source).tolist()
        elif isinstance(source, random.Random):
            numbers += [source.gauss(0, 1), source.random(), float(source.getrandbits(7))]
        elif isinstance(source, np.random.RandomState):
            numbers += [float(source.normal()), float(source.randint(9))]
        else:
            numbers += [float(source.integers(99, dtype=np.uint32)), float(source.standard_normal())]
    return numbers


def test_every_kind_of_generator_goes_on_where_it_stood() -> None:
    first = sources(1)
    draw(first)
    tree = through_a_store(RandomNumbers(first).state_dict())
    expected = [draw(first) for _ in range(5)]
    second = sources(2)
    RandomNumbers(second).load_state_dict(tree)
    assert [draw(second) for _ in range(5)] == expected


def test_the_generators_of_the_process_are_kept_on_request_only() -> None:
    def drawn() -> list[float]:
        return [random.random(), float(np.random.rand()), float(np.random.normal()), float(torch.randn(1))]

    assert RandomNumbers({}).state_dict() == {}
    numbers = RandomNumbers({"mine": random.Random(3)}, process_wide=True)
    before = through_a_store(numbers.state_dict())
    try:
        torch.manual_seed(4)
        drawn()
        tree = through_a_store(numbers.state_dict())
        assert {"mine", "process.python", "process.numpy", "process.torch"} <= set(tree)
        expected = drawn()
        numbers.load_state_dict(tree)
        assert drawn() == expected
    finally:
        numbers.load_state_dict(before)


@pytest.mark.gpu
def test_a_generator_on_a_gpu_goes_on_where_it_stood() -> None:
    mine = torch.Generator("cuda").manual_seed(1)
    numbers = RandomNumbers({"mine": mine}, process_wide=True)

    def drawn() -> list[float]:
        return torch.rand(5, device="cuda", generator=mine).tolist() + torch.rand(5, device="cuda").tolist()

    drawn()
    tree = through_a_store(numbers.state_dict())
    assert tree["mine"]["kind"] == "torch cuda"
    expected = drawn()
    numbers.load_state_dict(tree)
    assert drawn() == expected


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("torch", lambda t: t.update(bytes=t["bytes"][:-1])),
        ("torch", lambda t: t.update(bytes=np.zeros_like(t["bytes"]))),
        ("torch", lambda t: t.update(bytes=t["bytes"].astype("f4"))),
        ("torch", lambda t: t.pop("bytes")),
        ("torch", lambda t: t.update(kind="numpy")),
        ("numpy PCG64", lambda t: t["state"]["state"].update(state="1")),
        ("numpy PCG64", lambda t: t["state"].update(bit_generator="SFC64")),
        ("numpy PCG64", lambda t: t.update(state=7)),
        ("numpy MT19937", lambda t: t["state"]["state"].update(pos=10**6)),
        ("numpy MT19937", lambda t: t["state"]["state"].update(pos=-1)),
        ("numpy MT19937", lambda t: t["state"]["state"].update(key=np.zeros(3, np.uint32))),
        ("numpy Philox", lambda t: t["state"].update(buffer_pos=-100)),
        ("python", lambda t: t.update(words=t["words"][:-1])),
        ("python", lambda t: t.update(version=9)),
        ("python", lambda t: t["words"].fill(2**32 - 1)),
        ("legacy", lambda t: t["state"]["state"].update(pos=700)),
        ("legacy", lambda t: t["state"].pop("gauss")),
    ],
)
def test_what_is_no_state_is_refused_by_name_and_no_generator_is_touched(name: str, change: Any) -> None:
    found = sources(5)
    tree = copy.deepcopy(RandomNumbers(found).state_dict())
    change(tree[name])
    expected = draw(sources(5))
    with pytest.raises(StateError, match=rf"rng\.{name}: "):
        RandomNumbers(found).load_state_dict(tree)
    assert draw(found) == expected


def test_missing_and_unknown_generators_are_named() -> None:
    tree = RandomNumbers({"a": random.Random(1)}).state_dict()
    with pytest.raises(StateError, match=r"rng\.a: saved, but not here"):
        RandomNumbers({}).load_state_dict(tree)
    with pytest.raises(StateError, match=r"rng\.b: here, but not in the saved state"):
        RandomNumbers({"a": random.Random(1), "b": random.Random(1)}).load_state_dict(tree)
    with pytest.raises(StateError, match=r"rng\.dice: SystemRandom has no state"):
        RandomNumbers({"dice": random.SystemRandom()}).state_dict()
