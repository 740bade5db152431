from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control, norm

from jamais.detectors.calibration import Calibration, OnlineDiscoveries, adjusted, discovered
from jamais.detectors.calibration import discoveries as module
from jamais.errors import CorruptStateError, InputError, SettingsError
from jamais.testing import digest

p_values = st.lists(st.integers(0, 400).map(lambda k: k / 400), min_size=1, max_size=40)
levels = st.sampled_from([0.013, 0.051, 0.107, 0.31])  # no p-value of the above times n / rank ever ties with these


def step_up(p: list[float], level: float, factor: float = 1.0) -> list[bool]:
    """The procedure as Benjamini and Hochberg state it: the largest k with p_(k) <= k / n level."""
    n, rising = len(p), sorted(p)
    passed = [k for k in range(1, n + 1) if rising[k - 1] * factor <= k / n * level * (1 + 1e-12)]
    limit = rising[max(passed) - 1] if passed else -1.0
    return [one <= limit for one in p]


@given(p_values, levels)
def test_a_batch_is_judged_as_the_step_up_procedure_says(p: list[float], level: float) -> None:
    assert discovered(p, level).tolist() == step_up(p, level)
    harmonic = sum(1 / k for k in range(1, len(p) + 1))
    assert discovered(p, level, "by").tolist() == step_up(p, level, harmonic)


@given(p_values, st.sampled_from(["bh", "by"]))
def test_adjusted_p_values_are_those_of_scipy(p: list[float], method: str) -> None:
    assert adjusted(p, method) == pytest.approx(false_discovery_control(p, method=method), rel=1e-12, abs=1e-300)


def test_an_empty_batch_has_no_discoveries() -> None:
    assert discovered([], 0.1).shape == (0,)
    assert adjusted(np.empty(0), "by").shape == (0,)


@pytest.mark.parametrize("bad", [[np.nan], [-0.1], [1.1], [[0.5]], 0.5])
def test_what_is_no_list_of_p_values_is_refused(bad: Any) -> None:
    online = OnlineDiscoveries()
    before = digest(online.state_dict())
    for judge in (discovered, adjusted, online.decide):
        with pytest.raises(InputError, match="p-values"):
            judge(bad)
    assert digest(online.state_dict()) == before


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(SettingsError, match="level"):
        discovered([0.1], 1.0)
    with pytest.raises(SettingsError, match="level"):
        OnlineDiscoveries(0.0)
    with pytest.raises(SettingsError, match="wealth"):
        OnlineDiscoveries(0.1, wealth=0.2)
    with pytest.raises(SettingsError, match="bh or by"):
        adjusted([0.1], "bonferroni")


def conformal(rng: np.random.Generator, n_kept: int, n: int, share: float, shift: float) -> tuple[Any, Any]:
    """P-values of n rows against one calibration set, a share of the rows abnormal."""
    one = Calibration()
    one.fit(rng.normal(size=n_kept))
    abnormal = rng.random(n) < share
    return one.p_value(rng.normal(size=n) + shift * abnormal)[0], abnormal


def false_share(found: Any, abnormal: Any) -> float:
    return float((found & ~abnormal).sum() / max(1, found.sum()))


@pytest.mark.parametrize("method", ["bh", "by"])
def test_the_false_share_holds_for_p_values_that_share_one_calibration_set(method: str) -> None:
    rng = np.random.default_rng(0)
    shares, power = [], []
    for _ in range(400):
        p, abnormal = conformal(rng, 1000, 300, 0.1, 4.0)
        found = discovered(p, 0.2, method)
        shares.append(false_share(found, abnormal))
        power.append(found[abnormal].mean())
    expected = 0.2 * 0.9 if method == "bh" else 0.2 * 0.9 / sum(1 / k for k in range(1, 301))
    assert np.mean(shares) <= expected + 4 * np.std(shares) / 20
    assert np.mean(shares) > expected / 3  # not by finding nothing
    assert np.mean(power) > (0.8 if method == "bh" else 0.5)


