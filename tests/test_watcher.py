"""Does the object that a user holds keep its promises, whatever way rows are made of lines?"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.reference import small_log
from tests.reference.small_log import MODES, ODD, fitted, normal, today

import jamais
from jamais.errors import Cancelled, InputError, RefusedUpdateError, SettingsError, StaleVersionError
from jamais.testing import digest
from jamais.types import CancelToken, Event
from jamais.watcher import Watcher

COLUMNS = [
    "row", "score", "p_value", "p_extrapolated", "abnormal", "why", "item", "cause",
    "time", "level", "source", "line", "template", "nearest",
]  # fmt: skip


def state(watcher: Watcher) -> str:
    """Give a digest of all bytes that a save would write."""
    return digest(watcher.recipe.state_dict())


def on_disk(folder: Path) -> dict[str, tuple[int, str]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("mode", MODES)
def test_scoring_changes_neither_the_watcher_nor_its_folder(mode: str, tmp_path: Path) -> None:
    watcher = fitted(mode)
    watcher.save(tmp_path / "kept")
    before, files = state(watcher), on_disk(tmp_path)
    first = watcher.score(today())
    second = watcher.score(today())
    assert first["abnormal"].any()
    assert_frame_equal(first, second, check_exact=True)
    assert state(watcher) == before
    assert on_disk(tmp_path) == files
    assert watcher.explain(today())
    assert state(watcher) == before


@pytest.mark.parametrize("mode", MODES)
def test_verdicts_have_the_columns_of_the_contract(mode: str) -> None:
    watcher = fitted(mode)
    grouped = [] if mode == "lines" else ["group", "first_row", "last_row"]
    frame = watcher.score(today())
    assert frame.columns == [*COLUMNS, *grouped, "suspects"]
    assert frame["row"].to_list() == list(range(len(frame)))
    assert (frame["abnormal"] == (frame["p_value"] <= watcher.alarm_rate)).all()
    assert (frame["p_value"] > 0).all()
    assert (frame["p_value"] <= 1).all()
    assert frame.schema["time"] == pl.Datetime("us", "UTC")
    assert frame.filter("abnormal")["why"].str.len_chars().min() > 0  # type: ignore[operator]
    assert frame.null_count().drop("group", strict=False).sum_horizontal().item() == 0
    assert watcher.score([]).schema == frame.schema


def test_an_empty_file_gives_an_empty_frame(tmp_path: Path) -> None:
    (tmp_path / "empty.log").write_bytes(b"")
    (tmp_path / "blank.log").write_bytes(b"\n\n\r\n")
    for mode in MODES:
        for name in ("empty.log", "blank.log"):
            frame = fitted(mode).score(tmp_path / name)
            assert frame.shape[0] == 0
            assert frame.columns[:8] == COLUMNS[:8]


_CHILD = """
import sys
import jamais
jamais.load(sys.argv[1]).score(sys.argv[2]).write_parquet(sys.argv[3])
assert "torch" not in sys.modules and "transformers" not in sys.modules
"""


@pytest.mark.parametrize(
    "mode", [pytest.param(mode, marks=[] if mode == "sessions" else pytest.mark.slow) for mode in MODES]
)
def test_another_process_loads_the_watcher_and_gives_the_same_bits(mode: str, tmp_path: Path) -> None:
    watcher = fitted(mode)
    watcher.save(tmp_path / "kept")
    log = tmp_path / "today.log"
    log.write_text("\n".join(today()) + "\n")
    out = tmp_path / "verdicts.parquet"
    source = str(Path(jamais.__file__).parents[1])
    command = [sys.executable, "-c", _CHILD, str(tmp_path / "kept"), str(log), str(out)]
    subprocess.run(command, check=True, env={"PYTHONPATH": source, "PATH": ""}, timeout=120)
    assert_frame_equal(pl.read_parquet(out), watcher.score(log), check_exact=True)
    assert state(jamais.load(tmp_path / "kept")) == state(watcher)


def test_a_line_alone_is_judged_as_among_others() -> None:
    watcher = fitted()
    lines = today()
    together = watcher.score(lines).drop("row", "line", "why")
    for i in [0, 1, 17, *(k for k, line in enumerate(lines) if ODD in line)]:
        alone = watcher.score([lines[i]]).drop("row", "line", "why")
        assert_frame_equal(alone, together[i], check_exact=True)


def test_batches_come_one_after_the_other_and_make_up_the_whole() -> None:
    events: list[Event] = []
    watcher = fitted("sessions")
    frames = list(watcher.score_batches(today(), on_event=events.append))
    assert_frame_equal(pl.concat(frames).sort("row"), watcher.score(today()), check_exact=True)
    assert events[-1].phase == "scoring"
    assert events[-1].values["records"] == len(today())


# --- versions


def test_what_was_learned_is_saved_as_one_new_version_with_its_reasons(tmp_path: Path) -> None:
    watcher = fitted()
    assert watcher.version is None
    assert watcher.save(tmp_path / "kept") == 1
    watcher.learn(normal(60, seed=5))
    watcher.set_alarm_rate(0.01)
    assert watcher.version == 1
    assert watcher.save() == 2 == watcher.version
    first, second = watcher.history()
    assert (first.number, second.number, second.parent) == (1, 2, 1)
    assert "learn list (trust normal); alarm rate 0.01" in second.reason
    watcher.save()
    assert "learn" not in watcher.history()[-1].reason


def test_going_back_makes_the_old_content_current_and_saving_it_a_new_version(tmp_path: Path) -> None:
    watcher = fitted()
    watcher.save(tmp_path / "kept")
    old = state(watcher)
    watcher.learn(normal(60, seed=5))
    watcher.set_alarm_rate(0.05)
    watcher.save()
    assert state(watcher) != old
    watcher.rollback(1)
    assert state(watcher) == old
    assert watcher.alarm_rate == 0.001
    assert watcher.save() == 3
    assert "rollback to version 1" in watcher.history()[-1].reason
    assert state(jamais.load(tmp_path / "kept")) == old
    assert state(jamais.load(tmp_path / "kept", version=2)) != old
    assert [info.number for info in watcher.history()] == [1, 2, 3]


def test_saving_over_somebody_elses_version_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    fitted().save(tmp_path / "kept")
    mine, theirs = jamais.load(tmp_path / "kept"), jamais.load(tmp_path / "kept")
    theirs.set_alarm_rate(0.5)
    theirs.save()
    mine.set_alarm_rate(0.01)
    files = on_disk(tmp_path)
    with pytest.raises(StaleVersionError):
        mine.save()
    assert on_disk(tmp_path) == files
    assert jamais.load(tmp_path / "kept").alarm_rate == 0.5
    with pytest.raises(StaleVersionError):
        fitted().save(tmp_path / "kept")


def test_an_older_version_is_loaded_on_request_and_saved_on_top(tmp_path: Path) -> None:
    watcher = fitted()
    watcher.save(tmp_path / "kept")
    watcher.set_alarm_rate(0.05)
    watcher.save()
    old = jamais.load(tmp_path / "kept", version=1)
    assert old.alarm_rate == 0.001
    assert old.save() == 3
    assert "version 1" in old.history()[-1].reason


def test_without_a_folder_it_says_where_to_save() -> None:
    with pytest.raises(InputError, match="save"):
        fitted().save()
    for asked in (lambda: fitted().history(), lambda: fitted().rollback(1)):
        with pytest.raises(InputError, match="save"):
            asked()


# --- alarm rate


@pytest.mark.parametrize("mode", MODES)
def test_another_alarm_rate_changes_who_alarms_and_nothing_else(mode: str) -> None:
    watcher = fitted(mode)
    before = watcher.score(today()).drop("abnormal", "why", "suspects")
    watcher.set_alarm_rate(0.3)
    after = watcher.score(today())
    assert_frame_equal(after.drop("abnormal", "why", "suspects"), before, check_exact=True)
    assert (after["abnormal"] == (after["p_value"] <= 0.3)).all()


def test_a_row_exactly_at_the_alarm_rate_alarms() -> None:
    watcher = fitted()
    p = watcher.score(today())["p_value"].sort()[10]
    watcher.set_alarm_rate(p)
    frame = watcher.score(today())
    assert frame.filter(pl.col("p_value") == p)["abnormal"].all()
    assert (frame["abnormal"] == (frame["p_value"] <= p)).all()


@pytest.mark.parametrize("rate", [0.0, 1.0, -1.0, float("nan")])
def test_an_alarm_rate_is_a_share(rate: float) -> None:
    with pytest.raises(SettingsError, match="share"):
        fitted().set_alarm_rate(rate)


# --- learning: all or nothing


def test_a_dry_run_measures_and_changes_nothing() -> None:
    watcher = fitted()
    before = state(watcher)
    report = watcher.learn(today(), dry_run=True)
    assert report.counts["new templates"] == 1
    assert report.accepted
    assert state(watcher) == before
    assert watcher.learn(today()).counts == report.counts
    assert state(watcher) != before


def test_an_update_that_is_refused_leaves_everything_as_it_was(tmp_path: Path) -> None:
    watcher = fitted()
    verdicts = watcher.score(today())
    watcher.feedback(verdicts.filter("abnormal"), [1])
    watcher.save(tmp_path / "kept")
    before, files = state(watcher), on_disk(tmp_path)
    with pytest.raises(RefusedUpdateError) as caught:
        watcher.learn(today())
    report = caught.value.report
    assert not report.accepted
    assert [check.name for check in report.checks if not check.passed] == ["items confirmed abnormal in this data"]
    assert state(watcher) == before
    assert on_disk(tmp_path) == files
    assert watcher.learn(today(), dry_run=True).accepted is False


def test_cancelled_work_changes_nothing() -> None:
    cancel = CancelToken()
    cancel.cancel()
    watcher = fitted()
    before = state(watcher)
    for work in (
        lambda: watcher.score(today(), cancel=cancel),
        lambda: watcher.learn(today(), cancel=cancel),
        lambda: watcher.learn(today(), trust="unknown", cancel=cancel),
        lambda: jamais.fit(normal(), kind="logs", settings=small_log.TINY, cancel=cancel),
    ):
        with pytest.raises(Cancelled):
            work()
    assert state(watcher) == before


def test_trust_is_normal_or_unknown() -> None:
    with pytest.raises(SettingsError, match=r"'normal' or 'unknown'.*'blind'"):
        fitted().learn(today(), trust="blind")


def test_threads_score_one_whole_version_while_another_learns() -> None:
    watcher = fitted()
    lines = today(20)
    versions = [watcher.score(lines)]
    for seed in (5, 6):
        one = Watcher(watcher.recipe)
        one.learn(normal(40, seed=seed))
        versions.append(one.score(lines))
    second = Watcher(watcher.recipe)
    second.learn(normal(40, seed=5))
    second.learn(normal(40, seed=6))
    versions.append(second.score(lines))
    results: list[pl.DataFrame] = []
    errors: list[BaseException] = []
    stop = threading.Event()

    def score() -> None:
        try:
            while not stop.is_set():
                results.append(watcher.score(lines))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=score) for _ in range(3)]
    for thread in threads:
        thread.start()
    watcher.learn(normal(40, seed=5))
    watcher.learn(normal(40, seed=6))
    last = watcher.score(lines)
    stop.set()
    for thread in threads:
        thread.join()
    assert not errors
    assert last.equals(versions[3])
    assert all(any(frame.equals(one) for one in versions) for frame in results)


def test_a_save_elsewhere_that_fails_leaves_the_watcher_where_it_was(tmp_path: Path) -> None:
    watcher, other = fitted(), fitted()
    watcher.save(tmp_path / "mine")
    other.save(tmp_path / "theirs")
    with pytest.raises(StaleVersionError):
        watcher.save(tmp_path / "theirs")
    assert watcher.version == 1
    assert watcher.save() == 2
    assert [info.number for info in jamais.load(tmp_path / "mine").history()] == [1, 2]
    assert [info.number for info in jamais.load(tmp_path / "theirs").history()] == [1]


def test_one_folder_may_be_spelled_in_many_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted().save(tmp_path / "kept")
    monkeypatch.chdir(tmp_path)
    watcher = jamais.load("kept")
    assert watcher.save(tmp_path / "kept") == 2
    assert watcher.save("./kept/../kept") == 3


def test_figures_belong_to_the_version_they_were_noted_for(tmp_path: Path) -> None:
    watcher = fitted()
    watcher.note("evaluated", {"f1": 0.9})
    watcher.save(tmp_path / "kept")
    watcher.save()
    assert [dict(info.metrics) for info in watcher.history()] == [{"f1": 0.9}, {}]


def test_figures_of_an_update_that_was_taken_back_are_taken_back_too(tmp_path: Path) -> None:
    watcher = fitted()
    watcher.save(tmp_path / "kept")
    watcher.learn(normal(40, seed=5))
    watcher.rollback(1)
    watcher.save()
    assert [(info.reason, dict(info.metrics)) for info in watcher.history()][1] == ("rollback to version 1", {})


def test_of_two_updates_at_once_the_second_is_told_and_not_lost_unseen() -> None:
    watcher = fitted()
    raced: list[int] = []

    def race(event: Event) -> None:
        if not raced:
            raced.append(1)
            watcher.learn(normal(40, seed=6))

    with pytest.raises(StaleVersionError, match="changed while it learned"):
        watcher.learn(normal(40, seed=5), on_event=race)
    one = fitted()
    one.learn(normal(40, seed=6))
    assert state(watcher) == state(one)
    watcher.learn(normal(40, seed=5))
