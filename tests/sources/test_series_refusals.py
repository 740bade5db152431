"""What does bad or hostile data hear?"""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from jamais.errors import InputError, ShapeMismatchError
from jamais.settings import as_tree, override
from jamais.sources.series import SeriesReading, open_series

NAMES = ("cpu", "memory", "disk")


def read(data: Any, channels: tuple[str, ...] | None = None, **options: Any) -> int:
    return sum(len(block) for block in open_series(data, SeriesReading(**options), channels))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a,b\n1,2\n3\n", "row 1 has 1 columns, wanted 2"),
        ("a,b\n1,2\n3,4,5\n", "row 1 has 3 columns, wanted 2"),
        ('a,b\n1,2\n"3,4"\n', "row 1 has 1 columns, wanted 2"),
        ("a,b,a\n1,2,3\n", "column 'a' stands twice"),
        ("host,name\nx,y\n", "no column of numbers, it has host, name"),
        ("time,a\n2024-03-01 10:00:00,1\nsoon,2\n", "row 1, column 'time': 'soon' is no stamp"),
        ("time,a\n10 past 4,1\n", "'10 past 4' in column 'time' is no stamp that is known"),
        ("date,a\n03/04/2024,1\n31/04/2024,2\n", r"row 1, column 'date'.*month or day first"),
        ("a,b\n" + "1,2\n" * 2_000 + "1,x\n", "row 2,000, column 'b': 'x' is no number"),
        ("time,a\n5,1\n4,2\n3,3\n", "newest first"),
    ],
)
def test_a_bad_csv_is_told_where_it_is_bad(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(InputError, match=match):
        read(tmp_path / "m.csv")


@pytest.mark.parametrize("text", ["", "\n\n", "time,cpu\n", "\ufeff"])
def test_a_file_without_rows_gives_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.csv").write_text(text, encoding="utf-8")
    assert read(tmp_path / "m.csv") == 0
    assert read([]) == 0


def test_one_row_is_a_series() -> None:
    assert read(["cpu,memory", "1,2"]) == 1
    assert read(np.zeros((1, 3))) == 1


def test_files_that_are_not_what_they_are_called(tmp_path: Path) -> None:
    binary = np.random.default_rng(0).bytes(10_000)
    for name in ("m.csv", "m.parquet", "m.npz", "m.npy"):
        (tmp_path / name).write_bytes(binary)
        with pytest.raises(InputError, match="m\\."):
            read(tmp_path / name)
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 10_000)[:-20])
    with pytest.raises(InputError, match="damaged or cut short"):
        read(tmp_path / "cut.csv.gz")
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "none.csv")
    with pytest.raises(InputError, match="no such file"):
        read([str(tmp_path / "none.csv"), str(tmp_path / "none.npz")])
    with pytest.raises(InputError, match="no file matches"):
        read(str(tmp_path / "*.tsv"))
    with pytest.raises(InputError, match="directory"):
        read(tmp_path)


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    objects = np.array([{"a": 1}, None], dtype=object)
    np.save(tmp_path / "o.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "o.npz", values=objects)
    for name in ("o.npy", "o.npz"):
        with pytest.raises(InputError, match="pickled"):
            read(tmp_path / name)


def bomb(path: Path, shape: tuple[int, int], by_columns: bool, n_bytes: int) -> None:
    """Write an .npz whose header promises a shape over so many zeros."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": by_columns, "shape": shape})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed, packed.open("values.npy", "w") as file:
        file.write(head.getvalue())
        for _ in range(n_bytes >> 20):
            file.write(b"\0" * (1 << 20))


@pytest.mark.parametrize("by_columns", [False, True])
def test_a_header_that_promises_more_than_there_is_is_refused(tmp_path: Path, by_columns: bool) -> None:
    bomb(tmp_path / "bomb.npz", (10**9, 1_000), by_columns, 1 << 20)
    with pytest.raises(InputError, match="promises more than it has"):
        read(tmp_path / "bomb.npz")
    with (tmp_path / "short.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f8", "fortran_order": by_columns, "shape": (10**9, 1_000)}
        )
    with pytest.raises(InputError, match="cut short"):
        read(tmp_path / "short.npy")


def test_a_bomb_is_read_piece_by_piece_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb(tmp_path / "rows.npz", (32 << 17, 1), False, 32 << 20)
    first = next(iter(open_series(tmp_path / "rows.npz")))
    assert len(first) == 8_192
    bomb(tmp_path / "columns.npz", (32 << 16, 2), True, 32 << 20)
    monkeypatch.setattr("jamais.sources.series.opened.arrays._WHOLE_BYTES", 1 << 20)
    with pytest.raises(InputError, match="column by column"):
        read(tmp_path / "columns.npz")


@pytest.mark.parametrize(
    ("arrays", "options", "match"),
    [
        ({"a": np.zeros((3, 2)), "b": np.zeros((3, 2))}, {}, "several arrays could be the series"),
        ({"a": np.zeros((3, 2))}, {"array": "c"}, "no array 'c', it has a"),
        ({"a": np.zeros((3, 2, 2))}, {}, "no array is a series"),
        ({"a": np.zeros((3, 2)), "t": np.zeros(4)}, {"time_column": "t"}, "wanted one for each of 3"),
        ({"a": np.array([["x", "y"]])}, {}, "wanted numbers"),
        ({"a": np.zeros((3, 2)), "time": np.zeros(3, complex)}, {}, "stamps 'time' are complex"),
    ],
)
def test_an_npz_that_leaves_questions_hears_them(
    tmp_path: Path, arrays: dict[str, np.ndarray], options: dict[str, Any], match: str
) -> None:
    np.savez(tmp_path / "m.npz", **arrays)
    with pytest.raises((InputError, ShapeMismatchError), match=match):
        read(tmp_path / "m.npz", **options)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (np.zeros((2, 2, 2)), "shape"),
        (np.array(5.0), "shape"),
        (np.array([[1 + 2j]]), "complex"),
        (np.array([["a"]]), "wanted numbers"),
        (np.array(["2024-01-01"], "datetime64[D]"), "wanted numbers"),
        ([[1.0, 2.0], [3.0]], "one width"),
        ([[1.0, "x"]], "wanted numbers"),
        ([[1.0, {}]], "holds dict"),
        ([[10**400, 1.0]], "beyond"),
        (7, "cannot read a series from int"),
        (b"1,2", "cannot read a series from bytes"),
        ({"a": [1.0, 2.0], "b": [1.0]}, "do not make a table"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "stands twice"),
        (pl.DataFrame({"a": [[1.0], [2.0]]}), "no column of numbers"),
        (pl.DataFrame({"time": [[1.0]], "a": [1.0]}), "holds no stamps"),
    ],
)
def test_what_is_no_series_is_refused(data: Any, match: str) -> None:
    with pytest.raises((InputError, ShapeMismatchError), match=match):
        read(data)


def test_numbers_of_any_size_are_read() -> None:
    big = [[10**30, -(2**63)], [None, 2**64]]
    (block,) = open_series(big)
    np.testing.assert_array_equal(block.values, [[1e30, -(2.0**63)], [np.nan, 2.0**64]])
    (block,) = open_series(["a,b", f"{10**30},1e400"])
    np.testing.assert_array_equal(block.values, [[1e30, np.nan]])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"layout": "round"}, "layout is one of"),
        ({"block_rows": 0}, "block_rows"),
        ({"resample": "often"}, "no duration"),
        ({"max_gap_rows": -1}, "max_gap_rows"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        SeriesReading(**options)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"time_column": "when"}, "no column 'when' of stamps"),
        ({"layout": "long"}, "no column of names for the long layout"),
        ({"name_column": "who"}, "no column who"),
        ({"columns": ("gpu",)}, "no column gpu"),
    ],
)
def test_columns_that_are_not_there_are_named(options: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match):
        read(["time,cpu", "1,2"], **options)


def test_settings_are_overridden_and_saved_as_json() -> None:
    changed = override(SeriesReading(), {"columns": "cpu,disk", "resample": "60s", "max_gap_rows": "10"})
    assert changed == SeriesReading(columns=("cpu", "disk"), resample="60s", max_gap_rows=10)
    assert override(SeriesReading(), as_tree(changed)) == changed


def test_what_is_given_is_left_as_it_was() -> None:
    rows = np.array([[1.0, np.inf, np.nan]] * 5)
    frame = pl.DataFrame({"cpu": rows[:, 1]})
    listed = rows.tolist()
    for data in (rows, listed, frame, pd.DataFrame(rows)):
        read(data)
    assert np.isinf(rows[:, 1]).all()
    assert listed[0][1] == np.inf
    assert np.isinf(frame["cpu"].to_numpy()).all()
    blocks = list(open_series(rows))
    blocks[0].values[:] = 7
    assert rows[0, 0] == 1