def lord_plus_plus(p: list[float], level: float, wealth: float) -> list[bool]:
    """Ramdas et al. (2017), equation 8, with loops over all that was ever found."""

    def gamma(j: int) -> float:
        return 0.07720838 * math.log(max(j, 2)) / (j * math.exp(math.sqrt(math.log(j))))

    found: list[bool] = []
    for t in range(1, len(p) + 1):
        times = [s + 1 for s, yes in enumerate(found) if yes]
        spend = gamma(t) * wealth + sum(
            (level - wealth if rank == 0 else level) * gamma(t - s) for rank, s in enumerate(times)
        )
        found.append(p[t - 1] <= spend)
    return found


@given(st.lists(st.sampled_from([0.5, 0.02, 0.004, 1e-3, 1e-5, 0.0]), max_size=60), st.floats(0.01, 0.5))
def test_online_discoveries_are_those_of_the_slow_twin(p: list[float], level: float) -> None:
    assert OnlineDiscoveries(level).decide(p).tolist() == lord_plus_plus(p, level, level / 2)
    assert OnlineDiscoveries(level, level / 5).decide(p).tolist() == lord_plus_plus(p, level, level / 5)


@given(st.lists(st.sampled_from([0.5, 0.004, 1e-3, 1e-5]), max_size=50), st.integers(0, 50))
def test_cutting_and_saving_a_stream_changes_nothing(p: list[float], at: int) -> None:
    whole, first, second = OnlineDiscoveries(0.2), OnlineDiscoveries(0.2), OnlineDiscoveries(0.5)
    wanted = whole.decide(p).tolist()
    head = first.decide(p[:at]).tolist()
    second.load_state_dict(first.state_dict())
    assert head + second.decide(p[at:]).tolist() == wanted
    assert digest(second.state_dict()) == digest(whole.state_dict())


@pytest.mark.parametrize("make", ["independent", "conformal"])
def test_the_false_share_of_a_stream_holds_when_it_ends_anywhere(make: str) -> None:
    rng = np.random.default_rng(1)
    shares: dict[int, list[float]] = {200: [], 1000: []}
    power = []
    for _ in range(150):
        if make == "independent":
            abnormal = rng.random(1000) < 0.05
            p = norm.sf(rng.normal(size=1000) + 5.0 * abnormal)
        else:
            p, abnormal = conformal(rng, 2000, 1000, 0.05, 5.0)
        found = OnlineDiscoveries(0.2).decide(p)
        for end in shares:
            shares[end].append(false_share(found[:end], abnormal[:end]))
        power.append(found[abnormal].mean())
    for values in shares.values():
        assert np.mean(values) <= 0.2 + 3 * np.std(values) / 150**0.5
    assert np.mean(power) > 0.4


def test_what_is_forgotten_makes_it_more_careful_and_bounds_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    p = np.where(rng.random(600) < 0.3, 1e-9, rng.random(600))
    full = OnlineDiscoveries(0.1)
    full.decide(p)
    monkeypatch.setattr(module, "_REMEMBERED", 20)
    short = OnlineDiscoveries(0.1)
    short.decide(p)
    assert full.n_found > 100
    assert len(short.state_dict()["places"]) == 20
    assert 0 < short.next_level < full.next_level


def test_the_sequence_spends_no_more_than_there_is() -> None:
    steps = np.arange(1, 2_000_001)
    rest = math.sqrt(math.log(2e6))  # the integral of what follows
    tail = 2 * 0.07720838 * math.exp(-rest) * (rest**3 + 3 * rest**2 + 6 * rest + 6)
    assert 0.9 < module._gamma(steps).sum() + tail <= 1.0


@pytest.mark.parametrize(
    "damage",
    [
        {"level": 2.0},
        {"wealth": "all"},
        {"places": np.array([3, 3])},
        {"places": np.array([1, 99])},
        {"places": np.empty(0, np.int64)},
        {"n_found": 7},
        {"n_rows": None},
    ],
)
def test_a_damaged_state_is_refused_and_changes_nothing(damage: dict[str, Any]) -> None:
    one, other = OnlineDiscoveries(0.1), OnlineDiscoveries(0.2)
    one.decide([1e-9, 0.5, 1e-9, 0.5])
    before = digest(other.state_dict())
    with pytest.raises(CorruptStateError):
        other.load_state_dict({**one.state_dict(), **damage})
    assert digest(other.state_dict()) == before
    with pytest.raises(CorruptStateError):
        other.load_state_dict({})
