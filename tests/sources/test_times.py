"""Are time stamps read right: shapes, zones, the missing year, the hour that comes twice?"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jamais.errors import SettingsError
from jamais.sources.settings import ReadingSettings
from jamais.sources.times.clock import Clock
from jamais.sources.times.finder import StampFinder
from jamais.sources.times.layout import Layout, read_one
from jamais.sources.times.stamps import StampReader

NOON = datetime(2026, 11, 22, 5, 10, 1, 123456, UTC)


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("2026-11-22T05:10:01.123456Z", 123456),
        ("2026-11-22T06:10:01.123456+01:00", 123456),
        ("2026-11-22 00:10:01,123 -0500", 123000),
        ("2026-11-22 05:10:01", 0),
        ("2026-11-22 06:10:01.123 CET", 123000),
        ("2026-11-22 05:10:01.123+00", 123000),
        ("[2026-11-22T05:10:01]", 0),
        ("2026/11/22 05:10:01", 0),
        ("261122 051001", 0),
        ("261122  5:10:01", 0),
        ("26/11/22 05:10:01", 0),
        ("2026-11-22-05.10.01.123456", 123456),
        ("22/Nov/2026:05:10:01 +0000", 0),
        ("22 Nov 2026 05:10:01.123", 123000),
        ("22-Nov-2026 05:10:01.123", 123000),
        ("Sun Nov 22 05:10:01 2026", 0),
        ("Sun Nov 22 05:10:01.123456 2026", 123456),
        ("Nov 22, 2026 5:10:01 AM", 0),
        ("20261122-05:10:1:123", 123000),
        ("20261122T051001Z", 0),
        ("11/22/2026 05:10:01", 0),
        ("22.11.2026 05:10:01", 0),
        ("1795324201", 0),
        ("1795324201.123456", 123456),
        ("1795324201123", 123000),
        ("1795324201123456", 123456),
        ("Nov 22 05:10:01", 0),
        ("Nov 22 05:10:01.123456", 123456),
        ("11-22 05:10:01.123", 123000),
        ("[11.22 05:10:01]", 0),
    ],
)
def test_every_common_shape_is_read(text: str, micros: int, tmp_path: Path, read: Any) -> None:
    log = tmp_path / "a.log"
    log.write_text(f"{text} something happened\n" * 30)
    os.utime(log, (NOON.timestamp() + 60,) * 2)
    whole = read(log)
    assert set(whole.times) == {NOON.replace(microsecond=micros)}
    assert set(whole.messages) == {"something happened"}


def test_a_year_change_goes_forward_and_a_straggler_back(tmp_path: Path, read: Any) -> None:
    log = tmp_path / "a.log"
    log.write_text(
        "Dec 30 10:00:00 web1 a[1]: x\nDec 31 23:59:59 web1 a[1]: x\nJan  1 00:00:01 web1 a[1]: x\n"
        "Dec 31 23:59:58 web1 a[1]: late\nJan  2 00:00:00 web1 a[1]: x\n"
    )
    os.utime(log, (datetime(2026, 1, 2, 12, tzinfo=UTC).timestamp(),) * 2)
    whole = read(log)
    assert [(t.year, t.month, t.day) for t in whole.times] == [
        (2025, 12, 30), (2025, 12, 31), (2026, 1, 1), (2025, 12, 31), (2026, 1, 2),
    ]  # fmt: skip
    assert whole.reader.counts["out_of_order"] == 1


def test_the_29th_of_february_finds_its_leap_year(tmp_path: Path, read: Any) -> None:
    log = tmp_path / "a.log"
    log.write_text("Feb 29 10:00:00 web1 a[1]: x\n")
    os.utime(log, (datetime(2026, 1, 2, tzinfo=UTC).timestamp(),) * 2)
    assert read(log).times[0] == datetime(2024, 2, 29, 10, tzinfo=UTC)


def test_the_hour_that_comes_twice_is_read_twice(read: Any) -> None:
    walls = ["01:30:00", "02:30:00", "02:59:59", "02:00:00", "02:30:00", "03:00:00"]
    whole = read([f"2026-10-25 {wall} INFO a: x" for wall in walls], timezone="Europe/Berlin")
    start = datetime(2026, 10, 24, 23, 30, tzinfo=UTC)
    steps = [(t - start).total_seconds() / 60 for t in whole.times]
    assert steps == [0, 60, pytest.approx(89.98, abs=0.01), 90, 120, 150]
    assert whole.reader.counts["out_of_order"] == 0
    assert whole.reader.said[-1] == "times without a zone are read in Europe/Berlin"


def test_the_hour_that_never_comes_does_not_stop_reading(read: Any) -> None:
    whole = read([f"2026-03-29 0{h}:30:00 INFO a: x" for h in (1, 2, 3)], timezone="Europe/Berlin")
    assert [t.strftime("%H:%M") for t in whole.times] == ["00:30", "01:30", "01:30"]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"])
def test_local_times_of_a_year_agree_with_zoneinfo(zone: str) -> None:
    start = datetime(2026, 1, 1)
    walls = [start + timedelta(minutes=37 * i) for i in range(14000)]
    here = ZoneInfo(zone)
    known = [w for w in walls if w.replace(tzinfo=here).utcoffset() == w.replace(tzinfo=here, fold=1).utcoffset()]
    keys = np.array([w.year * 10000 + w.month * 100 + w.day for w in known], np.int32)
    micros = np.array([(w.hour * 3600 + w.minute * 60) * 1_000_000 for w in known], np.int64)
    got = Clock(zone, 0.0).resolve(keys, micros, np.full(len(known), 1 << 20, np.int32))
    want = [round(w.replace(tzinfo=here).timestamp() * 1e6) for w in known]
    assert got.tolist() == want


def test_times_without_a_date_go_on_over_midnight(read: Any) -> None:
    whole = read([f"{t} INFO a: x" for t in ("22:00:00", "23:59:59", "00:00:01", "00:00:00")])
    assert [(t.day, t.hour) for t in whole.times] == [(1, 22), (1, 23), (2, 0), (2, 0)]
    assert whole.reader.counts["out_of_order"] == 1


def test_disorder_is_counted_not_sorted(read: Any) -> None:
    whole = read([f"2026-11-22 05:10:0{s} INFO a: {s}" for s in (1, 3, 2, 5, 4)])
    assert whole.messages == ["1", "3", "2", "5", "4"]
    assert whole.reader.counts["out_of_order"] == 2


def test_an_impossible_date_is_no_time_but_still_a_record(read: Any) -> None:
    whole = read(["2026-02-28 05:10:00 INFO a: x", "2026-02-30 05:10:00 INFO a: y", "2026-03-01 05:10:00 INFO a: z"])
    assert [t is None for t in whole.times] == [False, True, False]
    assert whole.reader.counts["no_time"] == 1


stamps = st.one_of(
    st.datetimes(datetime(1971, 1, 1), datetime(2099, 1, 1)).map(lambda t: t.isoformat(" ", "milliseconds")),
    st.datetimes(datetime(1971, 1, 1), datetime(2099, 1, 1)).map(lambda t: t.strftime("%d/%b/%Y:%H:%M:%S +0200")),
    st.datetimes(datetime(1971, 1, 1), datetime(2060, 1, 1)).map(lambda t: t.strftime("%y%m%d %H%M%S")),
    st.from_regex(re.compile(r"\A20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\Z", re.ASCII)),
    st.text(alphabet="0123456789-:. abT", max_size=25),
)


@given(st.lists(stamps, min_size=1, max_size=80))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_reading_in_columns_gives_what_reading_one_by_one_gives(texts: list[str]) -> None:
    lines = [f"{text} x".encode() for text in texts]
    finder = StampFinder.learn(lines)
    body = b"\n".join(lines)
    starts = np.cumsum([0, *[len(line) + 1 for line in lines]])[:-1]
    ends = starts + [len(line) for line in lines]
    reader = StampReader(finder)
    # twice: the first pass learns layouts, the second uses them
    for _ in range(2):
        got = reader.read(body, np.frombuffer(body, np.uint8), starts, ends)
        for i, line in enumerate(lines):
            match = finder.find(line) if line[:1] > b" " else None
            one = read_one(match) if match else None
            assert bool(got.found[i]) == (one is not None), line
            if one:
                assert (got.keys[i], got.micros[i], got.zones[i]) == one, line


def test_a_layout_does_not_take_a_longer_stamp_for_its_own() -> None:
    finder = StampFinder.learn([b"2026-11-22 05:10:00 x"])
    line = b"2026-11-22 05:10:00 x"
    match = finder.find(line)
    assert match
    other = b"2026-11-22 05:10:00.5 x"
    fits, _, _ = Layout(match, line).read(np.frombuffer(other, np.uint8), np.array([0]))
    assert not fits[0]


def test_an_unknown_zone_or_format_is_refused_with_what_is_wanted() -> None:
    with pytest.raises(SettingsError, match="Europe/Berlin"):
        ReadingSettings(timezone="Mars/Base")
    with pytest.raises(SettingsError, match="logfmt"):
        ReadingSettings(input="xml")
    with pytest.raises(SettingsError, match="regular expression"):
        ReadingSettings(record_start="(")
