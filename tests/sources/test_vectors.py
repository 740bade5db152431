"""Are rows of numbers read alike from every place, in bounded pieces, and is bad input told in one clear sentence?"""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jamais.errors import InputError, ShapeMismatchError
from jamais.memory.incoming import checked_rows
from jamais.sources.vectors import VectorReader, VectorSettings, open_vectors

ROWS = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
NAMES = ["a", "b", "c", "d"]


def opened(data: Any, width: int | None = None, labelled: bool = False, **options: Any) -> VectorReader:
    return open_vectors(data, checked_rows, VectorSettings(**options), width, labelled=labelled)


def read(data: Any, **more: Any) -> np.ndarray:
    blocks = [block.rows for block in opened(data, **more)]
    return np.concatenate(blocks) if blocks else np.empty((0, 0), np.float32)


def every_way(folder: Path) -> dict[str, Any]:
    """All that holds ROWS."""
    frame = pl.DataFrame(ROWS, schema=NAMES)
    np.save(folder / "rows.npy", ROWS)
    np.save(folder / "wide.npy", ROWS.astype(np.float64))
    np.save(folder / "columns.npy", np.asfortranarray(ROWS))
    np.save(folder / "big-endian.npy", ROWS.astype(">f4"))
    np.savez(folder / "rows.npz", ROWS)
    np.savez_compressed(folder / "labelled.npz", rows=ROWS, y=np.arange(30))
    np.savez(folder / "columns.npz", np.asfortranarray(ROWS))
    frame.write_parquet(folder / "rows.parquet")
    frame.with_columns(name=pl.lit("x")).write_parquet(folder / "named.parquet")
    pl.DataFrame({"id": ["x"] * 30, "v": ROWS.tolist()}).write_parquet(folder / "lists.parquet")
    frame.write_csv(folder / "rows.csv")
    frame.write_csv(folder / "rows.tsv", separator="\t")
    frame.write_csv(folder / "bare.csv", include_header=False)
    (folder / "rows.csv.gz").write_bytes(gzip.compress((folder / "rows.csv").read_bytes()))
    for at in range(3):
        np.save(folder / f"part{at}.npy", ROWS[10 * at : 10 * at + 10])
    files = [path for path in folder.iterdir() if not path.name.startswith("part")]
    return {
        **{path.name: path for path in files},
        "text path": str(folder / "rows.npy"),
        "list of paths": [folder / "part0.npy", str(folder / "part1.npy"), folder / "part2.npy"],
        "glob": str(folder / "part?.npy"),
        "array": ROWS,
        "wide array": ROWS.astype(np.float64),
        "tensor": torch.from_numpy(ROWS),
        "nested lists": ROWS.tolist(),
        "list of rows": list(ROWS),
        "blocks one by one": (ROWS[at : at + 7] for at in range(0, 30, 7)),
        "rows one by one": (row for row in ROWS),
        "polars": frame,
        "polars of lists": pl.DataFrame({"v": ROWS.tolist()}),
        "polars of arrays": pl.DataFrame({"v": pl.Series(ROWS, dtype=pl.Array(pl.Float32, 4))}),
        "lazy polars": frame.lazy(),
        "pandas": pd.DataFrame(ROWS, columns=NAMES),
        "pandas of lists": pd.DataFrame({"name": ["x"] * 30, "v": list(ROWS)}),
        "mapping": {"rows": ROWS, "y": np.arange(30)},
    }


WAYS = sorted(
    [
        *("rows.npy", "wide.npy", "columns.npy", "big-endian.npy", "rows.npz", "labelled.npz", "columns.npz"),
        *("rows.parquet", "named.parquet", "lists.parquet", "rows.csv", "rows.tsv", "bare.csv", "rows.csv.gz"),
        *("text path", "list of paths", "glob", "array", "wide array", "tensor", "nested lists", "list of rows"),
        *("blocks one by one", "rows one by one", "polars", "polars of lists", "polars of arrays", "lazy polars"),
        *("pandas", "pandas of lists", "mapping"),
    ]
)


