"""What do answers, updates and questions change in a watcher of a series, and what must they leave alone?"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.reference.small_series import normal, shifted, watcher

import jamais
from jamais.errors import InputError, RefusedUpdateError
from jamais.recipes.series import segments
from jamais.testing.bits import digest

UP = shifted(normal(300, 1, 400), 100, 130)
"""One anomaly, in the second channel."""


def records(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Give alarms as they stand in a file."""
    alarms = frame.filter("abnormal").to_dicts()
    read: list[dict[str, Any]] = json.loads(json.dumps([{**one, "time": None} for one in alarms], allow_nan=False))
    return read


def the_anomaly(frame: pl.DataFrame) -> dict[str, Any]:
    return segments(frame).filter((pl.col("start") >= 99) & (pl.col("start") <= 115)).row(0, named=True)


def test_a_segment_has_one_cause_and_tells_where_it_lies() -> None:
    frame = watcher().score(UP)
    found = the_anomaly(frame)
    assert 100 <= found["start"] <= 103
    assert 129 <= found["end"] <= 147  # the longest window is 16 rows
    assert found["channels"][0] == "channel 1"
    assert found["shares"][0] > 0.5
    assert sum(found["shares"]) == pytest.approx(1.0)
    inside = frame.filter(pl.col("abnormal") & (pl.col("segment_start") == found["start"]))
    assert inside["cause"].n_unique() == 1
    assert found["alarms"] == len(inside)
    assert inside["segment_rows"].to_list() == (inside["row"] - found["start"] + 1).to_list()
    assert found["cause"] in frame["item"].to_list()


def test_only_some_alarms_carry_their_window() -> None:
    inside = records(watcher().score(UP))
    windows = [one["window"] is not None for one in inside if one["segment_start"] == inside[-1]["segment_start"]]
    assert windows[0]
    assert 1 < sum(windows) <= 24
    assert sum(windows) < len(windows)


def test_from_the_first_normal_on_it_alarms_no_more_and_the_reason_is_told() -> None:
    known = watcher()
    before = known.score(UP)
    cause = the_anomaly(before)["cause"]
    report = known.feedback(records(before), {cause: 0})
    assert report.counts["causes with an answer"] == 1
    after = known.score(UP)
    rows = before.filter(pl.col("abnormal") & (pl.col("cause") == cause))["row"].to_list()
    again = after.filter(pl.col("row").is_in(rows))
    assert not again["abnormal"].any()
    assert again["why"].str.starts_with("like what was answered normal on").all()
    assert again["cause"].unique().to_list() == [cause]
    # Another anomaly alarms as before.
    other = shifted(normal(300, 1, 400), 200, 230, channel=2, by=-4)
    assert known.score(other)["abnormal"][200:230].any()


def test_an_incident_that_is_confirmed_is_named_when_it_comes_again() -> None:
    known = watcher()
    cause = the_anomaly(known.score(UP))["cause"]
    known.feedback(records(known.score(UP)), {cause: 1})
    again = the_anomaly(known.score(UP))
    assert again["cause"] == cause
    assert "confirmed abnormal (cause " + cause in again["why"]


def test_an_answer_can_be_taken_back() -> None:
    known = watcher()
    told = records(known.score(UP))
    cause = the_anomaly(known.score(UP))["cause"]
    known.feedback(told, {cause: 0})
    known.feedback(told, {cause: 1})
    known.feedback(told, {cause: 1})
    assert known.score(UP)["abnormal"][105:130].all()


def test_answers_survive_a_save(tmp_path: Any) -> None:
    known = watcher()
    cause = the_anomaly(known.score(UP))["cause"]
    known.feedback(records(known.score(UP)), {cause: 0})
    known.save(tmp_path / "kept")
    loaded = jamais.load(tmp_path / "kept")
    assert digest(loaded.recipe.state_dict()) == digest(known.recipe.state_dict())
    assert loaded.score(UP).equals(known.score(UP), null_equal=True)


def test_rows_may_be_answered_for_with_the_data_itself() -> None:
    known, other = watcher(), watcher()
    frame = known.score(UP)
    rows = frame.filter("abnormal")["row"].to_list()
    known.feedback(UP, dict.fromkeys(rows, 0))
    other.feedback(UP, [0 if row in rows else None for row in range(len(UP))])
    for one in (known, other):
        assert not one.score(UP)["abnormal"].any()


def test_a_wrong_answer_is_told() -> None:
    known = watcher()
    before = digest(known.recipe.state_dict())
    told = records(known.score(UP))
    with pytest.raises(InputError, match="no label names"):
        known.feedback(told, {"unheard of": 0})
    with pytest.raises(InputError, match="0 \\(normal\\), 1 \\(abnormal\\)"):
        known.feedback(told, {told[0]["cause"]: 2})
    with pytest.raises(InputError, match="labels"):
        known.feedback(UP, [0])
    without = [{**one, "window": None} for one in told]
    with pytest.raises(InputError, match="window"):
        known.feedback(without, [0] * len(without))
    assert digest(known.recipe.state_dict()) == before


