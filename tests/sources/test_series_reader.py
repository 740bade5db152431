"""Does a series come out the same, whatever holds it?"""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from jamais.errors import InputError, ShapeMismatchError
from jamais.sources.series import SeriesBlock, SeriesReader, SeriesReading, open_series
from jamais.types import NO_TIME

START = datetime(2024, 3, 1, 10, tzinfo=UTC)
MINUTE = 60_000_000
NAMES = ("cpu", "memory", "disk")


def values(n: int = 20, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 3)).round(3)


def stamps(n: int) -> list[datetime]:
    return [START + timedelta(minutes=i) for i in range(n)]


def micros(n: int) -> np.ndarray:
    return int(START.timestamp() * 1e6) + np.arange(n) * MINUTE


def csv_text(rows: np.ndarray, times: list[Any] | None = None, names: tuple[str, ...] = NAMES) -> str:
    head = ",".join((("time",) if times is not None else ()) + names)
    lines = [
        ",".join(([str(times[i])] if times is not None else []) + ["" if np.isnan(v) else repr(float(v)) for v in row])
        for i, row in enumerate(rows)
    ]
    return "\n".join([head, *lines]) + "\n"


def read(data: Any, channels: tuple[str, ...] | None = None, step: int | None = None, **options: Any) -> SeriesBlock:
    return whole(open_series(data, SeriesReading(**options), channels, step))


def whole(reader: SeriesReader) -> SeriesBlock:
    blocks = list(reader)
    return SeriesBlock(
        np.concatenate([one.rows for one in blocks]),
        np.concatenate([one.times for one in blocks]),
        np.concatenate([one.values for one in blocks]),
    )


def same(one: SeriesBlock, two: SeriesBlock) -> None:
    np.testing.assert_array_equal(one.rows, two.rows)
    np.testing.assert_array_equal(one.times, two.times)
    assert one.values.tobytes() == two.values.tobytes()


def test_a_csv_gives_its_numbers_and_stamps(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text(csv_text(values(), [f"{one:%Y-%m-%dT%H:%M:%SZ}" for one in stamps(20)]))
    reader = open_series(path)
    block = whole(reader)
    np.testing.assert_array_equal(block.values, values())
    np.testing.assert_array_equal(block.times, micros(20))
    np.testing.assert_array_equal(block.rows, np.arange(20))
    assert reader.channels == NAMES and reader.step == MINUTE and reader.n_rows == 20
    assert reader.bytes_done == reader.bytes_total == path.stat().st_size
    assert reader.said == [] and reader.counts == {} and reader.format == "csv"


def forms(tmp_path: Path, rows: np.ndarray) -> dict[str, Any]:
    """Give one series in all that can hold it."""
    n = len(rows)
    text = csv_text(rows, [f"{one:%Y-%m-%d %H:%M:%S}" for one in stamps(n)])
    frame = pl.DataFrame({"time": stamps(n), **{name: rows[:, i] for i, name in enumerate(NAMES)}})
    (tmp_path / "plain.csv").write_text(text)
    (tmp_path / "tabs.tsv").write_text(text.replace(",", "\t"))
    (tmp_path / "packed.csv.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "dos.csv").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    (tmp_path / "semicolons.csv").write_text(text.replace(",", ";").replace(".", ","))
    frame.write_parquet(tmp_path / "table.parquet")
    np.savez(tmp_path / "arrays.npz", values=rows, time=micros(n), channels=np.array(NAMES))
    np.savez(tmp_path / "by_columns.npz", values=np.asfortranarray(rows), time=micros(n), channels=np.array(NAMES))
    pandas = frame.to_pandas() if False else pd.DataFrame(rows, columns=list(NAMES), index=pd.DatetimeIndex(stamps(n)))
    files = ["plain.csv", "tabs.tsv", "packed.csv.gz", "dos.csv", "semicolons.csv", "table.parquet"]
    return {
        **{name: tmp_path / name for name in [*files, "arrays.npz", "by_columns.npz"]},
        "polars": frame,
        "lazy": frame.lazy(),
        "pandas": pandas,
        "pandas column": pandas.reset_index(names="time"),
        "mappings": frame.to_dicts(),
        "lines": text.splitlines(),
        "text": text,
        "generator of mappings": (one for one in frame.to_dicts()),
        "generator of lines": (line for line in text.splitlines()),
    }


def test_whatever_holds_a_series_gives_the_same_rows(tmp_path: Path) -> None:
    rows = values(50)
    rows[3, 1] = np.nan
    wanted = SeriesBlock(np.arange(50), micros(50), rows)
    for name, data in forms(tmp_path, rows).items():
        reader = open_series(data, SeriesReading(block_rows=16))
        blocks = list(reader)
        assert [len(one) for one in blocks] == [16, 16, 16, 2], name
        assert reader.channels == NAMES and reader.step == MINUTE and reader.said == [], name
        joined = SeriesBlock(*(np.concatenate([getattr(b, f) for b in blocks]) for f in ("rows", "times", "values")))
        same(joined, wanted)


@pytest.mark.parametrize("fitted", [False, True])
def test_an_array_has_channels_by_their_order(fitted: bool) -> None:
    reader = open_series(values(30), SeriesReading(block_rows=7), NAMES if fitted else None)
    block = whole(reader)
    np.testing.assert_array_equal(block.values, values(30))
    assert (block.times == NO_TIME).all() and reader.step == 0
    assert reader.channels == (NAMES if fitted else ("channel 0", "channel 1", "channel 2"))


def test_one_channel_may_be_a_flat_array_or_list(tmp_path: Path) -> None:
    flat = values()[:, 0]
    np.save(tmp_path / "flat.npy", flat)
    for data in (flat, flat.tolist(), flat[:, None], tmp_path / "flat.npy", iter(flat.tolist())):
        np.testing.assert_array_equal(read(data).values, flat[:, None])


def test_columns_are_matched_by_name(tmp_path: Path) -> None:
    rows = values()
    frame = pl.DataFrame({"new": rows[:, 0], "disk": rows[:, 2], "cpu": rows[:, 0]})
    reader = open_series(frame, channels=NAMES)
    block = whole(reader)
    np.testing.assert_array_equal(block.values[:, [0, 2]], rows[:, [0, 2]])
    assert np.isnan(block.values[:, 1]).all()
    assert reader.said == [
        "channels that are not there, so missing: memory",
        "new columns, not looked at: new",
    ]


def test_another_width_is_refused() -> None:
    with pytest.raises(ShapeMismatchError, match="4 values, wanted the 3 channels"):
        read(np.zeros((5, 4)), NAMES)


def test_a_table_of_other_channels_is_refused() -> None:
    with pytest.raises(InputError, match="none of the channels"):
        read(pl.DataFrame({"a": [1.0], "b": [2.0]}), NAMES)
