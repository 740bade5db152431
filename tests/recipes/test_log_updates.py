"""What does a log watcher measure before it takes an update, what does it refuse, and does it know that life moved?"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.reference.small_log import BEGIN, MODES, ODD, fitted, normal, odd_at, said, text, today

import jamais
from jamais import evaluation
from jamais.errors import Cancelled, InputError, RefusedUpdateError, SettingsError
from jamais.recipes.logs import LogRecipe
from jamais.testing import digest
from jamais.types import CancelToken, Check, Event, LearnReport
from jamais.watcher import Watcher

NEW_WORDS = {
    "finished after": "request served within",
    "query returned": "statement gave",
    "miss for": "nothing cached for",
}
"""An upgrade: the same life in other words."""
TROUBLE = ("volume", "disk", "sector", "panic", "kernel", "fatal", "parity", "overflow", "abort", "trap", "lost")


def upgraded(n_requests: int, seed: int, after: int = 0) -> list[str]:
    """Give lines of ordinary life, in other words after `after` lines."""
    lines = text(said(n_requests, seed, BEGIN + timedelta(hours=2)))
    for old, new in NEW_WORDS.items():
        lines[after:] = [line.replace(old, new) for line in lines[after:]]
    return lines


def anomalies(n: int) -> list[str]:
    """Give an incident and nothing else."""
    pick = random.Random(3)
    begin = BEGIN + timedelta(hours=3)
    return [odd_at(begin + timedelta(seconds=k), "ERROR disk: " + " ".join(pick.sample(TROUBLE, 4))) for k in range(n)]


def state(watcher: Watcher) -> str:
    return digest(watcher.recipe.state_dict())


def recipe_of(watcher: Watcher) -> LogRecipe:
    recipe = watcher.recipe
    assert isinstance(recipe, LogRecipe)
    return recipe


def refused(watcher: Watcher, *data: Any, **more: Any) -> LearnReport:
    """Assert that an update is refused and nothing changes; give its report."""
    before = state(watcher)
    with pytest.raises(RefusedUpdateError) as caught:
        watcher.learn(*data, **more)
    assert state(watcher) == before
    report = caught.value.report
    assert isinstance(report, LearnReport)
    assert not report.accepted
    return report


def broken(report: LearnReport) -> set[str]:
    return {check.setting for check in report.checks if not check.passed}


# --- what is refused


@pytest.mark.parametrize("mode", ["lines", "window of lines", "window of time"])
def test_nothing_but_anomalies_is_refused_with_figures(mode: str) -> None:
    watcher = fitted(mode)
    report = refused(watcher, anomalies(100))
    assert broken(report) == {"looks_abnormal"}
    assert report.figures["looks_abnormal"] == 1.0
    assert report.counts["rows that looked abnormal before"] == report.counts["rows"]
    with pytest.raises(RefusedUpdateError, match=r'if it is right all the same: limits=\{"looks_abnormal": 1\}'):
        watcher.learn(anomalies(100))


def test_who_insists_may_have_other_limits_for_one_update() -> None:
    watcher = fitted()
    settings = watcher.settings
    report = watcher.learn(anomalies(300), limits={"looks_abnormal": 1})
    assert report.accepted
    assert watcher.settings == settings, "the next update has the usual limits again"
    assert broken(refused(watcher, [line.replace("disk:", "tape:") for line in anomalies(300)])) == {"looks_abnormal"}
    with pytest.raises(SettingsError, match=r"no setting 'guard\.looks_normal'"):
        watcher.learn(normal(10), limits={"looks_normal": 1})
    with pytest.raises(SettingsError, match="looks_abnormal is a share"):
        watcher.learn(normal(10), limits={"looks_abnormal": 7})


@pytest.mark.parametrize("mode", MODES)
def test_a_real_change_of_life_is_learned_when_somebody_vouches_for_it(mode: str) -> None:
    watcher = fitted(mode)
    new_life = upgraded(400, seed=5, after=60)
    assert (watcher.score(new_life)["p_value"] < 0.05).mean() > 0.5  # type: ignore[operator]
    report = watcher.learn(new_life)
    assert 0.5 < report.figures["looks_abnormal"] <= 0.95
    assert watcher.score(upgraded(200, seed=6))["abnormal"].mean() < 0.05  # type: ignore[operator]


@pytest.mark.parametrize("mode", MODES)
def test_one_row_is_learned_if_vouched_for_and_waits_if_not(mode: str) -> None:
    line = [odd_at(BEGIN + timedelta(hours=1))]
    vouched, unknown = fitted(mode), fitted(mode)
    assert vouched.learn(line).accepted
    assert ODD.partition(": ")[2] in recipe_of(vouched).parser.texts
    assert unknown.learn(line, trust="unknown").counts["records held back"] == 1
    assert ODD.partition(": ")[2] not in recipe_of(unknown).parser.texts


def test_nearly_the_words_of_a_confirmed_incident_are_refused() -> None:
    watcher = fitted()
    watcher.feedback(watcher.score(today()).filter("abnormal"), [1])
    again = [odd_at(BEGIN, ODD.replace("sdb", disk)) for disk in ("sdc", "sdd")]
    report = refused(watcher, [*normal(100, seed=7), *again])
    assert "like_abnormal" in broken(report)
    harmless = [odd_at(BEGIN, "INFO mail: newsletter of march sent to everybody")]
    assert watcher.learn([*normal(100, seed=7), *harmless]).figures["like_abnormal"] == 0


def test_answers_that_make_much_of_normal_life_alarm_are_refused() -> None:
    watcher = fitted()
    frame = watcher.score(normal(20, seed=9))
    common = frame.filter(pl.col("template").str.contains("finished after"))
    for place in range(10):
        before = state(watcher)
        row = common[place : place + 1]
        measured = watcher.feedback(row, [1], dry_run=True)
        assert state(watcher) == before
        if not measured.accepted:
            break
        assert watcher.feedback(row, [1]) == measured
    assert place > 0, "one answer is no proof against what is seen every day"
    assert broken(measured) == {"normals_changed"}
    with pytest.raises(RefusedUpdateError, match="normal items that would now alarm"):
        watcher.feedback(row, [1])
    assert state(watcher) == before
    assert watcher.feedback(row, [0]).accepted
    assert Watcher(watcher.recipe).feedback(row, [1], limits={"normals_changed": 1}).accepted


@pytest.mark.parametrize("mode", MODES)
def test_a_dry_run_says_what_the_update_will_say(mode: str) -> None:
    for data, trust in ((upgraded(200, 5, 100), "normal"), (upgraded(200, 5, 100), "unknown")):
        watcher = fitted(mode)
        before = state(watcher)
        report = watcher.learn(data, trust, dry_run=True)
        assert state(watcher) == before
        assert watcher.learn(data, trust) == report


# --- what is never forgotten, or released


def test_being_seen_a_hundred_times_releases_nothing() -> None:
    watcher = fitted()
    before = watcher.score(today())
    item = before.filter("abnormal")["item"].item()
    for day in range(100):
        watcher.learn([odd_at(BEGIN + timedelta(days=day))] * 2, trust="unknown")
    assert recipe_of(watcher).quarantine.items[item].count == 200
    assert ODD.partition(": ")[2] not in recipe_of(watcher).parser.texts
    (row,) = watcher.score(today()).filter(pl.col("item") == item).iter_rows(named=True)
    assert row["abnormal"]
    assert row["score"] == before.filter("abnormal")["score"].item()


@pytest.mark.parametrize("mode", MODES)
def test_rollback_after_many_updates_brings_every_score_back_bit_for_bit(mode: str, tmp_path: Path) -> None:
    watcher = fitted(mode)
    watcher.save(tmp_path / "kept")
    lines = [*today(), *upgraded(50, seed=8), *normal(50, seed=9)]
    scores, bits = watcher.score(lines), state(watcher)
    watcher.learn(upgraded(300, seed=5, after=40))
    watcher.save()
    watcher.learn(today(), trust="unknown")
    watcher.feedback(watcher.score(today()).filter(pl.col("template").str.contains("sdb")), [1])
    watcher.save()
    changed = watcher.score(lines)
    assert not changed["score"].equals(scores["score"])
    again = jamais.load(tmp_path / "kept")
    assert again.score(lines).equals(changed)
    again.rollback(1)
    assert state(again) == bits
    again.save()
    assert jamais.load(tmp_path / "kept").score(lines).equals(scores)


@pytest.mark.parametrize("mode", ["lines", "window of lines"])
def test_what_ranked_well_before_the_updates_ranks_as_well_after_them(mode: str) -> None:
    watcher = fitted(mode)
    old = [*normal(150, seed=11), *anomalies(3), *normal(150, seed=12), *anomalies(2), *normal(20, seed=13)]
    frame = watcher.score(old)
    labels = [int("ERROR disk" in line) for line in old]
    if mode != "lines":
        labels = [int(any(labels[a : b + 1])) for a, b in zip(frame["first_row"], frame["last_row"], strict=True)]
    before = evaluation.average_precision(labels, frame["score"].to_numpy())
    for seed in (5, 6, 7):
        watcher.learn(upgraded(200, seed=seed, after=30))
    after = evaluation.average_precision(labels, watcher.score(old)["score"].to_numpy())
    assert after >= before - 0.005


# --- all or nothing


def test_data_that_breaks_off_leaves_everything_as_it_was() -> None:
    def breaking() -> Iterator[str]:
        yield from normal(60, seed=3)
        raise OSError("the network is gone")

    watcher = fitted()
    held, before = watcher.recipe, state(watcher)
    for trust in ("normal", "unknown"):
        with pytest.raises(OSError, match="the network is gone"):
            watcher.learn(breaking(), trust)
    assert watcher.recipe is held
    assert state(watcher) == before


def test_cancelling_between_any_two_batches_leaves_everything_as_it_was(tmp_path: Path) -> None:
    paths = []
    for part in range(3):
        paths.append(tmp_path / f"{part}.log")
        paths[-1].write_text("\n".join(normal(20, seed=part + 3)) + "\n")
    watcher = fitted()
    before = state(watcher)
    for trust in ("normal", "unknown"):
        seen = 0
        for left in range(1, 50):
            cancel, events = CancelToken(), [left]

            def listen(event: Event, cancel: CancelToken = cancel, events: list[int] = events) -> None:
                events[0] -= 1
                if not events[0]:
                    cancel.cancel()

            one = Watcher(watcher.recipe)
            try:
                one.learn(paths, trust, on_event=listen, cancel=cancel)
            except Cancelled:
                seen += 1
                assert one.recipe is watcher.recipe
            assert state(watcher) == before
            if events[0] > 0:
                break
        assert seen > 0


def test_an_error_in_the_middle_of_the_measuring_leaves_everything_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = fitted()
    before = state(watcher)

    def failing(*given: Any) -> tuple[Check, ...]:
        raise MemoryError("no room")

    for name in ("checks_of_data", "checks_of_memory"):
        monkeypatch.setattr(f"jamais.recipes.logs.updates.data.{name}", failing)
    for trust in ("normal", "unknown"):
        with pytest.raises(MemoryError):
            watcher.learn(today(), trust)
    assert state(watcher) == before


def test_a_figure_that_is_no_number_refuses_the_update(monkeypatch: pytest.MonkeyPatch) -> None:
    nan = Check("something", float("nan"), 1.0, "normals_changed")
    monkeypatch.setattr("jamais.recipes.logs.updates.data.checks_of_data", lambda *given: (nan,))
    report = refused(fitted(), normal(20, seed=3))
    assert report.limits_needed == {}, "no limit would help"


# --- drift


@pytest.mark.parametrize("mode", MODES)
def test_life_that_moved_is_dated_and_told_before_it_is_learned(mode: str, tmp_path: Path) -> None:
    watcher = fitted(mode)
    data = upgraded(600, seed=5, after=1_000)
    frame = watcher.score(data)
    report = watcher.drift(frame)
    assert report.drifted
    assert report.since is not None
    # A session or window spans many lines; the first one with a line in new words is where it began.
    first = frame.filter(pl.col("template") != pl.col("nearest"))["row"].min()
    assert isinstance(first, int)
    assert abs(report.since - first) <= 5
    learned = watcher.learn(data)
    assert learned.events[0] == str(report).splitlines()[0]
    assert learned.events[1].startswith("new: ")
    watcher.save(tmp_path / "kept")
    (version,) = watcher.history()
    assert learned.events[0] in version.reason
    assert "since row" not in version.reason.replace(learned.events[0], ""), "details are printed, not kept"
    assert version.metrics == learned.figures


@pytest.mark.parametrize("mode", MODES)
def test_ordinary_life_is_no_drift(mode: str) -> None:
    watcher = fitted(mode)
    for seed in range(20, 26):
        frame = watcher.score(normal(400, seed=seed))
        report = watcher.drift(frame)
        assert not report.drifted, report
        assert report.changes == ()
    assert watcher.learn(normal(200, seed=27)).events == ()


def test_what_changed_is_named_with_its_numbers() -> None:
    watcher = fitted()
    data = upgraded(600, seed=5, after=1_000)
    frame = watcher.score(data)
    report = watcher.drift(frame)
    new = frame.filter(pl.col("template").str.contains("statement gave"))
    assert report.changes[0].startswith("new: 3 templates in ")
    assert f"  in {len(new):,} rows since row {new['row'][0]:,}: req r<*> statement gave <*> rows" in report.changes
    shrank = [change for change in report.changes if change.startswith("shrank: ")]
    assert any("query returned" in change for change in shrank)
    assert str(report).startswith(f"normal has moved since row {report.since:,}: ")


def test_a_known_line_that_floods_the_log_is_named_even_though_nothing_is_new() -> None:
    watcher = fitted()
    begin = BEGIN + timedelta(hours=4)
    flood = [
        f"{begin + timedelta(seconds=k):%Y-%m-%d %H:%M:%S}.000 WARN db: lock not free, retry later" for k in range(300)
    ]
    lines = sorted(
        [*text(said(200, 7, begin)), *[line.replace("db: ", f"db: req r9{k} ") for k, line in enumerate(flood)]]
    )
    report = watcher.drift(watcher.score(lines))
    assert report.drifted
    assert any(change.startswith("grew: 30") and "lock not free" in change for change in report.changes)


def test_drift_wants_all_rows_not_the_alarms_only() -> None:
    watcher = fitted()
    frame = watcher.score([*today(), *today(odd=(ODD, ODD))])
    with pytest.raises(InputError, match="wants all rows of score, got 3 of"):
        watcher.drift(frame.filter("abnormal"))
    with pytest.raises(InputError, match="wants the verdicts of score"):
        watcher.drift(frame.select("row", "score"))
    assert watcher.drift(frame.sample(fraction=1.0, shuffle=True, seed=0)) == watcher.drift(frame)
    assert not watcher.drift(frame.clear()).drifted


def test_pieces_of_a_pass_give_the_drift_of_the_whole() -> None:
    watcher = fitted()
    frame = watcher.score(upgraded(300, seed=5, after=300))
    drifting = recipe_of(watcher).drifting()
    for start in range(0, len(frame), 97):
        drifting.push(frame[start : start + 97])
    assert drifting.report() == watcher.drift(frame)
