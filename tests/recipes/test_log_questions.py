"""What is asked, and what do answers that are late, partial, repeated or wrong change?"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from tests.reference.small_log import BEGIN, MODES, fitted, normal, odd_at, today

import jamais
from jamais.watcher import Watcher

COLUMNS = ["cause", "rows", "alarms", "settles", "belief", "answers", "row", "item", "why"]
FAILED = "ERROR disk: write failed on volume sdb, device vanished"


def odd(line: str, times: int, minute: int = 1) -> list[str]:
    return [odd_at(BEGIN + timedelta(hours=1, minutes=minute, seconds=7 * k), line) for k in range(times)]


def alarms(watcher: Watcher, lines: list[str]) -> pl.DataFrame:
    return watcher.score(lines).filter("abnormal")


def about(watcher: Watcher, lines: list[str], label: int) -> None:
    """Answer for the first alarm."""
    watcher.feedback(alarms(watcher, lines).head(1), [label])


@pytest.mark.parametrize("mode", MODES)
def test_repeats_of_one_cause_are_one_question(mode: str) -> None:
    watcher = fitted(mode)
    frame = watcher.score([*normal(60, seed=5), *odd(FAILED, 20)])
    asked = watcher.questions(frame)
    assert asked.columns[: len(COLUMNS)] == COLUMNS
    (row,) = asked.filter(pl.col("why").str.contains("sdb")).iter_rows(named=True)
    assert row["rows"] >= row["alarms"] > 0
    assert row["answers"] == 0
    assert 0.5 < row["belief"] < 1.0
    assert frame.filter(pl.col("row") == row["row"])["abnormal"].item()
    assert asked["settles"].is_sorted(descending=True)


def test_nothing_is_asked_of_a_quiet_day_or_of_no_rows() -> None:
    watcher = fitted()
    frame = watcher.score(normal(60, seed=5)).filter(~pl.col("abnormal"))
    assert watcher.questions(frame).is_empty()
    assert watcher.questions(frame.head(0)).columns[: len(COLUMNS)] == COLUMNS
    assert watcher.questions([]).is_empty()
    assert watcher.questions().is_empty()


def test_a_second_opinion_is_asked_for_what_comes_often_and_then_no_more() -> None:
    watcher = fitted()
    lines = odd(FAILED, 400)
    about(watcher, lines, 1)
    frame = watcher.score(lines)
    (again,) = watcher.questions(frame).iter_rows(named=True)
    assert again["answers"] == 1
    assert again["row"] != 0, "another row than the one that was answered for"
    assert watcher.questions(frame.head(10)).is_empty(), "what comes seldom is not worth a second question"
    watcher.feedback(frame.filter(pl.col("row") == again["row"]), [1])
    assert watcher.questions(watcher.score(lines)).is_empty()


def test_one_wrong_answer_is_overturned_by_two_right_ones() -> None:
    watcher = fitted()
    lines = odd(FAILED, 3)
    frame = alarms(watcher, lines)
    for place, label in enumerate((0, 1, 1)):
        watcher.feedback(frame[place], [label])
    assert watcher.score(lines)["abnormal"].all()
    assert "confirmed abnormal before (2 of 3 answers, like the incident of" in watcher.score(lines)["why"][0]


def test_the_same_answers_given_again_add_nothing() -> None:
    watcher = fitted()
    frame = alarms(watcher, odd(FAILED, 5))
    watcher.feedback(frame, [0] * 5)
    before = watcher.score(today())
    watcher.feedback(frame, [0] * 5)
    assert watcher.score(today()).equals(before)


def test_a_thousand_rows_of_one_cause_are_one_answer() -> None:
    one, many = fitted(), fitted()
    frame = alarms(one, odd(FAILED, 30))
    one.feedback(frame.head(1), [0])
    many.feedback(frame, [0] * 30)
    assert one.score(today()).equals(many.score(today()))


@pytest.mark.parametrize("mode", MODES)
def test_the_order_of_answers_given_at_once_does_not_matter(mode: str) -> None:
    lines = [*normal(60, seed=5), *odd(FAILED, 4), *odd("WARN auth: token of eve expired early", 4, minute=9)]
    forth, back = fitted(mode), fitted(mode)
    frame = alarms(forth, lines)
    labels = [index % 2 for index in range(len(frame))]
    forth.feedback(frame, labels)
    back.feedback(frame.reverse(), labels[::-1])
    assert forth.score(lines).equals(back.score(lines))


@pytest.mark.parametrize("mode", MODES)
def test_truth_for_every_row_leaves_normal_life_alone(mode: str) -> None:
    watcher = fitted(mode)
    lines = [*normal(120, seed=5), *odd(FAILED, 6)]
    frame = watcher.score(lines)
    # In windows of time silence may be louder than the failure that is in them, too.
    truth = (frame["why"].str.contains("sdb") | (frame["suspects"] != "")).cast(pl.Int64)
    watcher.feedback(frame, truth.to_list())
    after = watcher.score(lines)
    assert after.filter(truth.cast(pl.Boolean))["abnormal"].all()
    assert not after.filter(~truth.cast(pl.Boolean))["abnormal"].any()


def test_alarm_records_of_hours_ago_need_nothing_else(tmp_path: Any) -> None:
    watcher = fitted("window of lines")
    lines = [*normal(60, seed=5), *odd(FAILED, 4)]
    records = [json.loads(line) for line in alarms(watcher, lines).write_ndjson().splitlines()]
    watcher.save(tmp_path / "kept")
    later = jamais.load(tmp_path / "kept")
    assert len(later.questions(records)) == len(watcher.questions(watcher.score(lines)))
    later.feedback(records, [0] * len(records))
    assert not alarms(later, lines)["why"].str.contains("sdb").any()


@pytest.mark.parametrize("mode", MODES)
def test_alarms_and_p_values_agree_after_answers(mode: str) -> None:
    watcher = fitted(mode)
    lines = [*normal(60, seed=5), *odd(FAILED, 4), *odd("INFO web: greeted the moon", 4, minute=9)]
    frame = alarms(watcher, lines)
    watcher.feedback(frame, [index % 2 for index in range(len(frame))])
    after = watcher.score(lines)
    assert (after["abnormal"] == (after["p_value"] <= watcher.alarm_rate)).all()
    order = after.sort("score")["p_value"]
    assert order.is_sorted(descending=True)


def test_answers_are_saved_and_taken_back_to_the_bit(tmp_path: Any) -> None:
    watcher = fitted()
    lines = [*odd(FAILED, 4), *today()]
    begin = watcher.score(lines)
    watcher.save(tmp_path / "kept")
    about(watcher, lines, 0)
    told = watcher.score(lines)
    watcher.save()
    assert jamais.load(tmp_path / "kept").score(lines).equals(told)
    watcher.rollback(1)
    assert watcher.score(lines).equals(begin)


def test_what_waits_is_asked_about_most_frequent_first() -> None:
    watcher = fitted()
    watcher.learn([*normal(60, seed=5), *odd(FAILED, 3)], trust="unknown")
    watcher.learn([*normal(60, seed=6), *odd("INFO web: greeted the moon", 9, minute=9)], trust="unknown")
    asked = watcher.questions()
    assert asked["rows"].to_list() == [9, 3]
    assert asked["row"].null_count() == 2
    assert "greeted the moon" in asked["why"][0]
    watcher.feedback(asked, [0, 1])
    assert watcher.questions().is_empty()


def test_an_answer_about_one_shape_of_session_is_not_about_another() -> None:
    watcher = fitted("sessions")
    watcher.set_alarm_rate(0.3)

    def session(name: str, *texts: str) -> list[str]:
        times = [BEGIN + timedelta(hours=1, seconds=k) for k in range(len(texts))]
        return [odd_at(time, f"INFO web: req {name} {text}") for time, text in zip(times, texts, strict=True)]

    one = session("r80001", "climbed the fence", "went home")
    other = session("r80002", "climbed the fence", "took the silver")
    watcher.feedback(alarms(watcher, one), [0])
    assert alarms(watcher, one).is_empty()
    assert alarms(watcher, other).height == 1, "it has the cause of the other one, and another shape"


def test_an_answer_that_names_a_cause_is_about_all_sessions_with_it() -> None:
    watcher = fitted("sessions")
    watcher.set_alarm_rate(0.3)
    lines = odd("INFO web: req r80001 climbed the fence", 1)
    (cause,) = alarms(watcher, lines)["cause"].to_list()
    watcher.feedback(lines, {cause: 0})
    assert alarms(watcher, lines).is_empty()
