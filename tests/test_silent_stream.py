"""Does a stream that falls silent altogether alarm, though nothing more is pushed?"""

from __future__ import annotations

import polars as pl
from tests.reference.small_log import fitted, normal


def test_windows_end_by_the_clock_and_late_records_count_in_the_open_one() -> None:
    watcher = fitted("window of time")
    lines = normal(120, seed=9)
    stream = watcher.stream()
    before = pl.concat([stream.push(lines), stream.pause()])
    assert not before["why"].str.contains("silent").any()
    first = stream.tick(25)
    assert len(first) in (2, 3), "windows of 10 s end while 25 s go by"
    later = stream.tick(45)
    assert len(first) + len(later) in (4, 5)
    told = pl.concat([first, later])
    assert told["score"].max() > before["score"].max()  # type: ignore[operator]
    assert not set(told["group"]) & set(before["group"]), "no window is told twice"
    after = pl.concat([stream.push(lines[-3:]), stream.flush()])
    assert not set(after["group"]) & set(told["group"])


def test_a_tick_before_the_window_is_over_decides_nothing() -> None:
    stream = fitted("window of time").stream()
    stream.push(normal(50, seed=9))
    assert not len(stream.tick(0))


def test_silent_sessions_close_by_the_clock() -> None:
    watcher = fitted("sessions")
    stream = watcher.stream(idle="1m")
    lines = normal(50, seed=9)
    stream.push(lines)
    stream.pause()
    closed = stream.tick(3600)
    assert len(closed) > 0
    assert not len(stream.tick(3600)), "closed once is closed"