@pytest.mark.parametrize("way", WAYS)
def test_the_same_rows_come_out_of_everything_that_holds_them(way: str, tmp_path: Path) -> None:
    ways = every_way(tmp_path)
    assert sorted(ways) == WAYS
    found = read(ways[way])
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    assert np.array_equal(found, ROWS)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.lists(st.integers(0, 12), max_size=6))
def test_blocks_have_one_size_wherever_sources_end(size: int, cuts: list[int]) -> None:
    parts = [ROWS[at : at + n] for at, n in zip(np.cumsum([0, *cuts]), cuts, strict=False)]
    blocks = [block.rows for block in opened((part for part in parts), block_rows=size)]
    assert all(len(block) == size for block in blocks[:-1])
    whole = np.concatenate([*parts, ROWS[:0]])
    assert np.array_equal(np.concatenate([*blocks, ROWS[:0]]), whole)


def test_progress_goes_to_the_whole_and_the_files_are_named(tmp_path: Path) -> None:
    for at in range(2):
        np.save(tmp_path / f"{at}.npy", ROWS)
    reader = opened([tmp_path / "0.npy", tmp_path / "1.npy"], block_rows=7)
    seen = [reader.bytes_done for _ in reader]
    assert seen == sorted(seen)
    assert reader.bytes_done == reader.bytes_total == 2 * (tmp_path / "0.npy").stat().st_size
    assert reader.files == [str(tmp_path / "0.npy"), str(tmp_path / "1.npy")]
    assert (reader.n_rows, reader.width, reader.format) == (60, 4, "npy")


def test_columns_are_taken_by_name_and_what_is_left_out_is_said(tmp_path: Path) -> None:
    frame = pl.DataFrame(ROWS, schema=NAMES).with_columns(name=pl.lit("x"))
    reader = opened(frame)
    assert len(list(reader)) == 1
    assert reader.columns == tuple(NAMES)
    assert reader.said == ["columns left out: name"]
    turned = frame.select("d", "name", "b", "a", "c")
    assert np.array_equal(read(turned, columns=("a", "b", "c", "d")), ROWS)
    assert np.array_equal(read(turned.to_pandas(), columns=("a", "b", "c", "d")), ROWS)
    turned.write_csv(tmp_path / "turned.csv")
    assert np.array_equal(read(tmp_path / "turned.csv", columns=("a", "b", "c", "d")), ROWS)
    with pytest.raises(InputError, match="no column e: the rows are made of a, e"):
        read(frame, columns=("a", "e"))


@pytest.mark.parametrize("way", ["labelled.npz", "mapping", "polars", "pandas", "table.csv", "table.parquet"])
def test_labels_come_beside_the_rows(way: str, tmp_path: Path) -> None:
    frame = pl.DataFrame(ROWS, schema=NAMES).with_columns(y=pl.Series(np.arange(30)))
    np.savez(tmp_path / "labelled.npz", rows=ROWS, y=np.arange(30))
    frame.write_csv(tmp_path / "table.csv")
    frame.write_parquet(tmp_path / "table.parquet")
    ways = {"mapping": {"rows": ROWS, "y": np.arange(30)}, "polars": frame, "pandas": frame.to_pandas()}
    reader = opened(ways.get(way, tmp_path / way), labelled=True, label_column="y", block_rows=8)
    blocks = list(reader)
    assert np.array_equal(np.concatenate([block.rows for block in blocks]), ROWS)
    labels = [str(label) for block in blocks if block.labels is not None for label in block.labels.tolist()]
    assert labels == [str(n) for n in range(30)]
    assert all(block.labels is None for block in opened(ways.get(way, tmp_path / way), label_column="y"))
    with pytest.raises(InputError, match="'z'"):
        list(opened(ways.get(way, tmp_path / way), labelled=True, label_column="z"))


