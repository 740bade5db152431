"""Does a watcher of a series read, say and judge what it should, and refuse what it cannot use?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.reference.small_series import TINY, listed, normal, shifted, today, watcher

import jamais
from jamais.errors import Cancelled, InputError, SettingsError, StateError
from jamais.recipes.series import SeriesRecipe, SeriesSettings, segments
from jamais.testing.bits import digest
from jamais.types import CancelToken, Event

COLUMNS = {
    "row": pl.Int64,
    "time": pl.Datetime("us", "UTC"),
    "score": pl.Float64,
    "p_value": pl.Float64,
    "p_extrapolated": pl.Boolean,
    "abnormal": pl.Boolean,
    "why": pl.String,
    "item": pl.String,
    "cause": pl.String,
    "channels": pl.List(pl.String),
    "shares": pl.List(pl.Float64),
    "nearest": pl.Int64,
    "segment_start": pl.Int64,
    "segment_rows": pl.Int64,
    "segment_seconds": pl.Float64,
    "window": pl.List(pl.Float64),
}


def table(values: np.ndarray, at: int = 0) -> pl.DataFrame:
    """Give rows as a table, one a minute from minute `at` on."""
    times = pl.Series("time", (np.arange(len(values)) + at) * 60_000_000).cast(pl.Datetime("us", "UTC"))
    return pl.DataFrame({"time": times, **{f"m{one}": values[:, one] for one in range(values.shape[1])}})


def test_verdicts_have_the_columns_of_the_contract_whatever_alarms() -> None:
    known = watcher()
    for rows in (today(), normal(20, 1, 440), normal(0)):
        assert dict(known.score(rows).schema) == COLUMNS
    assert dict(known.stream().push([]).schema) == COLUMNS


def test_only_what_alarms_has_channels_a_segment_and_a_reason() -> None:
    frame = watcher().score(today())
    alarms, calm = frame.filter("abnormal"), frame.filter(~pl.col("abnormal"))
    for name in ("channels", "shares", "nearest", "segment_start", "segment_rows"):
        assert alarms[name].null_count() == 0
        assert calm[name].null_count() == len(calm)
    assert alarms["why"].str.contains("nearest is rows").all()
    assert set(calm["why"].unique()) <= {"", "no values"}
    assert (frame["abnormal"] == (frame["p_value"] <= 0.005)).all()


def test_times_give_start_end_and_duration_of_a_segment() -> None:
    known = watcher(data=table(normal(400)))
    found = segments(known.score(table(shifted(normal(120, 1, 400), 60, 75), at=400)))
    (one,) = found.filter(pl.col("start") >= 50).to_dicts()
    assert one["seconds"] == 60.0 * (one["end"] - one["start"])
    assert (one["end_time"] - one["start_time"]).total_seconds() == one["seconds"]
    assert one["start_time"].timestamp() == 60.0 * (400 + one["start"])


def test_segments_of_nothing_are_none_and_of_something_else_an_error() -> None:
    assert len(segments(watcher().score(normal(20, 1, 440)).filter("abnormal").clear())) == 0
    with pytest.raises(InputError, match="verdicts of a series"):
        segments(pl.DataFrame({"a": [1]}))


def test_the_alarm_rate_is_told_in_alarms_a_day_at_the_pace_of_the_data() -> None:
    known = watcher(data=table(normal(2880)))
    assert known.recipe.rate_for(7.2) == pytest.approx(0.005, rel=1e-3)
    assert "about 7.2 rows of false alarm a day" in known.recipe.meaning_of_rate()
    daily = jamais.fit(table(normal(2880)), kind="series", settings={**TINY, "alarms_per_day": 3})
    assert daily.alarm_rate == pytest.approx(3 / 1440, rel=1e-3)
    with pytest.raises(InputError, match="no times"):
        watcher().recipe.rate_for(3)


def test_a_calm_series_alarms_about_as_often_as_asked() -> None:
    known = watcher(4000)
    share = known.score(normal(4000, 9, 4000))["abnormal"].mean()
    assert isinstance(share, float)
    assert share < 0.02


def test_a_channel_that_never_moved_is_told_and_its_first_move_alarms() -> None:
    still = np.concatenate([normal(600), np.full((600, 1), 7.0)], axis=1)
    known = watcher(data=still)
    assert any("never changed" in said and "channel 3" in said for said in known.recipe.said)
    later = np.concatenate([normal(100, 1, 600), np.full((100, 1), 7.0)], axis=1)
    later[60:80, 3] = 9.0
    found = segments(known.score(later)).filter(pl.col("start") >= 50)
    assert found["channels"][0][0] == "channel 3"


def test_one_channel_alone_is_a_series() -> None:
    one = normal(800)[:, 0]
    known = jamais.fit(one, kind="series", settings=TINY)
    rows = normal(100, 1, 800)[:, 0].copy()
    rows[60:80] += 4
    assert known.score(rows)["abnormal"][60:80].any()
    assert known.recipe.channels == ("channel 0",)


def test_gaps_and_missing_values_are_counted_and_said() -> None:
    values = normal(500)
    values[::9, 1] = np.nan
    rows = table(values)
    rows = pl.concat([rows[:200], rows[260:]])
    known = watcher(data=rows)
    assert known.recipe.facts.empty == 60
    assert any("60 empty rows" in said for said in known.recipe.said)
    assert any("values are missing" in said for said in known.recipe.said)


def test_a_channel_that_is_gone_is_missing_and_a_new_one_is_told() -> None:
    known = watcher(data=table(normal(500)))
    later = table(normal(60, 1, 500), 500)
    reader = known.recipe.batches(later.with_columns(other=pl.lit(1.0)))
    assert [block.values.shape[1] for block in reader] == [3]
    assert any("other" in said for said in reader.said)
    without = known.score(later.drop("m1"))
    assert np.isfinite(without["score"].to_numpy()).all()


def test_data_beyond_what_is_held_is_learned_piece_by_piece() -> None:
    values = np.concatenate([normal(34_000)] * 1)
    known = jamais.fit(values, kind="series", settings={**TINY, "fit_values": 100_000, "reading.block_rows": 1000})
    assert known.recipe.banks.n_rows == 34_000
    assert known.recipe.facts.rows == 34_000
    assert any("first 34,000 rows" in said for said in known.recipe.said) is False
    small = jamais.fit(values[:33_900], kind="series", settings={**TINY, "fit_values": 100_000})
    assert small.recipe.banks.n_rows == 33_900


def test_explaining_says_banks_channels_and_what_is_nearest() -> None:
    known, rows = watcher(), today()
    told = known.explain(rows)
    frame = known.score(rows)
    assert [one["row"] for one in told] == frame["row"].to_list()
    assert [one["score"] for one in told] == frame["score"].to_list()
    assert [one["cause"] for one in told] == frame["cause"].to_list()
    assert set(told[70]["banks"]) == set(known.recipe.banks.names)
    assert told[70]["channels"][0]["channel"] == "channel 1"
    assert len(told[70]["channels"]) == 3
    json.dumps(told, allow_nan=False)


def test_saved_and_loaded_it_is_the_same_to_the_bit(tmp_path: Path) -> None:
    known = watcher()
    known.save(tmp_path / "kept")
    loaded = jamais.load(tmp_path / "kept")
    assert digest(loaded.recipe.state_dict()) == digest(known.recipe.state_dict())
    assert loaded.score(today()).equals(known.score(today()), null_equal=True)
    assert loaded.settings == known.settings


def test_parts_of_other_channels_do_not_go_together(tmp_path: Path) -> None:
    tree = watcher().recipe.state_dict()
    tree["banks"] = watcher(data=normal(400)[:, :2]).recipe.state_dict()["banks"]
    with pytest.raises(StateError):
        SeriesRecipe.from_state(tree)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (normal(40), "at least 100"),
        (np.full((300, 2), np.nan), "at least 100"),
        (normal(0), "at least 100"),
    ],
)
def test_too_little_to_fit_on_is_told(data: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        jamais.fit(data, kind="series")


@pytest.mark.parametrize(
    "settings", [{"alarm_rate": 0}, {"alarms_per_day": 0}, {"fit_values": 5}, {"segments.calm": -1}, {"nothing": 1}]
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        jamais.fit(normal(200), kind="series", settings=settings)


def test_settings_are_as_they_come_and_frozen() -> None:
    assert SeriesSettings().hindsight is False
    with pytest.raises(AttributeError):
        SeriesSettings().alarm_rate = 1  # type: ignore[misc]


def test_learning_can_be_cancelled_and_leaves_nothing() -> None:
    known, token = watcher(), CancelToken()
    before = digest(known.recipe.state_dict())

    def stop(event: Event) -> None:
        token.cancel()

    with pytest.raises(Cancelled):
        known.learn(normal(300, 1, 400), on_event=stop, cancel=token)
    assert digest(known.recipe.state_dict()) == before


def test_rows_as_text_are_refused() -> None:
    with pytest.raises(InputError):
        watcher().stream().push(["a,b,c", "not a number,1,2"])


def test_lists_with_none_are_rows_with_missing_values() -> None:
    known = watcher()
    assert known.score(listed(today())).equals(known.score(today()), null_equal=True)
