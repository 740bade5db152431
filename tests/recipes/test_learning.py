"""What does a log watcher take in, and what does it refuse to forget?"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.reference import small_log
from tests.reference.small_log import BEGIN, MODES, ODD, fitted, normal, odd_at, said, text, today

import jamais
from jamais.errors import InputError, RefusedUpdateError
from jamais.recipes.logs import LogRecipe
from jamais.watcher import Watcher

UNSEEN = "write failed on volume sdb, device vanished"


def recipe_of(watcher: Watcher) -> LogRecipe:
    recipe = watcher.recipe
    assert isinstance(recipe, LogRecipe)
    return recipe


def alarms(watcher: Watcher, lines: list[str] | None = None) -> pl.DataFrame:
    return watcher.score(lines or today()).filter("abnormal")


def quiet() -> list[str]:
    """Give lines with a hole of half a minute."""
    begin = BEGIN + timedelta(hours=2)
    return text([one for one in said(100, 3, begin) if not 40 < (one.time - begin).total_seconds() < 70])


def item_of(watcher: Watcher) -> str:
    (item,) = alarms(watcher).filter(pl.col("template").str.contains("sdb"))["item"]
    return str(item)


# --- trusted


@pytest.mark.parametrize("mode", MODES)
def test_what_a_person_vouches_for_is_known_from_then_on(mode: str) -> None:
    watcher = fitted(mode)
    before = alarms(watcher)["score"].max()
    assert UNSEEN in alarms(watcher)["why"].str.join("").item()
    known = [*normal(100, seed=7), *[odd_at(BEGIN + timedelta(minutes=5, seconds=5 * k)) for k in range(12)]]
    watcher.learn(known)
    frame = watcher.score(today())
    assert not frame["why"].str.contains("never seen").any()
    assert frame.filter(pl.col("template").str.contains("sdb"))["score"].max() < before - 2  # type: ignore[operator]


def test_learning_counts_rows_of_both_parts() -> None:
    watcher = fitted()
    recipe = recipe_of(watcher)
    n, units, rows = len(normal()), recipe.unit.rarity.units, recipe.calibration.n_rows
    assert units == n
    report = watcher.learn(normal(100, seed=7))
    assert report.records == len(normal(100, seed=7))
    assert report.accepted
    now = recipe_of(watcher)
    assert now.unit.rarity.units == n + report.records
    assert now.calibration.n_rows == rows + report.records
    assert now.facts.records == n + report.records
    assert recipe.unit.rarity.units == n, "the recipe that others may hold was changed"


@pytest.mark.parametrize("mode", MODES)
def test_fitting_and_learning_in_two_steps_knows_the_templates_of_one(mode: str) -> None:
    lines = text(said(400, 1))
    half = len(lines) // 2
    settings = {**small_log.TINY, **MODES[mode]}
    whole = jamais.fit(lines, kind="logs", settings=settings)
    parts = jamais.fit(lines[:half], kind="logs", settings=settings)
    parts.learn(lines[half:])
    one, two = recipe_of(whole), recipe_of(parts)
    assert dict(zip(one.parser.texts, one.unit.rarity.counts, strict=True)) == pytest.approx(
        dict(zip(two.parser.texts, two.unit.rarity.counts, strict=True)), abs=0 if mode == "lines" else 3
    )
    assert two.facts.records == one.facts.records
    assert set(alarms(parts)["item"]) <= set(whole.score(today())["item"])
    assert alarms(parts).height


def test_learning_an_empty_file_is_no_update(tmp_path: Any) -> None:
    (tmp_path / "empty.log").write_bytes(b"")
    watcher = fitted()
    verdicts = watcher.score(today())
    assert watcher.learn(tmp_path / "empty.log").records == 0
    assert watcher.learn(tmp_path / "empty.log", trust="unknown").records == 0
    assert watcher.score(today()).equals(verdicts)


@pytest.mark.parametrize("mode", MODES)
def test_confirmed_abnormal_items_are_never_learned_unseen(mode: str) -> None:
    watcher = fitted(mode)
    watcher.feedback(alarms(watcher).filter(pl.col("template").str.contains("sdb")), [1])
    verdicts = watcher.score(today())
    with pytest.raises(RefusedUpdateError, match="confirmed abnormal"):
        watcher.learn([*normal(100, seed=7), odd_at(BEGIN)])
    assert watcher.score(today()).equals(verdicts)


def test_a_normal_log_of_the_same_kind_is_accepted_again_and_again() -> None:
    watcher = fitted("sessions")
    for seed in range(20, 26):
        watcher.learn(normal(100, seed=seed))
    assert watcher.score(normal(200, seed=50))["abnormal"].mean() < 0.02  # type: ignore[operator]


def test_an_update_that_would_make_normal_life_alarm_is_refused() -> None:
    # Ten thousand of another kind of line make 3 % of what was normal before as rare as an alarm.
    watcher = fitted()
    flood = [f"{BEGIN:%Y-%m-%d %H:%M:%S}.000 INFO web: pinged by probe {k}" for k in range(200_000)]
    with pytest.raises(RefusedUpdateError, match="normal items that would now alarm") as caught:
        watcher.learn(flood)
    report: Any = caught.value.report
    broken = {check.setting: check for check in report.checks if not check.passed}
    assert set(broken) == {"normals_changed"}
    assert broken["normals_changed"].value > broken["normals_changed"].limit
    assert "BROKEN" in str(report)


# --- unknown


@pytest.mark.parametrize("mode", MODES)
def test_novel_rows_wait_in_quarantine_however_often_they_come(mode: str) -> None:
    watcher = fitted(mode)
    before = item_of(watcher)
    for _ in range(6):
        report = watcher.learn(today(odd=(ODD,) * 10), trust="unknown")
        assert report.counts["items in quarantine"] == 1
        assert report.counts["records held back"] >= 10
    recipe = recipe_of(watcher)
    assert recipe.quarantine.items[before].count == 60
    assert UNSEEN not in recipe.parser.texts
    assert item_of(watcher) == before
    assert UNSEEN in alarms(watcher)["why"].str.join("").item()


def test_rows_that_look_normal_refresh_counts_and_dates() -> None:
    watcher = fitted()
    old = recipe_of(watcher)
    lines = today(80)
    report = watcher.learn(lines, trust="unknown")
    new = recipe_of(watcher)
    learned = report.counts["records that looked normal and were learned"]
    assert learned == len(lines) - 1
    assert new.unit.rarity.units == old.unit.rarity.units + learned
    assert new.facts.last_time > old.facts.last_time
    assert new.parser.ids == old.parser.ids
    assert len(new.meaning.memory) == len(old.meaning.memory)


@pytest.mark.parametrize("mode", ["window of lines", "window of time"])
def test_windows_that_were_held_back_teach_nothing_not_even_silence(mode: str) -> None:
    watcher = fitted(mode)
    odd = []
    for line in said(100, 2, BEGIN + timedelta(hours=1)):
        odd += [str(line), odd_at(line.time)] if len(odd) % 60 < 30 else [str(line)]
    watcher.learn(odd, trust="unknown")
    quiet = [
        one for one in said(100, 3, BEGIN + timedelta(hours=2)) if not 40 < one.time.minute * 60 + one.time.second < 70
    ]
    silent = watcher.score(text(quiet))
    if mode == "window of time":
        assert silent["abnormal"].any(), "held back windows were learned as empty ones"
    recipe, before = recipe_of(watcher), recipe_of(fitted(mode))
    assert recipe.calibration.values.max() < before.calibration.values.max() + 3


def test_trusted_data_and_answers_release_from_quarantine() -> None:
    for release in ("learn", "normal", "abnormal"):
        watcher = fitted()
        watcher.learn(today(), trust="unknown")
        assert list(recipe_of(watcher).quarantine.items) == [item_of(watcher)]
        if release == "learn":
            watcher.learn(today())
        else:
            watcher.feedback(alarms(watcher), [int(release == "abnormal")])
        assert not recipe_of(watcher).quarantine.items
        watcher.learn(today(), trust="unknown")
        assert not recipe_of(watcher).quarantine.items, "what a person has answered for does not wait again"


# --- answers of people


@pytest.mark.parametrize("key", ["row", "item", "cause", "frame", "records", "data"])
def test_answers_are_taken_by_any_key(key: str) -> None:
    for answer in (0, 1):
        watcher = fitted()
        found = alarms(watcher)
        data: Any = found
        labels: Any = [answer]
        if key in ("row", "item", "cause"):
            labels = {found[key][0]: answer}
        elif key == "records":
            data = found.to_dicts()
        elif key == "data":
            data, labels = today(), {found["item"][0]: answer}
        report = watcher.feedback(data, labels)
        assert report.counts["confirmed abnormal" if answer else "confirmed normal"] == 1
        (row,) = watcher.score(today()).filter(pl.col("item") == found["item"][0]).iter_rows(named=True)
        assert row["abnormal"] == bool(answer)
        assert ("confirmed abnormal before" in row["why"]) == bool(answer)


def test_an_answer_by_group_is_about_what_was_odd_in_it() -> None:
    watcher = fitted("sessions")
    watcher.set_alarm_rate(0.3)
    lines = [*today(), odd_at(BEGIN + timedelta(hours=1, minutes=1), "INFO web: req r77777 tried the back door")]
    ours = pl.col("group") == "r77777"
    assert "never seen: req r<*> tried the back door" in alarms(watcher, lines).filter(ours)["why"].item()
    watcher.feedback(lines, {"r77777": 0})
    assert not alarms(watcher, lines)["why"].str.contains("never seen: req r<*> tried", literal=True).any()


def test_not_answered_is_no_answer() -> None:
    watcher = fitted()
    frame = watcher.score(today())
    assert watcher.feedback(frame, [None] * len(frame)).records == 0
    assert watcher.score(today()).equals(frame)


def test_the_last_answer_holds() -> None:
    watcher = fitted()
    found = alarms(watcher)
    for answer in (1, 0, 1, 0):
        watcher.feedback(found, [answer])
        assert alarms(watcher).height == answer


def test_wrong_answers_are_told() -> None:
    watcher = fitted()
    found = alarms(watcher)
    with pytest.raises(InputError, match="1 rows to answer for, got 2"):
        watcher.feedback(found, [1, 0])
    with pytest.raises(InputError, match=r"0 .normal., 1 .abnormal. or None, got 2"):
        watcher.feedback(found, [2])
    with pytest.raises(InputError, match="no label names"):
        watcher.feedback(found, {"nobody": 1})


def test_an_answer_survives_a_save(tmp_path: Any) -> None:
    watcher = fitted()
    watcher.feedback(alarms(watcher), [1])
    watcher.save(tmp_path / "kept")
    again = jamais.load(tmp_path / "kept")
    assert again.score(today()).equals(watcher.score(today()))
    with pytest.raises(RefusedUpdateError):
        again.learn(today())


def test_calling_a_silence_abnormal_does_not_make_the_last_line_before_it_abnormal() -> None:
    watcher = fitted("window of time")
    quiet = [
        one for one in said(100, 3, BEGIN + timedelta(hours=2)) if not 40 < one.time.minute * 60 + one.time.second < 70
    ]
    found = alarms(watcher, text(quiet))
    assert found.height
    before = watcher.score(normal(100, seed=8))["abnormal"].sum()
    watcher.feedback(found, [1] * len(found))
    assert watcher.score(normal(100, seed=8))["abnormal"].sum() == before


def test_calling_a_session_too_long_does_not_make_its_lines_abnormal() -> None:
    watcher = fitted("sessions")
    stuck = [
        f"{BEGIN + timedelta(milliseconds=k):%Y-%m-%d %H:%M:%S.%f} DEBUG db: req r9 query returned 7 rows"
        for k in range(300)
    ]
    found = alarms(watcher, stuck)
    assert "records, normally" in found["why"].item()
    before = watcher.score(normal(100, seed=8))["abnormal"].sum()
    watcher.feedback(found, [1])
    assert watcher.score(normal(100, seed=8))["abnormal"].sum() == before


def test_what_was_called_abnormal_alarms_even_after_its_template_opened_up() -> None:
    watcher = fitted()
    line = "WARN auth: login refused for mallory today"
    mallory = odd_at(BEGIN + timedelta(hours=1), line)
    watcher.feedback(watcher.score([mallory]), [1])
    names = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi"]
    others = [odd_at(BEGIN, line.replace("mallory", name)) for name in names * 3]
    try:
        watcher.learn([*normal(100, seed=7), *others])
    except RefusedUpdateError:
        return
    (row,) = watcher.score([mallory]).iter_rows(named=True)
    assert row["abnormal"]


def test_the_length_of_a_log_does_not_matter_to_how_it_is_learned() -> None:
    # Columns are mapped from disk: the same bits whatever chunks they came in.
    lines = normal(60, seed=3)
    assert np.array_equal(
        recipe_of(fitted()).learned(lines)[0].unit.rarity.counts,
        recipe_of(fitted()).learned(iter(lines))[0].unit.rarity.counts,
    )