def test_questions_ask_for_the_largest_cause_first_and_no_more_when_it_is_settled() -> None:
    known = watcher()
    frame = known.score(UP)
    asked = known.questions(frame)
    cause = the_anomaly(frame)["cause"]
    assert asked["cause"][0] == cause
    for _ in range(2):
        known.feedback(records(frame), {cause: 0})
    assert cause not in known.questions(frame)["cause"].to_list()


def test_what_nobody_vouches_for_waits_and_being_seen_often_releases_nothing() -> None:
    known = watcher()
    banks = digest(known.recipe.banks.state_dict())
    for _ in range(4):
        known.learn(UP, trust="unknown")
    assert digest(known.recipe.banks.state_dict()) == banks
    assert known.score(UP)["abnormal"][105:130].all()
    waiting = known.questions()
    cause = the_anomaly(known.score(UP))["cause"]
    assert cause in waiting["cause"].to_list()
    # It may be answered for with nothing but its name.
    known.feedback([{"item": cause, "cause": cause, "abnormal": True, "window": None}], [0])
    assert cause not in known.recipe.waiting.groups
    assert not known.score(UP)["abnormal"][100]


def test_what_somebody_vouches_for_alarms_no_more_and_leaves_quarantine() -> None:
    known = watcher(800)
    # A window is compared with its three nearest ones: what came once may be an incident that nobody noticed.
    often = np.concatenate([shifted(normal(120, at, 800), 60, 80) for at in range(1, 9)])
    known.learn(often, trust="unknown")
    assert len(known.recipe.waiting) > 0
    before = known.score(often)["abnormal"].sum()
    known.learn(often, trust="normal")
    assert known.score(often)["abnormal"].sum() < before / 4
    assert len(known.recipe.waiting) == 0
    assert known.recipe.facts.rows == 1760


def test_data_with_a_confirmed_incident_is_refused() -> None:
    known = watcher()
    cause = the_anomaly(known.score(UP))["cause"]
    known.feedback(records(known.score(UP)), {cause: 1})
    before = digest(known.recipe.state_dict())
    with pytest.raises(RefusedUpdateError, match="confirmed abnormal"):
        known.learn(UP)
    assert digest(known.recipe.state_dict()) == before


def test_normal_that_moved_is_noticed_and_said_by_channel() -> None:
    known = watcher(800)
    calm = known.drift(known.score(normal(800, 5, 800)))
    moved = known.drift(known.score(shifted(normal(1600, 5, 800), 400, 1600, channel=2, by=1.5)))
    assert not calm.drifted
    assert moved.drifted
    assert 350 <= (moved.since or 0) <= 480
    assert "channel 2" in moved.changes[0]
    with pytest.raises(InputError, match="all rows"):
        known.drift(known.score(UP)[::2])


def test_causes_are_bounded() -> None:
    known = watcher(**{"answers.causes": 2})
    for at, channel in enumerate((0, 1, 2)):
        rows = shifted(normal(300, 1, 400), 100, 130, channel=channel, by=4.0)
        frame = known.score(rows)
        known.feedback(records(frame), [at % 2] * int(frame["abnormal"].sum()))
    assert len(known.recipe.answers) <= 2


def test_the_memory_can_be_drawn() -> None:
    known = watcher()
    known.learn(UP, trust="unknown")
    rows = known.recipe.map_rows()
    assert set(rows.kinds) == {"normal", "waiting"}
    assert rows.rows.shape == (len(rows.kinds), known.recipe.width)
    assert np.isfinite(rows.rows).all()


def test_a_normal_answer_covers_a_long_anomaly_from_its_first_row_to_its_last() -> None:
    """Windows that go with the alarms must not all be of its beginning."""
    known = watcher(800)
    rows = normal(400, 1, 800)
    rows[150:260, 1] += np.linspace(4.0, 9.0, 110)
    frame = known.score(rows)
    alarms = frame.filter(pl.col("abnormal") & pl.col("row").is_between(150, 300))
    (cause,) = alarms["cause"].unique().to_list()
    assert len(alarms) > 60
    known.feedback(alarms, {cause: 0})
    left = known.score(rows).filter(pl.col("abnormal") & pl.col("row").is_between(150, 300))
    assert len(left) <= 0.05 * len(alarms)
    other = rows.copy()
    other[200:210, 0] += 9.0  # something else meanwhile is not covered
    assert known.score(other).filter(pl.col("abnormal") & pl.col("row").is_between(200, 210)).height >= 3
