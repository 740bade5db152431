"""Is a moment the same, however it is written?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jamais.errors import InputError
from jamais.sources.series import SeriesAssembler, SeriesReading, open_series
from jamais.sources.series.stamps.columns import StampColumn, looks_like_stamp
from jamais.types import NO_TIME, Ints

MOMENT = datetime(2024, 2, 13, 14, 5, 6, 250_000, UTC)
MICROS = int(MOMENT.timestamp() * 1_000) * 1_000
WHOLE = MICROS - 250_000


def moments(texts: list[str | None], timezone: str = "UTC", time_format: str | None = None) -> Ints:
    return StampColumn(timezone, time_format).read(pl.Series("t", texts), "test", 0)


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("2024-02-13T14:05:06.25Z", MICROS),
        ("2024-02-13 14:05:06.250000", MICROS),
        ("2024-02-13 14:05:06,250", MICROS),
        ("2024-02-13T15:05:06.250+01:00", MICROS),
        ("2024-02-13 09:05:06.250 -0500", MICROS),
        ("2024-02-13T16:05:06.25+02", MICROS),
        ("2024-02-13 14:05:06.25 UTC", MICROS),
        ("2024/02/13 14:05:06", WHOLE),
        ("13.02.2024 14:05:06", WHOLE),
        ("13/02/2024 14:05:06", WHOLE),
        ("02/13/2024 14:05:06", WHOLE),
        ("20240213T140506", WHOLE),
        ("20240213 14:05:06", WHOLE),
        ("13-Feb-2024 14:05:06", WHOLE),
        ("13 Feb 2024 14:05:06", WHOLE),
        (" 2024-02-13 14:05 ", WHOLE - 6_000_000),
        ("2024-02-13 14", WHOLE - 306_000_000),
        ("2024-02-13", WHOLE - 50_706_000_000),
        ("1707833106", WHOLE),
        ("1707833106.25", MICROS),
        ("1707833106250", MICROS),
        ("1707833106250000", MICROS),
        ("1707833106250000999", MICROS),
        ("1.70783310625e9", MICROS),
    ],
)
def test_a_stamp_is_read_however_it_is_written(text: str, micros: int) -> None:
    assert moments([text, None, text]).tolist() == [micros, NO_TIME, micros]


@pytest.mark.parametrize(
    "text", ["06/01/14 00", "14:05:06", "2024-13-01", "0024-02-13", "tomorrow", "2024-02-13 25:00"]
)
def test_what_is_no_stamp_is_refused_with_the_next_step(text: str) -> None:
    with pytest.raises(InputError, match=r"reading\.time_format"):
        moments([text])


def test_a_format_may_be_told() -> None:
    assert moments(["13/02/24 14"], time_format="%d/%m/%y %H").tolist() == [WHOLE - 306_000_000]
    assert moments(["24.13.02 15:05:06 +0100"], time_format="%y.%d.%m %H:%M:%S %z").tolist() == [WHOLE]
    with pytest.raises(InputError, match="row 1, column 't': 'x' is no stamp"):
        moments(["13/02/24 14", "x"], time_format="%d/%m/%y %H")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_numbers_since_1970_are_told_by_their_size(unit: str) -> None:
    scale = {"s": 10**6, "ms": 10**3, "us": 1}.get(unit)
    number = WHOLE // scale if scale else WHOLE * 1_000
    column = StampColumn("Europe/Berlin", None)
    assert column.read(pl.Series("t", [number, None, number]), "test", 0).tolist() == [WHOLE, NO_TIME, WHOLE]
    assert column.form == unit
    assert moments([str(number)]).tolist() == [WHOLE]


@given(st.datetimes(datetime(1971, 1, 1), datetime(2099, 1, 1)), st.sampled_from(["UTC", "Europe/Berlin"]))
def test_local_time_is_turned_into_utc(wall: datetime, zone: str) -> None:
    local = wall.replace(tzinfo=ZoneInfo(zone))
    exists = local.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) == wall
    wanted = (local.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    if exists:
        for text in (wall.isoformat(), f"{wall:%Y-%m-%d %H:%M:%S.%f}"):
            assert moments([text], zone).tolist() == [wanted]
        assert StampColumn(zone, None).read(pl.Series([wall]), "test", 0).tolist() == [wanted]


def test_the_hour_that_comes_twice_goes_on() -> None:
    walls = [f"2024-10-27 {hour}:{minute:02}:00" for hour in ("01", "02", "02", "03") for minute in range(0, 60, 10)]
    apart = np.diff(moments(walls, "Europe/Berlin"))
    assert (apart == 600_000_000).all()
    column = StampColumn("Europe/Berlin", None)
    singly = [int(column.read(pl.Series("t", [one]), "test", 0)[0]) for one in walls]
    assert (np.diff(singly) == 600_000_000).all()


def test_stamps_of_pandas_and_polars_keep_their_zone() -> None:
    wanted = [WHOLE, WHOLE + 60_000_000]
    zoned = pd.date_range("2024-02-13 15:05:06", periods=2, freq="min", tz="Europe/Berlin")
    frames = [
        pd.DataFrame({"cpu": [1.0, 2.0]}, index=zoned),
        pd.DataFrame({"cpu": [1.0, 2.0], "when": zoned}),
        pl.DataFrame({"cpu": [1.0, 2.0], "when": zoned.to_list()}),
        pl.DataFrame({"cpu": [1.0, 2.0], "when": wanted}).with_columns(pl.col("when").cast(pl.Datetime("us", "UTC"))),
    ]
    for frame in frames:
        for options in (SeriesReading(), SeriesReading(timezone="Asia/Tokyo")):
            (block,) = open_series(frame, options)
            assert block.times.tolist() == wanted


@pytest.mark.parametrize("text", ["cpu", "1707833106", "10.5", "", "2024", "v1.2.2024x", "1-2-3", None])
def test_what_is_no_date_does_not_look_like_one(text: str | None) -> None:
    assert not looks_like_stamp(text)


def test_a_column_of_stamps_is_found_without_its_name() -> None:
    for lines in (["beginning,cpu", "2024-02-13 14:05:06,1"], ["cpu,beginning", "1,2024-02-13T14:05:06Z"]):
        reader = open_series(lines)
        (block,) = reader
        assert (block.times.tolist(), reader.channels) == ([WHOLE], ("cpu",))
        assert SeriesAssembler(SeriesReading(), ("cpu",), 0).push(lines).times.tolist() == [WHOLE]


def test_a_date_and_a_time_of_the_day_in_two_columns_are_one_stamp() -> None:
    lines = ["Date;Time;Power", "13/02/2024;14:05:06;4,5", "13/02/2024;14:06:06;?", "13/02/2024;14:07:06;6"]
    reader = open_series(lines)
    (block,) = reader
    assert (block.times - WHOLE).tolist() == [0, 60_000_000, 120_000_000]
    np.testing.assert_array_equal(block.values, [[4.5], [np.nan], [6]])
    assert (reader.channels, reader.said) == (("Power",), [])
    assembler = SeriesAssembler(SeriesReading(), ("Power",), 60_000_000)
    assert [int(one) for line in lines for one in assembler.push(line).times - WHOLE] == [0, 60_000_000, 120_000_000]
    frame = pl.DataFrame({"date": [MOMENT.date()], "time": [MOMENT.replace(tzinfo=None).time()], "Power": [1.0]})
    assert next(iter(open_series(frame))).times.tolist() == [MICROS]
    (record,) = frame.to_dicts()
    assert SeriesAssembler(SeriesReading(), ("Power",), 0).push(record).times.tolist() == [MICROS]


def test_no_column_of_stamps_may_be_wanted() -> None:
    reader = open_series(["time,cpu", "7,1"], SeriesReading(time_column=""))
    (block,) = reader
    assert reader.channels == ("time", "cpu")
    assert block.times.tolist() == [NO_TIME]
