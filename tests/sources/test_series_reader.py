"""Does a series come out the same, whatever holds it?"""

from __future__ import annotations

import gzip
import io
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
    assert (reader.channels, reader.step, reader.n_rows) == (NAMES, MINUTE, 20)
    assert reader.bytes_done == reader.bytes_total == path.stat().st_size
    assert (reader.said, reader.counts, reader.format) == ([], {}, "csv")


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
    pandas = pd.DataFrame(rows, columns=list(NAMES), index=pd.DatetimeIndex(stamps(n)))
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
        assert (reader.channels, reader.step, reader.said) == (NAMES, MINUTE, []), name
        joined = SeriesBlock(*(np.concatenate([getattr(b, f) for b in blocks]) for f in ("rows", "times", "values")))
        same(joined, wanted)


@pytest.mark.parametrize("fitted", [False, True])
def test_an_array_has_channels_by_their_order(fitted: bool) -> None:
    reader = open_series(values(30), SeriesReading(block_rows=7), NAMES if fitted else None)
    block = whole(reader)
    np.testing.assert_array_equal(block.values, values(30))
    assert (block.times == NO_TIME).all()
    assert reader.step == 0
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


def table(offsets: list[int | None], **columns: Any) -> pl.DataFrame:
    """Give a table of one channel with stamps so many seconds after the start."""
    times = [None if one is None else START + timedelta(seconds=one) for one in offsets]
    return pl.DataFrame({"time": times, "cpu": np.arange(len(offsets), dtype=float), **columns})


