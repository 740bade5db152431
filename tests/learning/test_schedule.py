from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jamais.errors import SettingsError, StateError
from jamais.learning.pretraining import PretrainingSettings
from jamais.learning.training_state import Schedule


def old_rate(step: int, settings: PretrainingSettings) -> float:
    """The formula of pretraining as it was before there were schedules: its bits are a promise."""
    warm = max(1, round(settings.steps * settings.warmup_share))
    if step < warm:
        return (step + 1) / warm
    return max(0.02, 1.0 - (step - warm) / max(1, settings.steps - warm))


@given(st.integers(1, 400), st.floats(0.0, 1.0), st.floats(1e-6, 1.0))
def test_pretraining_keeps_its_old_rates_bit_for_bit(steps: int, share: float, rate: float) -> None:
    settings = PretrainingSettings(steps=steps, warmup_share=share, learning_rate=rate)
    for step in range(steps + 3):
        assert settings.schedule.rate_at(step) == settings.learning_rate * old_rate(step, settings)


def test_cosine_agrees_with_torch() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.4)
    torchs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20, eta_min=0.04)
    ours = Schedule("cosine", 0.4, total_steps=20, floor=0.1)
    for step in range(21):
        assert ours.rate_at(step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        torchs.step()


def test_rates_rise_over_the_warm_up_and_never_leave_their_bounds() -> None:
    for kind in ("constant", "linear", "cosine"):
        schedule = Schedule(kind, 2.0, warmup_share=0.25, total_steps=16, floor=0.25)
        rates = [schedule.rate_at(step) for step in range(40)]
        assert rates[:4] == [0.5, 1.0, 1.5, 2.0]
        assert rates[4:] == sorted(rates[4:], reverse=True)
        assert rates[20:] == [2.0 if kind == "constant" else 0.5] * 20
    assert Schedule("constant", 3.0).rate_at(10**9) == 3.0


def test_the_state_is_the_definition_and_knows_no_current_rate() -> None:
    schedule = Schedule("cosine", 1, warmup_steps=3, total_steps=10)
    state = schedule.to_state()
    assert set(state) == {field.name for field in dataclasses.fields(Schedule)}
    assert Schedule.from_state(state) == schedule
    for wrong in ({**state, "more": 1}, {**state, "rate": "1"}, {**state, "kind": "square"}, {}, None):
        with pytest.raises(StateError, match="scheduler"):
            Schedule.from_state(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "stairs"},
        {"rate": math.nan},
        {"rate": math.inf},
        {"rate": -1.0},
        {"floor": 1.5},
        {"kind": "linear"},
        {"warmup_share": 0.5},
        {"warmup_steps": -1},
        {"warmup_steps": 1, "warmup_share": 0.5, "total_steps": 9},
    ],
)
def test_nonsense_is_refused(wrong) -> None:
    with pytest.raises(SettingsError):
        Schedule(**wrong)