def bad_files(folder: Path) -> dict[str, Path]:
    """Files that cannot be read, by what is wrong with them."""
    np.save(folder / "whole.npy", ROWS)
    whole = (folder / "whole.npy").read_bytes()
    odd = ROWS.copy()
    odd[17, 2] = np.nan
    np.save(folder / "nan.npy", odd)
    np.savez(folder / "nan.npz", odd)
    pl.DataFrame(odd, schema=NAMES).write_csv(folder / "nan.csv")
    pl.DataFrame(ROWS, schema=NAMES).with_columns(
        c=pl.when(pl.int_range(30) == 17).then(None).otherwise("c")
    ).write_parquet(folder / "null.parquet")
    (folder / "cut.npy").write_bytes(whole[:-20])
    (folder / "head.npy").write_bytes(whole[:50])
    (folder / "none.npy").write_bytes(b"")
    (folder / "text.npy").write_bytes(b"not an array at all, really\n" * 10)
    np.save(folder / "objects.npy", np.array([[1, "a"], [None, {}]], dtype=object), allow_pickle=True)
    np.savez(folder / "objects.npz", rows=np.array([[1, 2], [3, None]], dtype=object))
    np.save(folder / "flat.npy", ROWS[0])
    np.save(folder / "cube.npy", ROWS.reshape(5, 6, 4))
    np.save(folder / "complex.npy", ROWS.astype(np.complex64))
    np.save(folder / "words.npy", np.array([["a", "b"]]))
    np.save(folder / "fields.npy", np.zeros((2, 2), dtype=[("x", "f4"), ("y", "f4")]))
    np.savez(folder / "several.npz", left=ROWS, right=ROWS, y=np.arange(30))
    np.savez(folder / "nothing.npz", y=np.arange(30))
    np.savez(folder / "good.npz", ROWS)
    packed = (folder / "good.npz").read_bytes()
    (folder / "cut.npz").write_bytes(packed[:-40])
    (folder / "flipped.npz").write_bytes(packed[:200] + bytes([packed[200] ^ 255]) + packed[201:])
    (folder / "words.csv").write_text("name,town\nx,y\n")
    (folder / "ragged.csv").write_text("a,b\n1,2\n3,4,5\n")
    (folder / "bad.parquet").write_bytes(b"PAR1 but nothing more PAR1")
    pl.DataFrame({"v": [[1.0, 2.0], [3.0]]}).write_parquet(folder / "ragged.parquet")
    (folder / "rows.xlsx").write_bytes(b"PK")
    (folder / "folder.npy").mkdir()
    return {path.name: path for path in folder.iterdir()}


BAD = {
    "nan.npy": r"nan\.npy: row 17 holds NaN",
    "nan.npz": r"nan\.npz: row 17 holds NaN",
    "nan.csv": r"row 17 holds NaN|no table of numbers",
    "null.parquet": r"row 17 holds NaN",
    "cut.npy": r"cut short: its header promises \[30, 4\] float32, 608 bytes, it has 588",
    "head.npy": "no array of numbers",
    "none.npy": "no array of numbers",
    "text.npy": "no array of numbers",
    "objects.npy": "pickled Python objects, which could run code",
    "objects.npz": "pickled Python objects",
    "flat.npy": r"has shape \[4\], wanted rows \[n, width\]",
    "cube.npy": r"has shape \[5, 6, 4\], wanted rows",
    "complex.npy": "real numbers",
    "words.npy": "rows of numbers",
    "fields.npy": "named fields x, y",
    "several.npz": r"several arrays could be the rows \(left \[30, 4\], right \[30, 4\], y \[30\]\)",
    "nothing.npz": r"no array has two dimensions \(y \[30\]\)",
    "cut.npz": "damaged, cut short or no .npz",
    "flipped.npz": "damaged|no array of numbers",
    "words.csv": "no column of numbers",
    "ragged.csv": "no table of numbers",
    "bad.parquet": "cannot read",
    "ragged.parquet": "the list in row 1 has 1 numbers, not 2",
    "rows.xlsx": "wanted .npy, .npz, .parquet",
    "folder.npy": "is a directory",
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_told_in_one_sentence(name: str, tmp_path: Path) -> None:
    path = bad_files(tmp_path)[name]
    with pytest.raises((InputError, ShapeMismatchError), match=BAD[name]) as told:
        read(path)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (ROWS[0], r"shape \(4,\), one row alone is X\[None, :\]"),
        (ROWS.reshape(5, 6, 4), r"shape \(5, 6, 4\)"),
        (np.array([[1, "a"]], dtype=object), "with text"),
        ([[1.0, 2.0], [3.0]], "rows of numbers"),
        (np.full((3, 2), np.inf), "row 0 holds NaN, infinity"),
        (np.full((3, 2), 1e39), "more than 3e38"),
        (pl.DataFrame({"name": ["x"]}), "no column of numbers"),
        (pl.DataFrame({"v": [[1.0]], "w": [[1.0]]}), "several columns of lists"),
        (pd.DataFrame({"v": [[1.0], [1.0, 2.0]]}), "not all of one length"),
        ({"a": ROWS, "b": ROWS}, "several arrays could be the rows"),
        ({"rows": ROWS, "y": np.arange(3)}, "30 rows and 3 labels"),
        (7, "cannot read rows of numbers from int"),
        (b"bytes", "cannot read rows of numbers from bytes"),
        ("nowhere.npy", "no such file"),
        ("nowhere*.npy", "no file matches"),
        (torch.zeros(2, 2).to_sparse(), "dense"),
    ],
)
def test_bad_data_is_told_in_one_sentence(data: Any, told: str) -> None:
    with pytest.raises((InputError, ShapeMismatchError), match=told):
        list(opened(data, labelled=isinstance(data, dict), label_column="y" if isinstance(data, dict) else None))