def test_gaps_are_filled_with_empty_rows() -> None:
    reader = open_series(table([0, 60, 120, 300, 360]))
    block = whole(reader)
    assert block.rows.tolist() == [0, 1, 2, -1, -1, 3, 4]
    assert ((block.times - micros(1)[0]) // MINUTE).tolist() == [0, 1, 2, 3, 4, 5, 6]
    np.testing.assert_array_equal(block.values[:, 0], [0, 1, 2, np.nan, np.nan, 3, 4])
    assert reader.counts == {"gaps": 1, "empty rows put in": 2}
    assert reader.said == ["gaps: 1", "empty rows put in: 2"]
    assert len(block) == 5 == reader.n_rows


@pytest.mark.parametrize(("apart", "n"), [(89, 0), (90, 1), (149, 1), (150, 2), (3_600, 59), (10**8, 512)])
def test_a_gap_begins_at_one_and_a_half_steps_and_is_bounded(apart: int, n: int) -> None:
    block = read(table([0, apart]), ("cpu",), MINUTE)
    assert (block.rows < 0).sum() == n


def test_a_gap_of_cells_is_bounded_too_and_a_repeat_does_not_shorten_one() -> None:
    far = table([0, 10_000])
    assert (read(far, resample="60s").rows < 0).sum() == 165
    assert (read(far, resample="60s", max_gap_rows=100).rows < 0).sum() == 100
    assert read(table([0, 60, 60, 180]), step=MINUTE).rows.tolist() == [0, 1, 2, -1, 3]


def test_jitter_repeats_and_rows_that_go_back_stay_where_they_are() -> None:
    reader = open_series(table([0, 61, 118, 118, 60, 182, None, 300, 360, 420, 480, 540]))
    block = whole(reader)
    assert block.rows.tolist() == list(range(12))
    assert reader.counts == {
        "rows without a stamp": 1,
        "rows with the stamp of one before": 1,
        "rows that go back in time": 1,
    }


def test_events_without_a_step_leave_no_gaps() -> None:
    apart = np.random.default_rng(0).exponential(60, 200).cumsum()
    reader = open_series(table([int(one) for one in apart]))
    assert (whole(reader).rows >= 0).all()
    assert reader.step == 0
    assert reader.said[0].startswith("stamps keep no step")


def test_gaps_are_filled_alike_in_small_blocks() -> None:
    offsets = list(np.random.default_rng(0).choice([60, 60, 60, 60, 60, 60, 200, 5_000], 300).cumsum())
    data = table([int(one) for one in offsets])
    large = whole(open_series(data, SeriesReading(block_rows=400), step=MINUTE))
    reader = open_series(data, SeriesReading(block_rows=10), step=MINUTE)
    blocks = list(reader)
    assert all(block.rows[-1] >= 0 for block in blocks)
    assert all((block.rows[:-1] >= 0).sum() < 10 for block in blocks)
    same(SeriesBlock(*(np.concatenate([getattr(b, f) for b in blocks]) for f in ("rows", "times", "values"))), large)


def test_a_file_with_the_newest_first_is_refused() -> None:
    with pytest.raises(InputError, match="newest first: sort"):
        read(table([300, 240, 180, 120]))


def test_resampling_averages_cells_and_says_so() -> None:
    reader = open_series(table([0, 20, 40, 60, 61, 200, 30, None]), SeriesReading(resample="60s"))
    block = whole(reader)
    assert block.rows.tolist() == [0, 1, -1, 2]
    assert ((block.times - micros(1)[0]) // MINUTE).tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(block.values[:, 0], [1, 3.5, np.nan, 5])
    assert reader.step == MINUTE
    assert reader.said[0] == "values are averaged over 60s"
    assert reader.counts["rows left out, they came after their cell was over"] == 1
    assert reader.counts["rows left out, they have no stamp to be averaged by"] == 1


@pytest.mark.parametrize("data", [values(), pl.DataFrame({"cpu": [1.0, 2.0]})])
def test_what_has_no_stamps_cannot_be_resampled(data: Any) -> None:
    with pytest.raises(InputError, match="cannot be resampled"):
        read(data, resample="60s")


def melted(rows: np.ndarray) -> pl.DataFrame:
    frame = pl.DataFrame({"time": stamps(len(rows)), **{name: rows[:, i] for i, name in enumerate(NAMES)}})
    return frame.unpivot(index="time", variable_name="metric", value_name="value")


@pytest.mark.parametrize("fitted", [None, NAMES])
def test_long_lines_make_the_rows_of_the_wide_table(fitted: tuple[str, ...] | None, tmp_path: Path) -> None:
    """By time or by name, in memory or in files."""
    rows = values(40)
    by_name = melted(rows)
    by_time = by_name.sort("time", maintain_order=True)
    wanted = SeriesBlock(np.arange(40), micros(40), rows)
    for data, said in ((by_name, ["lines were sorted by time"]), (by_time, [])):
        data.write_csv(tmp_path / "long.csv", datetime_format="%Y-%m-%dT%H:%M:%S%z")
        data.write_parquet(tmp_path / "long.parquet")
        files = [tmp_path / "long.csv", tmp_path / "long.parquet"]
        for form in (data, data.lazy(), data.to_dicts(), *files):
            reader = open_series(form, SeriesReading(block_rows=16), fitted)
            same(whole(reader), wanted)
            assert (reader.channels, reader.said) == (NAMES, said)


def test_long_lines_that_lack_names_or_repeat_them_are_counted() -> None:
    lines = ["time,name,value", "0,cpu,1", "0,disk,2", "0,cpu,3", "60,other,9", "60,memory,4"]
    reader = open_series(lines, channels=NAMES, step=MINUTE)
    block = whole(reader)
    np.testing.assert_array_equal(block.values, [[3, np.nan, 2], [np.nan, 4, np.nan]])
    assert reader.counts == {"lines of new channels": 1, "values given twice for one stamp": 1}


def test_columns_of_other_names_are_told_by_settings() -> None:
    lines = ["when,what,how_much,host", "1700000000,cpu,1,a", "1700000000,disk,2,a", "1700000060,cpu,3,a"]
    block = read(lines, time_column="when", name_column="what", value_column="how_much")
    np.testing.assert_array_equal(block.values, [[1, 2], [3, np.nan]])
    wide = open_series(lines, SeriesReading(time_column="when"))
    whole(wide)
    assert wide.channels == ("how_much",)
    assert wide.said[0] == "columns left out, they hold no numbers: what, host"


def test_labels_texts_and_row_numbers_are_left_out_and_said() -> None:
    frame = table([0, 60]).with_columns(
        pl.Series("is_anomaly", [0, 1]), pl.Series("host", ["a", "b"]), pl.Series("index", [0, 1])
    )
    reader = open_series(frame)
    whole(reader)
    assert reader.channels == ("cpu",)
    assert reader.said == [
        "labels left out: is_anomaly",
        "columns left out, they hold no numbers: host",
        "columns left out: index",
    ]
    assert open_series(frame, SeriesReading(columns=("index", "cpu"))).channels == ()
    assert read(frame, columns=("index", "cpu")).values.tolist() == [[0, 0], [1, 1]]
    for columns, match in ((("host",), "'?host'? holds no numbers"), (("no",), "no column no, it has")):
        with pytest.raises(InputError, match=match):
            read(frame, columns=columns)


def test_infinite_and_empty_values_are_missing_and_columns_may_be_empty() -> None:
    lines = ["cpu,memory,disk", "1,inf,", "-Infinity,NaN,", "3,null,"]
    for channels in (None, NAMES):
        reader = open_series(lines, channels=channels)
        np.testing.assert_array_equal(
            whole(reader).values, [[1, np.nan, np.nan], [np.nan, np.nan, np.nan], [3, np.nan, np.nan]]
        )
        assert reader.channels == NAMES
        assert reader.counts == {"infinite values taken for missing": 2}


def test_several_files_are_one_stream(tmp_path: Path) -> None:
    rows = values(30)
    text = [f"{one:%Y-%m-%dT%H:%M:%SZ}" for one in stamps(30)]
    (tmp_path / "b.csv").write_text(csv_text(rows[:10], text[:10]))
    swapped = csv_text(rows[10:20, ::-1], text[10:20], NAMES[::-1])
    (tmp_path / "a.csv").write_text(swapped)
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(csv_text(rows[20:], text[20:]).encode()))
    wanted = SeriesBlock(np.arange(30), micros(30), rows)
    same(read([tmp_path / "b.csv", tmp_path / "a.csv", tmp_path / "c.csv.gz"]), wanted)
    reader = open_series(str(tmp_path / "*.csv*"))
    assert [Path(name).name for name in reader.files] == ["b.csv", "a.csv", "c.csv.gz"]
    same(whole(reader), wanted)


def test_standard_input_and_open_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = csv_text(values(), [str(1_709_287_200 + 60 * i) for i in range(20)])
    wanted = SeriesBlock(np.arange(20), micros(20), values())
    stream = io.TextIOWrapper(io.BytesIO(text.encode()))
    monkeypatch.setattr("sys.stdin", stream)
    same(read("-"), wanted)
    same(read(io.StringIO(text)), wanted)


def test_files_without_a_line_of_names_are_read_by_their_order(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "bare.txt", values(), delimiter=",")
    for channels in (None, NAMES):
        np.testing.assert_array_equal(read(tmp_path / "bare.txt", channels).values, values())
    frame = pd.DataFrame(values())
    frame.to_csv(tmp_path / "indexed.csv")
    reader = open_series(tmp_path / "indexed.csv")
    np.testing.assert_array_equal(whole(reader).values, values())
    assert reader.channels == ("0", "1", "2")


def test_the_step_that_was_fitted_is_kept() -> None:
    reader = open_series(table([0, 120, 240]), step=MINUTE)
    assert (whole(reader).rows >= 0).sum() == 3
    assert reader.step == MINUTE
    assert reader.counts["empty rows put in"] == 2


def test_numbers_of_every_kind_of_column_are_read() -> None:
    numbers = [1, None, 3]
    wanted = [1.0, np.nan, 3.0]
    columns = {
        "int8": pl.Series(numbers, dtype=pl.Int8),
        "float32": pl.Series(numbers, dtype=pl.Float32),
        "decimal": pl.Series(["1", None, "3"]).cast(pl.Decimal(10, 2)),
        "text": pl.Series(["1", None, " 3 "]),
        "bool": pl.Series([True, None, True]),
        "empty": pl.Series([None, None, None]),
    }
    names = ("int8", "float32", "decimal", "text", "bool", "empty")
    block = read(pl.DataFrame(columns), names)
    np.testing.assert_array_equal(block.values[:, :4], np.array([wanted] * 4).T)
    np.testing.assert_array_equal(block.values[:, 4:], np.array([[1, np.nan, 1], [np.nan] * 3]).T)
    pandas = pd.DataFrame(
        {
            "nullable": pd.array(numbers, dtype="Int64"),
            "object": pd.Series(numbers, dtype=object),
            "boolean": pd.array([True, None, True], dtype="boolean"),
        }
    )
    np.testing.assert_array_equal(read(pandas).values, np.array([wanted, wanted, [1, np.nan, 1]]).T)


def test_a_melted_table_of_pandas_is_the_wide_one() -> None:
    rows = values(20)
    wide = pd.DataFrame(rows, columns=list(NAMES)).assign(date=pd.to_datetime(micros(20), unit="us"))
    same(read(wide.melt(id_vars="date", var_name="sensor")), SeriesBlock(np.arange(20), micros(20), rows))
    categories = wide.melt(id_vars="date", var_name="sensor").astype({"sensor": "category"})
    same(read(categories), SeriesBlock(np.arange(20), micros(20), rows))
