from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jamais.errors import SettingsError
from jamais.recipes.logs.settings import LogSettings, window_size
from jamais.settings import as_tree, microseconds, override


@dataclass(frozen=True)
class Inner:
    width: int = 8
    heads: int = 4

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError("heads must divide the width")


@dataclass(frozen=True)
class Outer:
    name: str | None = None
    share: float = 0.5
    exact: bool = False
    words: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    inner: Inner = field(default_factory=Inner)


def test_dots_mappings_and_text_say_the_same() -> None:
    wanted = Outer("x", 0.25, True, ("a", "b"), (), Inner(16, 2))
    assert wanted == override(
        Outer(), {"name": "x", "share": 0.25, "exact": True, "words": ["a", "b"], "inner": {"width": 16, "heads": 2}}
    )
    assert wanted == override(
        Outer(),
        {"name": "x", "share": "0.25", "exact": "yes", "words": "a,b", "inner.width": "16", "inner.heads": "2"},
    )
    assert wanted == override(Outer(), {**as_tree(wanted), "inner": {"width": 16}, "inner.heads": 2})


def test_what_is_set_stays_set_and_the_rest_is_default() -> None:
    first = override(Outer(), {"inner.width": 12})
    second = override(first, {"inner.heads": 3})
    assert second == Outer(inner=Inner(12, 3))
    assert first == Outer(inner=Inner(12, 4)), "the settings given were changed"
    assert override(Outer(name="x"), {"name": "none"}) == Outer()


def test_values_that_only_make_sense_together_are_set_together() -> None:
    assert override(Outer(), {"inner": {"width": 9, "heads": 3}}).inner == Inner(9, 3)
    assert override(Outer(), {"inner.heads": 3, "inner.width": 9}).inner == Inner(9, 3)
    assert override(Outer(), as_tree(Outer(inner=Inner(9, 3)))).inner == Inner(9, 3)


def test_a_tree_of_settings_gives_them_back() -> None:
    one = override(
        LogSettings(),
        {"window": "20", "parsing.keep": [r"code=(\d+)"], "parsing": {"masks": [["id", "x+"]]}, "memory.capacity": 7},
    )
    assert override(LogSettings(), as_tree(one)) == one
    assert one.parsing.masks == (("id", "x+"),)
    assert one.parsing.keep == (r"code=(\d+)",)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"nam": "x"}, r"no setting 'nam': did you mean 'name'\?"),
        ({"inner.widht": 8}, r"no setting 'inner.widht': did you mean 'width'\?"),
        ({"zzzzzz": 1}, r"no setting 'zzzzzz': there are: name, share"),
        ({"inner": 3}, r"'inner' is a group: set one of its fields, e\.g\. inner\.width"),
        ({"share": "much"}, r"share wants float, got 'much'"),
        ({"share": None}, r"share cannot be none: wanted float"),
        ({"exact": "maybe"}, r"exact wants bool, got 'maybe'"),
        ({"exact": 7}, r"exact wants bool, got 7"),
        ({"inner.width": 1.5}, r"inner\.width wants int, got 1\.5"),
        ({"inner.width": True}, r"inner\.width wants int, got True"),
        ({"inner.width": "inf"}, r"inner\.width wants int, got 'inf'"),
        ({"inner.width": "nan"}, r"inner\.width wants int, got 'nan'"),
        ({"inner.width": float("inf")}, r"inner\.width wants int, got inf"),
        ({"inner.width": 7}, r"inner.*: heads must divide the width"),
        ({"name": ["x"]}, r"name wants .*str.*, got \['x'\]"),
        ({"words": 3}, r"words wants .*, got 3"),
    ],
)
def test_a_wrong_setting_hears_what_is_wrong(changes: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        override(Outer(), changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"group_by": "(", "window": None},
        {"group_by": r"(\w+)", "window": "20"},
        {"window": "0"},
        {"window": "-5s"},
        {"window": "5 parsecs"},
        {"window": "0.0000001s"},
        {"window": "²"},
        {"alarm_rate": 0},
        {"alarm_rate": 1},
        {"alarm_rate": "nan"},
        {"calibration_share": 1.0},
        {"alarms_per_day": -1},
        {"alarms_per_day": 0},
        {"method": "magic"},
        {"memory.capacity": 0},
        {"memory.n_neighbors": 0},
        {"sessions.capacity": 0},
        {"sessions.margin": 0.0},
        {"sessions.order_weight": -1.0},
        {"sessions.max_open": 0},
        {"encoder.layers": 0},
        {"parsing.similarity": 2.0},
        {"reading.input": "yaml"},
        {"reading.timezone": "Mars/Olympus"},
    ],
    ids=str,
)
def test_log_settings_that_make_no_sense_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        override(LogSettings(), changes)


@given(st.floats(1e-3, 1e6), st.sampled_from([("ms", 1e3), ("s", 1e6), ("m", 6e7), ("min", 6e7), ("h", 3.6e9)]))
def test_durations_are_read_in_microseconds(number: float, unit: tuple[str, float]) -> None:
    if 1 <= number * unit[1] < 1e16:
        assert microseconds(f"{number:f}{unit[0]}") == pytest.approx(number * unit[1], rel=1e-2, abs=1)
        assert microseconds(f"{number:f} {unit[0]}") == microseconds(f"{number:f}{unit[0]}")


@pytest.mark.parametrize("duration", ["", "5", "s", "5x", "0s", "-1s", "1e12d", "inf s", "1d12h", "nan s"])
def test_what_is_no_duration_says_how_to_write_one(duration: str) -> None:
    with pytest.raises(SettingsError, match=r"60s, 5m or 1h|out of range"):
        microseconds(duration)


def test_windows_are_lines_or_time() -> None:
    assert window_size("20") == (20, False)
    assert window_size("60s") == (60_000_000, True)
    assert override(LogSettings(), {"window": 20}).window == "20"