def test_another_width_is_refused() -> None:
    with pytest.raises(ShapeMismatchError, match="give the columns that were learned"):
        read(ROWS, width=5)
    with pytest.raises(ShapeMismatchError):
        read(part for part in (ROWS, ROWS[:, :2]))


def test_a_column_with_a_word_in_it_is_left_out_and_said_or_refused_where_it_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "text.csv").write_text("a,b\n1,2\n3,four\n")
    reader = opened(tmp_path / "text.csv")
    assert [block.rows.tolist() for block in reader] == [[[1.0], [3.0]]]
    assert reader.said == ["columns left out: b"]
    with pytest.raises(InputError, match="column b holds no numbers"):
        read(tmp_path / "text.csv", columns=("a", "b"))


def test_an_array_of_a_file_is_chosen_by_its_key(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", left=ROWS, right=ROWS + 1)
    assert np.array_equal(read(tmp_path / "two.npz", array="right"), ROWS + 1)
    with pytest.raises(InputError, match="no array 'middle'"):
        read(tmp_path / "two.npz", array="middle")


def test_nothing_is_read_of_nothing() -> None:
    assert not list(opened([]))
    assert not list(opened(np.empty((0, 4))))
    assert not list(opened(pl.DataFrame(schema=dict.fromkeys(NAMES, pl.Float32))))


def test_the_callers_rows_are_neither_kept_nor_changed() -> None:
    mine = ROWS.copy()
    mine[0, 0] = -0.0
    before = mine.tobytes()
    (block,) = list(opened(mine))
    assert mine.tobytes() == before
    assert not np.shares_memory(block.rows, mine)
    assert block.rows[0].tobytes() == np.array([0.0, *mine[0, 1:]], np.float32).tobytes()


def test_an_entry_that_unpacks_to_less_than_promised_is_noticed(tmp_path: Path) -> None:
    whole = io.BytesIO()
    np.save(whole, ROWS)
    with zipfile.ZipFile(tmp_path / "short.npz", "w") as packed:
        packed.writestr("rows.npy", whole.getvalue()[:-40])
    with pytest.raises(InputError, match="ends in row 27 of 30"):
        read(tmp_path / "short.npz")


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["npy", "npz", "parquet"])
def test_a_large_file_is_never_in_memory_as_a_whole(suffix: str, tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(400_000, 64)).astype(np.float32)  # 102 MB
    path = tmp_path / f"large.{suffix}"
    if suffix == "npy":
        np.save(path, rows)
    elif suffix == "npz":
        np.savez(path, rows)
    else:
        pl.DataFrame(rows).write_parquet(path, row_group_size=20_000)
    code = (
        "import resource, sys\n"
        "import numpy as np, polars as pl\n"
        "from jamais.memory.incoming import checked_rows\n"
        "from jamais.sources.vectors import open_vectors\n"
        "pl.DataFrame({'a': [1.0]}).lazy().collect()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "n = sum(len(block) for block in open_vectors(sys.argv[1], checked_rows))\n"
        "print(n, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    n, grown = map(int, done.stdout.split())
    assert n == 400_000
    assert grown < (60 if suffix != "parquet" else 90)
