from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest
import torch
from torch import nn

from jamais.errors import Cancelled
from jamais.learning.checkpoints import Checkpoints
from jamais.learning.resumable import resumable
from jamais.learning.training_state import EarlyStopping, EpochOrder, Progress, RandomNumbers, Schedule, TrainingState
from jamais.persistence import VersionStore
from jamais.persistence.tree import state_sha256
from jamais.types import CancelToken

STEPS = 30


class Toy:
    """A loop as somebody would write it: a loss on new rows after each epoch, and patience of two epochs."""

    def __init__(self, folder: Path | None = None, *, background: bool = False, stop_by: dict | None = None) -> None:
        generator = torch.Generator().manual_seed(1)
        self.rows = torch.randn(24, 4, generator=generator)
        self.model = nn.Linear(4, 1)
        with torch.no_grad():
            self.model.weight.normal_(generator=generator)
            self.model.bias.zero_()
        self.state = TrainingState(
            self.model,
            torch.optim.SGD(self.model.parameters(), lr=0.0, momentum=0.9),
            Schedule("linear", 0.3, warmup_steps=2, total_steps=STEPS),
            RandomNumbers({"noise": generator}),
            EpochOrder(20, batch=7, seed=2),
            Progress(EarlyStopping(2, min_delta=0.01)),
        )
        self.generator = generator
        self.checkpoints = None
        if folder is not None:
            self.checkpoints = Checkpoints(
                VersionStore(folder), every_steps=4, metric="held_out", save_best=True, background=background
            )
        self.cancel = CancelToken()
        self.stop_by = stop_by or {}

    def train(self) -> str:
        state, progress = self.state, self.state.progress
        with resumable(state, self.checkpoints, cancel=self.cancel) as boundary:
            while progress.step < STEPS and not progress.early_stopping.stopped:
                boundary()
                rate = state.schedule.rate_at(progress.step)
                state.optimizer.param_groups[0]["lr"] = rate
                rows = self.rows[state.data.draw()]
                rows = rows + 0.01 * torch.randn(rows.shape, generator=self.generator)
                state.optimizer.zero_grad()
                loss = (self.model(rows).squeeze(1) - rows.sum(1)).square().mean()
                loss.backward()
                state.optimizer.step()
                progress.stepped(float(loss.detach()))
                if state.data.index == 0:
                    self.look()
                self.stop(progress.step)
        return self.digest()

    def look(self) -> None:
        with torch.no_grad():
            held_out = float((self.model(self.rows[20:]).squeeze(1) - self.rows[20:].sum(1)).square().mean())
        self.state.progress.note(held_out=held_out)
        self.state.progress.early_stopping.look(held_out, self.state.progress.step)

    def stop(self, step: int) -> None:
        how = self.stop_by.pop(step, None)
        if how == "cancel":
            self.cancel.cancel()
        elif how is not None:
            os.kill(os.getpid(), how)

    def digest(self) -> str:
        return state_sha256(self.state.tree())


@pytest.fixture(autouse=True)
def _python_handles_ctrl_c():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def expected() -> str:
    toy = Toy()
    digest = toy.train()
    progress = toy.state.progress
    assert progress.early_stopping.stopped
    assert 9 < progress.step < STEPS, "it must stop early, or the tests of early stopping show nothing"
    return digest


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_a_run_stopped_again_and_again_ends_in_the_same_bits(
    tmp_path: Path, expected: str, seed: int, background: bool
) -> None:
    dice = random.Random(seed)
    at, stops = 0, []
    for _ in range(4):
        at += dice.randint(1, 3)
        how = dice.choice([signal.SIGINT, signal.SIGTERM, "cancel"])
        stops.append(at)
        toy = Toy(tmp_path, background=background, stop_by={at: how})
        with pytest.raises((KeyboardInterrupt, SystemExit, Cancelled)):
            toy.train()
        assert toy.state.progress.step == at
        assert VersionStore(tmp_path).info().metrics["step"] == at
    assert Toy(tmp_path, background=background).train() == expected


def test_a_run_that_vanished_goes_on_from_its_last_checkpoint(tmp_path: Path, expected: str) -> None:
    class Vanished(BaseException):
        pass

    toy = Toy(tmp_path)
    toy.look = lambda: (_ for _ in ()).throw(Vanished) if toy.state.progress.step >= 6 else Toy.look(toy)
    with pytest.raises(Vanished):
        toy.train()
    assert VersionStore(tmp_path).info().metrics["step"] == 4
    assert Toy(tmp_path).train() == expected


def test_a_finished_run_is_not_run_again(tmp_path: Path, expected: str) -> None:
    assert Toy(tmp_path).train() == expected
    before = VersionStore(tmp_path).current
    again = Toy(tmp_path)
    again.model.forward = None  # it must not be asked
    assert again.train() == expected
    assert VersionStore(tmp_path).current == before


def test_best_has_the_loss_on_new_rows_of_the_step_it_was_saved_at(tmp_path: Path) -> None:
    toy = Toy(tmp_path)
    toy.train()
    info = VersionStore(tmp_path).info("best")
    looks = toy.state.progress.history["held_out"]
    assert info.metrics["held_out"] == min(looks)
    assert info.metrics["step"] == 3 * (looks.index(min(looks)) + 1)


def test_without_checkpoints_only_the_token_is_looked_at() -> None:
    toy = Toy(stop_by={2: "cancel"})
    with pytest.raises(Cancelled, match=r"training was cancelled after 2 steps$"):
        toy.train()
    toy = Toy(stop_by={2: signal.SIGINT})
    with pytest.raises(KeyboardInterrupt):
        toy.train()
