from __future__ import annotations

import copy
import random
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from jamais.errors import StateError
from jamais.learning.training_state import (
    EarlyStopping,
    EpochOrder,
    Progress,
    RandomNumbers,
    Schedule,
    TrainingState,
)
from jamais.memory import CoverMemory
from jamais.persistence.tree import flatten, unflatten


def through_a_store(tree: dict) -> dict:
    arrays, plain = flatten(tree)
    return unflatten({path: array.copy() for path, array in arrays.items()}, plain)


class Run:
    """A loop with everything in it: dropout, batch norm, a schedule, epochs, a memory, noise from four sources."""

    def __init__(self, seed: int = 0, steps: int = 20) -> None:
        torch.manual_seed(seed)
        random.seed(seed)
        self.noise = np.random.default_rng(seed)
        self.model = nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.Dropout(0.3), nn.Linear(6, 1))
        self.memory = CoverMemory(capacity=7, radius=0.1)
        self.data = torch.randn(11, 3)
        self.state = TrainingState(
            model=self.model,
            optimizer=torch.optim.AdamW(self.model.parameters(), lr=0.0),
            schedule=Schedule("cosine", 0.05, warmup_steps=3, total_steps=steps),
            random_numbers=RandomNumbers({"noise": self.noise}, process_wide=True),
            data=EpochOrder(11, batch=4, seed=seed),
            progress=Progress(EarlyStopping(100)),
            settings={"steps": steps, "data": "made up"},
            extra={"memory": self.memory},
        )

    def train(self, until: int) -> None:
        state, optimizer = self.state, self.state.optimizer
        while state.progress.step < until:
            for group in optimizer.param_groups:
                group["lr"] = state.schedule.rate_at(state.progress.step)
            rows = self.data[state.data.draw()] + torch.from_numpy(self.noise.normal(size=3)).float() * 0.1
            optimizer.zero_grad()
            hidden = self.model[:3](rows)
            loss = (self.model[3](hidden) - 1 + 0.1 * random.random()).square().mean()
            loss.backward()
            optimizer.step()
            self.memory.add(hidden.detach().numpy())
            state.progress.stepped(float(loss.detach()))
            state.progress.early_stopping.look(float(loss.detach()), state.progress.step)


@pytest.fixture(autouse=True)
def _the_process_keeps_its_generators():
    numbers = RandomNumbers({}, process_wide=True)
    before = copy.deepcopy(numbers.state_dict())
    yield
    numbers.load_state_dict(before)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return a == b


@pytest.mark.parametrize("stop", [0, 1, 3, 7, 19])
def test_a_run_put_back_ends_in_the_bits_of_one_that_never_stopped(stop: int) -> None:
    through = Run()
    through.train(20)
    expected = copy.deepcopy(through.state.tree())
    first = Run()
    first.train(stop)
    saved = through_a_store(first.state.tree())
    second = Run(seed=5)  # everything starts elsewhere, also the generators of the process
    second.data = first.data
    second.state.data = EpochOrder(11, batch=4, seed=0)
    second.state.restore(saved)
    second.train(20)
    assert same(second.state.tree(), expected)


def test_the_state_holds_the_schedule_and_the_step_but_no_current_rate() -> None:
    run = Run()
    run.train(9)
    tree = run.state.tree()
    assert tree["scheduler"]["step"] == 9
    assert Schedule.from_state(tree["scheduler"]["definition"]) == run.state.schedule
    rates = {run.state.schedule.rate_at(step) for step in range(1, 12)} - {run.state.schedule.rate}

    def numbers(node: Any) -> list[float]:
        if isinstance(node, dict):
            return [n for inner in node.values() for n in numbers(inner)]
        return [node] if type(node) is float else []

    assert numbers(tree)
    assert not rates & set(numbers(tree))


def test_random_numbers_are_put_back_after_the_data_was_placed() -> None:
    run = Run()
    run.train(2)
    saved = through_a_store(run.state.tree())
    expected = torch.rand(3)
    seen: list[int] = []

    def place() -> None:
        seen.append(run.state.data.index)  # the position is there already
        torch.rand(5)  # as the iterator of a DataLoader draws its seed

    run.train(4)
    run.state.restore(saved, place_data=place)
    assert torch.equal(torch.rand(3), expected)
    assert seen == [2]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t["settings"].update(steps=30), r"settings\.steps: saved 30, here 20: the checkpoints are of ano"),
        (lambda t: t["settings"].pop("data"), r"settings\.data: saved 'nothing', here 'made up'"),
        (lambda t: t["settings"].update(more=1), r"settings\.more: saved 1, here 'nothing'"),
        (lambda t: t["scheduler"]["definition"].update(rate=1.0), r"scheduler\.rate: saved 1\.0, here 0\.05"),
        (lambda t: t["scheduler"].update(step=4), r"scheduler\.step: not the step of the trainer"),
        (lambda t: t.pop("optimizer"), r"training\.optimizer: here, but not in the saved state"),
        (lambda t: t.update(more={}), r"training\.more: saved, but not here"),
        (lambda t: t["model"]["tensors"].pop("0.bias"), r"model\.0\.bias: here, but not"),
        (lambda t: t["model"].update(frozen=[["0.bias"]]), r"model\.frozen: wanted names"),
        (lambda t: t["rng"].pop("noise"), r"rng\.noise: here, but not"),
        (lambda t: t["extra"].pop("memory"), r"extra\.memory: here, but not"),
        (lambda t: t["trainer"].update(step=None), r"step"),
        (lambda t: t.update(data=3), r"training\.data: saved int, wanted dict"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_by_name(change, words) -> None:
    run = Run()
    run.train(3)
    saved = through_a_store(run.state.tree())
    change(saved)
    other = Run()
    before = copy.deepcopy(other.state.tree()["model"])
    with pytest.raises(StateError, match=words):
        other.state.restore(saved)
    if "data" not in words:
        assert same(other.state.tree()["model"], before)


def test_another_environment_is_told_but_no_obstacle() -> None:
    run = Run()
    saved = through_a_store(run.state.tree())
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        saved["environment"] |= {"torch": "1.0", "threads": 64}
        run.state.restore(saved)
    assert ["torch" in str(told[0].message), "threads" in str(told[1].message), len(told)] == [True, True, 2]
