"""Do pieces of any size make the same verdicts as the whole?"""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from tests.reference.small_log import BEGIN, MODES, fitted, odd_at, said, text, today

TRACE = ["Traceback (most recent call last):", '  File "a.py", line 1', "    main()", "ValueError: no"]
LOG = [*today(40), *text(said(3, 9, BEGIN + timedelta(hours=2)))]
RAW = ("\n".join(LOG) + "\n").encode()


def joined(frames: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(frames).sort("row")


@pytest.mark.parametrize("mode", MODES)
@given(sizes=st.lists(st.integers(0, 90), min_size=1, max_size=12))
@settings(max_examples=15)
def test_lines_in_pieces_of_any_size_are_judged_as_the_whole(mode: str, sizes: list[int]) -> None:
    watcher = fitted(mode)
    stream, frames, at = watcher.stream(), [], 0
    for size in sizes:
        frames.append(stream.push(LOG[at : at + size]))
        at += size
    frames += [stream.push(LOG[at:]), stream.flush()]
    assert_frame_equal(joined(frames), watcher.score(LOG), check_exact=True)


@pytest.mark.parametrize("mode", MODES)
@given(cuts=st.lists(st.integers(0, len(RAW)), max_size=12))
@settings(max_examples=15)
def test_bytes_cut_anywhere_are_judged_as_the_whole(mode: str, cuts: list[int]) -> None:
    watcher = fitted(mode)
    stream = watcher.stream()
    places = [0, *sorted(cuts), len(RAW)]
    frames = [stream.push_chunk(RAW[start:end]) for start, end in pairwise(places)]
    assert_frame_equal(joined([*frames, stream.flush()]), watcher.score(LOG), check_exact=True)


@pytest.mark.parametrize("mode", MODES)
@given(stops=st.lists(st.integers(0, len(LOG)), min_size=1, max_size=4))
@settings(max_examples=10)
def test_a_stream_stopped_anywhere_goes_on_from_its_json(mode: str, stops: list[int]) -> None:
    watcher = fitted(mode)
    stream, frames, places = watcher.stream(), [], [0, *sorted(stops), len(LOG)]
    for start, end in pairwise(places):
        frames.append(stream.push(LOG[start:end]))
        saved = json.dumps(stream.state_dict())
        stream = watcher.stream()
        stream.load_state_dict(json.loads(saved))
    assert_frame_equal(joined([*frames, stream.flush()]), watcher.score(LOG), check_exact=True)


@given(cut=st.integers(0, 40))
@settings(max_examples=41)
def test_a_record_of_several_lines_is_one_whatever_cuts_it(cut: int) -> None:
    # A line is judged at once unless lines like it have been continued before: so let that have happened.
    failed = [odd_at(BEGIN + timedelta(hours=1, seconds=k), "ERROR web: crashed") for k in range(6)]
    lines = [*LOG[:10], failed[0], *TRACE, *LOG[10:14], failed[1], *TRACE, failed[2], *TRACE, *LOG[14:16]]
    watcher, start = fitted(), 16
    stream = watcher.stream()
    frames = [stream.push(lines[:start]), stream.push(lines[start : start + cut]), stream.push(lines[start + cut :])]
    assert_frame_equal(joined([*frames, stream.flush()]), watcher.score(lines), check_exact=True)


def test_a_line_is_judged_as_soon_as_the_next_one_or_a_pause_ends_it() -> None:
    stream = fitted().stream()
    first, second = LOG[:2]
    assert len(stream.push([first])) + len(stream.push([second])) >= 1
    stream.pause()
    odd = stream.push([odd_at(BEGIN + timedelta(hours=1, minutes=5))])
    told = pl.concat([odd, stream.pause()])
    assert told["abnormal"].to_list() == [True]
    assert told["row"].to_list() == [2]


def test_a_session_is_judged_when_it_has_been_idle_or_says_that_it_is_over() -> None:
    watcher = fitted("sessions")
    lines = text(said(3, 9, BEGIN))
    stream = watcher.stream(idle="5m")
    assert len(stream.push(lines)) == 0
    later = stream.push([odd_at(BEGIN + timedelta(minutes=6), "INFO web: req r5 started GET /items/5")])
    later = pl.concat([later, stream.pause()])
    assert later["group"].to_list() == ["r900000", "r900001", "r900002"]
    assert stream.end(["r5", "nobody"])["group"].to_list() == ["r5"]
    assert len(stream.flush()) == 0


def test_a_session_that_said_it_was_over_too_early_is_told_as_silent() -> None:
    watcher = fitted("sessions")
    stream = watcher.stream()
    half = [str(line) for line in said(1, 9, BEGIN)[:2]]
    frame = pl.concat([stream.push(half), stream.pause(), stream.end(["r900000"])])
    (whole,) = watcher.score(half).iter_rows(named=True)
    (ended,) = frame.iter_rows(named=True)
    assert ended["score"] > whole["score"]


def test_a_window_is_judged_when_it_is_full() -> None:
    stream = fitted("window of lines").stream()
    assert len(stream.push(LOG[:19])) == 0
    told = pl.concat([stream.push(LOG[19:22]), stream.pause()])
    assert told["first_row"].to_list() == [0]
    assert told["last_row"].to_list() == [19]
    assert stream.flush()["first_row"].to_list() == [20]


def test_a_stream_of_nothing_gives_frames_of_nothing() -> None:
    for mode in MODES:
        stream = fitted(mode).stream()
        for frame in (stream.push([]), stream.push_chunk(b""), stream.pause(), stream.end(["x"]), stream.flush()):
            assert frame.schema == fitted(mode).score([]).schema
            assert len(frame) == 0


def test_of_two_equal_records_the_first_is_named_whatever_cuts_them() -> None:
    watcher = fitted("sessions")
    odd = [odd_at(BEGIN + timedelta(seconds=k), "ERROR web: req r7 crashed badly") for k in range(3)]
    stream = watcher.stream()
    frames = [stream.push([line]) for line in odd]
    frame = joined([*frames, stream.flush()])
    assert_frame_equal(frame, watcher.score(odd), check_exact=True)
    assert frame["line"].to_list() == [1]
