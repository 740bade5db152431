"""Are alarms told apart by cause, and are answers about them evidence that later answers can overturn?"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference.blobs import WIDTH, blob, fitted, ordinary, scattered, tight, watcher

import jamais
from jamais.errors import CorruptStateError, InputError
from jamais.learning.answers.answers import MOST, Answers
from jamais.learning.answers.leaders import Leaders
from jamais.learning.answers.settings import AnswerSettings
from jamais.learning.answers.waiting import Waiting
from jamais.testing.bits import digest

INCIDENT = tight(5, 30, 2)


def state(one: Any) -> str:
    return digest(one.recipe.state_dict())


def alarms(one: Any, rows: np.ndarray = INCIDENT) -> pl.DataFrame:
    return one.score(rows).filter("abnormal")


def answer(one: Any, label: int, rows: np.ndarray = INCIDENT, records: pl.DataFrame | None = None) -> Any:
    asked = alarms(one, rows) if records is None else records
    return one.feedback(asked, [label] * len(asked))


# Causes


def slowly(rows: np.ndarray, names: Sequence[str], reach: float, capacity: int) -> list[str]:
    """Tell causes apart as one would by hand."""
    founders: list[tuple[str, np.ndarray]] = []
    told = []
    for row, name in zip(rows, names, strict=True):
        near = [cause for cause, one in founders if np.sqrt(((row.astype(float) - one) ** 2).sum()) <= reach]
        if not near and len(founders) < capacity:
            founders.append((name, row))
        told.append(near[0] if near else name)
    return told


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=40),
    st.integers(0, 6),
    st.integers(1, 8),
    st.integers(1, 9),
)
def test_causes_are_those_told_apart_by_hand_however_the_rows_come(
    points: list[tuple[int, int]], reach: int, capacity: int, size: int
) -> None:
    rows = np.array(points, dtype=np.float32).reshape(-1, 2)
    names = [str(at) for at in range(len(rows))]
    leaders, told = Leaders(2, reach, capacity), list[str]()
    for start in range(0, len(rows), size):
        told += leaders.joined(rows[start : start + size], names[start : start + size])
        again = Leaders(2, reach, capacity)
        again.load_state_dict(json.loads(json.dumps(leaders.state_dict())))
        leaders = again
    assert told == slowly(rows, names, reach, capacity)
    if len(leaders) < capacity:  # else some rows found no room
        assert [leaders.names[place] for place in leaders.found(rows).tolist()] == told


def test_founders_that_do_not_fit_their_names_are_refused() -> None:
    with pytest.raises(CorruptStateError):
        Leaders(2, 1.0, 5).load_state_dict({"rows": [[0, 0]], "names": []})


# Evidence


def test_answers_are_weighed_as_log_odds_and_none_is_the_last() -> None:
    asked = AnswerSettings()
    answers = Answers(asked, WIDTH, 1.0)
    rows = blob(0, 1, 1)
    for n, abnormal in enumerate([True, True, True, True, True, True, True, True], start=1):
        one = answers.told("a", abnormal, rows, ["x"], "why", n)
        assert one.balance == min(n, MOST * asked.agreeing)
    assert one.settled(asked)
    assert math.isclose(one.log_odds(asked), MOST * asked.agreeing * math.log(19))
    for _ in range(MOST * asked.agreeing + asked.agreeing):
        one = answers.told("a", False, rows, ["x"], "", 9)
    assert one.settled(asked)
    assert one.belief(asked) < 0.01
    assert math.isclose(answers.told("b", True, rows, ["y"], "", 1).belief(asked), 0.95)
    assert (one.given, one.why, len(one.rows)) == (16, "why", 1)


def test_answers_and_what_waits_are_bounded_and_come_back_from_their_state() -> None:
    answers, waiting = Answers(AnswerSettings(causes=3, rows=2), WIDTH, 1.0), Waiting(WIDTH, 3)
    for n in range(6):
        rows = blob(n, 5, 1)
        answers.told(f"c{n}", bool(n % 2), rows, [f"{n}-{at}" for at in range(5)], "", n)
        waiting.add(f"c{n}", rows[0], n + 1, f"why {n}")
    waiting.add("c5", blob(5, 1, 1)[0], 4, "")
    assert list(answers.by_cause) == ["c3", "c4", "c5"]
    assert [len(one.rows) for one in answers.by_cause.values()] == [2, 2, 2]
    assert [(cause, one.alarms) for cause, one in waiting.groups.items()] == [("c3", 4), ("c4", 5), ("c5", 10)]
    for kept, empty in (
        (answers, Answers(AnswerSettings(causes=3, rows=2), WIDTH, 1.0)),
        (waiting, Waiting(WIDTH, 3)),
    ):
        empty.load_state_dict(kept.state_dict())  # type: ignore[attr-defined]
        assert digest(empty.state_dict()) == digest(kept.state_dict())  # type: ignore[attr-defined]
    with pytest.raises(CorruptStateError):
        waiting.load_state_dict({**waiting.state_dict(), "groups": []})
    with pytest.raises(CorruptStateError):
        answers.load_state_dict({**answers.state_dict(), "rows": np.zeros((1, WIDTH), np.float32)})


# Feedback


def test_one_answer_speaks_for_all_repeats_and_another_one_settles_it() -> None:
    one = watcher()
    records = alarms(one)
    report = answer(one, 0)
    assert (report.accepted, report.records) == (True, 30)
    assert len(alarms(one)) == 0
    assert len(alarms(one, tight(5, 30, 3))) <= 3
    told = one.score(INCIDENT)
    assert all("answered normal on" in why and "one more answer would settle it" in why for why in told["why"])
    assert (told["p_value"] >= 0.9).all()
    # What one answer says is not learned yet: it may be wrong.
    assert len(one.recipe.detector.memory) == 450  # type: ignore[attr-defined]
    (question,) = one.questions().to_dicts()
    assert (question["answers"], question["alarms"]) == (1, 30)
    assert math.isclose(question["belief"], 0.05)
    settled = answer(one, 0, records=records)
    assert any("is settled: normal, 2 answers" in event for event in settled.events)
    assert len(one.recipe.detector.memory) > 450  # type: ignore[attr-defined]
    assert len(one.questions()) == 0
    assert not any("one more answer" in why for why in one.score(INCIDENT)["why"])


def test_an_incident_is_recognised_and_explained_from_the_first_answer_on() -> None:
    one = watcher()
    before = one.score(tight(5, 10, 4))
    answer(one, 1)
    after = one.score(tight(5, 10, 4))
    assert (after["score"] >= before["score"]).all()
    assert all(why.startswith("like the incident of 20") for why in after["why"])
    (told,) = one.explain(tight(5, 1, 4))
    assert told["incident"]["answers"] == 1
    assert told["incident"]["cause"] in set(after["cause"])
    # Ordinary life is scored as before.
    rows = ordinary(90, 5)
    assert one.score(rows)["score"].equals(watcher().score(rows)["score"])


@pytest.mark.parametrize("wrong", [0, 1])
def test_a_wrong_answer_is_overturned_by_right_ones(wrong: int) -> None:
    one, right = watcher(), 1 - wrong
    records, rows = alarms(one), ordinary(90, 5)
    scores = one.score(rows)["score"]
    answer(one, wrong, records=records)
    assert len(alarms(one)) == (30 if wrong else 0)
    answer(one, right, records=records)
    # Said both: as if nothing had been said.
    assert alarms(one)["score"].equals(records["score"])
    for _ in range(2):
        answer(one, right, records=records)
    (told,) = one.recipe.answers.by_cause.values()  # type: ignore[attr-defined]
    assert told.settled(one.settings.answers)
    assert len(alarms(one)) == (0 if wrong else 30)
    if not wrong:
        assert one.score(rows)["score"].equals(scores)


def test_even_a_settled_answer_can_be_taken_back() -> None:
    one = watcher()
    records, begun = alarms(one), one.recipe.detector.memory.ids.tolist()  # type: ignore[attr-defined]
    for _ in range(2):
        answer(one, 0, records=records)
    assert len(alarms(one)) == 0
    for _ in range(4):
        answer(one, 1, records=records)
    assert len(alarms(one)) == 30
    assert one.recipe.detector.memory.ids.tolist() == begun  # type: ignore[attr-defined]
    assert alarms(one)["why"][0].startswith("like the incident of")


def test_an_operator_who_errs_every_seventh_time_ends_up_right() -> None:
    one, truth = watcher(), {5: 1, 6: 0, 7: 1, 3: 0}
    rows, n_answers = np.concatenate([tight(cluster, 8, 2) for cluster in truth]), 0
    whose = np.repeat(list(truth), 8)
    for _ in range(8):
        frame = one.score(rows)
        for question in one.questions(frame).to_dicts():
            label = truth[int(whose[question["row"]])]
            wrong = int(n_answers % 7 == 1)
            n_answers += 1
            asked = frame.filter(pl.col("cause") == question["cause"])
            one.feedback(rows[asked["row"].to_numpy()], [label ^ wrong] * len(asked))
    assert 9 <= n_answers < 16
    assert len(one.questions(one.score(rows))) == 0
    for cluster, label in truth.items():
        assert len(alarms(one, tight(cluster, 30, 9))) == 30 * label


def test_answers_need_nothing_but_alarm_records_hours_later() -> None:
    straight, later = watcher(), watcher()
    lines = [json.dumps({**row, "time": "2026-03-02T10:00:00Z"}) for row in alarms(straight).to_dicts()]
    records = [json.loads(line) for line in lines]
    later.feedback(records, [1] * len(records))
    straight.feedback(alarms(straight).with_columns(time=pl.lit("2026-03-02T10:00:00Z")), [1] * 30)
    assert state(later) == state(straight)
    assert "like the incident of 2026-03-02 confirmed abnormal" in alarms(later)["why"][0]


@pytest.mark.parametrize("key", ["item", "cause", "row"])
def test_answers_by_any_key_about_records_or_about_the_data(key: str) -> None:
    by_list, by_key, by_data = watcher(), watcher(), watcher()
    rows = np.concatenate([ordinary(30, 2), blob(5, 6, 2)])
    frame = by_list.score(rows)
    moment = pl.lit("2026-03-02T10:00:00Z")
    by_list.feedback(frame.with_columns(time=moment), [None] * 30 + [1] * 6)
    labels = dict.fromkeys(frame[key].to_list()[30:], 1)
    by_key.feedback(frame.with_columns(time=moment), labels)
    by_data.feedback(rows, labels)
    assert state(by_key) == state(by_list)
    assert by_data.score(rows)["score"].equals(by_list.score(rows)["score"])
    with pytest.raises(InputError, match="no label names"):
        by_key.feedback(frame, {"nobody": 1})
    with pytest.raises(InputError, match="no label names"):
        by_data.feedback(rows, {"nobody": 1})


def test_an_anomaly_that_was_missed_alarms_once_it_is_told() -> None:
    one = watcher()
    # Between two clusters' rows, near enough to look normal.
    missed = ordinary(450, 1)[:1] + np.float32(0.05)
    assert not one.score(missed)["abnormal"][0]
    one.feedback(missed, [1])
    assert one.score(missed)["abnormal"].to_list() == [True]
    assert one.score(ordinary(300, 4))["abnormal"].mean() < 0.03
    # And one of the very rows that were fitted.
    remembered = ordinary(450, 1)[5:6]
    one.feedback(remembered, [1])
    assert one.score(remembered)["abnormal"].to_list() == [True]


def test_ordinary_rows_that_are_called_normal_enter_at_once() -> None:
    one = watcher()
    rows = ordinary(60, 2)
    n = int((~one.score(rows)["abnormal"]).sum())
    one.feedback(rows, [0] * 60)
    memory = one.recipe.detector.memory  # type: ignore[attr-defined]
    assert len(memory) == 450 + n
    assert memory.normal.sources.count("feedback") == n


def test_what_waits_is_answered_without_data_and_leaves_quarantine() -> None:
    one = watcher()
    one.learn(np.concatenate([INCIDENT, tight(6, 30, 2)]), trust="unknown")
    memory = one.recipe.detector.memory  # type: ignore[attr-defined]
    assert len(memory.quarantine) == 60
    for _ in range(2):
        asked = one.questions().with_columns(abnormal=pl.lit(True), vector=pl.lit(None))
        founders = one.recipe.waiting.groups  # type: ignore[attr-defined]
        labels = {}
        for cause in asked["cause"]:
            row = founders[cause].founder if cause in founders else one.recipe.answers.by_cause[cause].rows[0]  # type: ignore[attr-defined]
            labels[cause] = int(np.linalg.norm(row - INCIDENT.mean(axis=0)) < 10)
        one.feedback(asked, labels)
        memory = one.recipe.detector.memory  # type: ignore[attr-defined]
    assert len(one.questions()) == 0
    assert len(memory.quarantine) == 0
    assert len(alarms(one, tight(5, 30, 3))) == 30
    assert len(alarms(one, tight(6, 30, 3))) <= 2


def test_answers_train_the_weights_of_an_ensemble() -> None:
    one = watcher(150, method="ensemble")
    before = one.recipe.detector.performance()["weights_from"]  # type: ignore[attr-defined]
    one.feedback(np.concatenate([ordinary(30, 3), INCIDENT]), [0] * 30 + [1] * 30)
    after = one.recipe.detector.performance()["weights_from"]  # type: ignore[attr-defined]
    assert (before, after) == ("normal rows", "labels")
    assert len(alarms(one)) == 30


def test_questions_are_those_that_settle_most_first() -> None:
    one = watcher()
    rows = np.concatenate([blob(5, 30, 2), blob(6, 5, 2), ordinary(30, 2)])
    frame = one.score(rows)
    asked = one.questions(frame)
    assert asked.columns == ["cause", "rows", "alarms", "settles", "belief", "answers", "row", "item", "why"]
    assert asked["settles"].is_sorted(descending=True)
    assert asked["alarms"].sum() == frame["abnormal"].sum()
    assert set(asked["cause"]) == set(frame.filter("abnormal")["cause"])
    first = asked["cause"][0]
    one.feedback(frame.filter(pl.col("cause") == first), [1] * int((frame["cause"] == first).sum()))
    again = one.questions(one.score(rows))
    told = again.filter(pl.col("cause") == first)
    assert told["answers"].to_list() == [1]
    assert told["settles"][0] < asked["settles"][0] / 5
    assert len(one.questions(frame.filter(~pl.col("abnormal")))) == 0
    with pytest.raises(InputError, match="want verdicts"):
        one.questions(pl.DataFrame({"x": [1]}))


@pytest.mark.parametrize(
    ("data", "labels", "told"),
    [
        ("alarms", [1], "30 rows to answer for, got 1 labels"),
        ("alarms", [2] * 30, "0 .normal., 1 .abnormal. or None, got 2"),
        ("rows", [1], "30 rows to answer for, got 1 labels"),
        ("bare", [1] * 30, "without item and vector"),
        ("ordinary", [0] * 30, "did not alarm, so its verdict has no vector"),
        ("empty vectors", [1] * 30, "has no vector"),
    ],
)
def test_an_answer_that_cannot_be_used_changes_nothing(data: str, labels: list[int], told: str) -> None:
    one = watcher()
    before = state(one)
    given: dict[str, Any] = {
        "alarms": alarms(one),
        "rows": INCIDENT,
        "bare": alarms(one).drop("vector"),
        "ordinary": one.score(ordinary(30, 2)),
        "empty vectors": alarms(one).with_columns(vector=pl.lit(None)),
    }
    with pytest.raises(InputError, match=told):
        one.feedback(given[data], labels)
    assert state(one) == before


def test_no_answer_at_all_is_no_news() -> None:
    one = watcher()
    before = state(one)
    assert one.feedback(alarms(one), [None] * 30).records == 0
    assert state(one) == before


def test_answers_are_saved_and_go_on(tmp_path: Path) -> None:
    one = watcher()
    answer(one, 1)
    one.learn(blob(6, 20, 2), trust="unknown")
    one.save(tmp_path / "kept")
    two = jamais.load(tmp_path / "kept")
    assert state(two) == state(one)
    rows = np.concatenate([INCIDENT, blob(6, 20, 3), scattered(5, 2), ordinary(30, 2)])
    assert two.score(rows).equals(one.score(rows))
    assert two.questions().equals(one.questions())
    assert fitted().questions().height == 0
