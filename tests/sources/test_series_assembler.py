"""Do pieces of a series give the rows of the whole, wherever it is cut?"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jamais.errors import InputError, ShapeMismatchError
from jamais.sources.series import SeriesAssembler, SeriesBlock, SeriesReading, open_series

NAMES = ("cpu", "memory", "disk")
STEP = 60_000_000
START = 1_709_287_200_000_000


def joined(blocks: list[SeriesBlock]) -> SeriesBlock:
    return SeriesBlock(*(np.concatenate([getattr(b, f) for b in blocks]) for f in ("rows", "times", "values")))


def same(one: SeriesBlock, two: SeriesBlock) -> None:
    np.testing.assert_array_equal(one.rows, two.rows)
    np.testing.assert_array_equal(one.times, two.times)
    np.testing.assert_array_equal(one.values, two.values)
    assert one.values.tobytes() == two.values.tobytes()


def resumed(assembler: SeriesAssembler, options: SeriesReading) -> SeriesAssembler:
    """Give another assembler that goes on from the state of one, through JSON."""
    other = SeriesAssembler(options, NAMES, STEP)
    other.load_state_dict(json.loads(json.dumps(assembler.state_dict())))
    return other


offsets = st.sampled_from([0, 0, 20, 55, 60, 60, 60, 60, 60, 61, 89, 90, 120, 300, 7200, 90_000, -30, -600, None])
"""Seconds after the row before; None: no stamp."""
cells = st.sampled_from(
    ["", "nan", "1", "-2.5", "1e3", "0.1", " 7", "inf", "null", "3.25 ", "123456789012345678901", "0.30000000000000004"]
)


@st.composite
def tables(draw: st.DrawFn) -> list[tuple[int | None, list[str]]]:
    """Draw rows: a moment in microseconds, and three cells as they are written."""
    rows, now = [], START
    for apart in draw(st.lists(offsets, min_size=1, max_size=25)):
        now += 0 if apart is None else apart * 1_000_000
        rows.append((None if apart is None else now, [draw(cells) for _ in NAMES]))
    return rows


def written(micros: int | None, form: str) -> str:
    if micros is None:
        return ""
    if form == "seconds":
        return str(micros // 1_000_000)
    text = str(np.datetime64(micros, "us").astype("datetime64[s]"))
    return {
        "T": text,
        "Z": text + "Z",
        "space": text.replace("T", " "),
        "zone": text + "+01:00",
        "west": text + "-0530",
    }[form]


forms = st.sampled_from(["seconds", "T", "Z", "space", "zone", "west"])
grids = st.sampled_from([None, "60s", "5m", "7s"])


def as_text(rows: list[tuple[int | None, list[str]]], form: str, end: str = "\n") -> bytes:
    lines = [",".join(("time", *NAMES))] + [",".join([written(when, form), *texts]) for when, texts in rows]
    return (end.join(lines) + end).encode()


@settings(max_examples=40)
@given(tables(), forms, grids, st.sampled_from(["UTC", "Europe/Berlin"]), st.data())
def test_bytes_cut_anywhere_give_the_rows_of_the_file(
    rows: list[tuple[int | None, list[str]]], form: str, grid: str | None, zone: str, data: st.DataObject
) -> None:
    text = as_text(rows, form, data.draw(st.sampled_from(["\n", "\r\n", "\n\n"])))
    options = SeriesReading(resample=grid, timezone=zone, max_gap_rows=20)
    whole = joined([SeriesBlock.none(3), *open_series(text.decode().split("\n"), options, NAMES, STEP)])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    assembler = SeriesAssembler(options, NAMES, STEP)
    blocks = [SeriesBlock.none(3)]
    for start, stop in zip([0, *cuts], [*cuts, len(text)], strict=True):
        blocks.append(assembler.push_chunk(text[start:stop]))
        assembler = resumed(assembler, options)
    same(joined([*blocks, assembler.flush()]), whole)


@settings(max_examples=40)
@given(tables(), forms, grids, st.integers(1, 9))
def test_lines_one_by_one_give_the_rows_of_many(
    rows: list[tuple[int | None, list[str]]], form: str, grid: str | None, size: int
) -> None:
    lines = as_text(rows, form).decode().splitlines()
    options = SeriesReading(resample=grid, max_gap_rows=20)
    one, many = SeriesAssembler(options, NAMES, STEP), SeriesAssembler(options, NAMES, STEP)
    singly = joined([one.push(line) for line in lines] + [one.flush()])
    together = [many.push(lines[at : at + size]) for at in range(0, len(lines), size)]
    same(joined([*together, many.flush()]), singly)
    assert one.counts == many.counts


@settings(max_examples=40)
@given(tables(), st.integers(1, 9))
def test_a_few_lines_are_read_as_many_are(rows: list[tuple[int | None, list[str]]], size: int) -> None:
    """Few lines take another way than many: here 40 comments make them many."""
    lines = as_text(rows, "T").decode().splitlines()
    padding = [",,,"] * 40
    few, many = SeriesAssembler(SeriesReading(), NAMES, 0), SeriesAssembler(SeriesReading(), NAMES, 0)
    apart = joined([few.push(lines[at : at + size]) for at in range(0, len(lines), size)])
    block = many.push([*lines, *padding])
    n = len(rows)
    same(apart, SeriesBlock(block.rows[:n], block.times[:n], block.values[:n]))


@given(st.integers(1, 30), st.lists(st.integers(0, 30), max_size=4), st.integers(0, 5))
def test_rows_of_numbers_in_any_pieces_are_those_of_the_whole(n: int, cuts: list[int], seed: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(n, 3))
    rows[rows > 1.5] = np.nan
    whole = joined(list(open_series(rows, SeriesReading(), NAMES, 0)))
    for pieces in (np.split(rows, sorted(min(cut, n) for cut in cuts)), list(rows), [[row.tolist()] for row in rows]):
        assembler = SeriesAssembler(SeriesReading(), NAMES, 0)
        same(joined([assembler.push(piece) for piece in pieces] + [assembler.flush()]), whole)


@settings(max_examples=40)
@given(tables(), st.integers(1, 9), st.booleans())
def test_mappings_and_tables_give_the_rows_of_the_file(
    rows: list[tuple[int | None, list[str]]], size: int, as_tables: bool
) -> None:
    kept = [(when, [float(t) if t.strip() not in ("", "null") else None for t in texts]) for when, texts in rows]
    records = [
        {"time": None if when is None else written(when, "T"), **dict(zip(NAMES, numbers, strict=True))}
        for when, numbers in kept
    ]
    options = SeriesReading(max_gap_rows=20)
    whole = joined(list(open_series(as_text(rows, "T").decode().splitlines(), options, NAMES, STEP)))
    assembler = SeriesAssembler(options, NAMES, STEP)
    blocks = []
    for at in range(0, len(records), size):
        piece: Any = records[at : at + size]
        if as_tables:
            kinds = {"time": pl.String, **dict.fromkeys(NAMES, pl.Float64)}
            piece = pl.DataFrame(piece, schema=kinds)
        blocks.append(assembler.push(piece))
    same(joined(blocks), whole)


@settings(max_examples=40)
@given(tables(), grids, st.integers(1, 5), st.data())
def test_long_lines_cut_anywhere_give_the_rows_of_the_whole(
    rows: list[tuple[int | None, list[str]]], grid: str | None, size: int, data: st.DataObject
) -> None:
    lines = ["time,metric,value"]
    for when, texts in rows:
        for name, text in zip(NAMES, texts, strict=True):
            if data.draw(st.booleans()):
                lines.append(f"{written(when, 'T')},{name},{text}")
    options = SeriesReading(resample=grid, max_gap_rows=20)
    one, many = SeriesAssembler(options, NAMES, STEP), SeriesAssembler(options, NAMES, STEP)
    whole = joined([one.push(lines), one.flush()])
    blocks = []
    for at in range(0, len(lines), size):
        blocks.append(many.push(lines[at : at + size]))
        many = resumed(many, options)
    same(joined([*blocks, many.flush()]), whole)
    assert one.counts == many.counts


def test_a_stream_without_names_is_known_by_its_width() -> None:
    rows = ["1,2,3", "4,5,6"]
    stamped = ["2024-03-01T10:00:00Z,1,2,3", "2024-03-01T10:01:00Z,4,5,6"]
    for lines in (rows, stamped):
        assembler = SeriesAssembler(SeriesReading(), NAMES, STEP)
        np.testing.assert_array_equal(assembler.push(lines).values, [[1, 2, 3], [4, 5, 6]])
    with pytest.raises(ShapeMismatchError, match="5 columns and no names, wanted 3 channels"):
        SeriesAssembler(SeriesReading(), NAMES, STEP).push("1,2,3,4,5")


def test_a_line_of_names_that_comes_again_is_no_row() -> None:
    assembler = SeriesAssembler(SeriesReading(), NAMES, STEP)
    block = assembler.push(["cpu,memory,disk", "1,2,3", "cpu,memory,disk", "4,5,6"])
    np.testing.assert_array_equal(block.values, [[1, 2, 3], [4, 5, 6]])
    assert len(assembler.push("cpu,memory,disk")) == 0


def test_columns_may_stand_in_another_order_and_rows_may_lack_some() -> None:
    assembler = SeriesAssembler(SeriesReading(), NAMES, STEP)
    first = assembler.push({"disk": 3, "cpu": 1})
    second = assembler.push({"memory": 2.0, "cpu": 1, "disk": 3})
    np.testing.assert_array_equal(first.values, [[1, np.nan, 3]])
    np.testing.assert_array_equal(second.values, [[1, 2, 3]])
    assert second.rows.tolist() == [1]
    assert assembler.said == ["channels that are not there, so missing: memory"]


def test_a_bad_push_raises_and_takes_nothing() -> None:
    strict = SeriesReading(unreadable="refuse")
    assembler = SeriesAssembler(strict, NAMES, STEP)
    assembler.push(["cpu,memory,disk,time", "1,2,3,2024-03-01T10:00:00"])
    assembler.push_chunk(b"4,5,6,2024-03-01T10:0")
    before = json.dumps(assembler.state_dict())
    for bad, match in (
        ("1,2,x,2024-03-01T10:01:00", "row 1, column 'disk': 'x' is no number"),
        ("1,2,3,yesterday", "row 1, column 'time': 'yesterday' is no stamp"),
        ("1,2,3", "row 1 has 3 columns, wanted 4"),
        ([[1.0, 2.0]], "2 values, wanted the 3 channels"),
        ([{"other": 1.0}], "none of the channels"),
        ({"cpu": "much", "memory": 1, "disk": 1}, "'much'"),
        ([["a", "b", "c"]], "wanted numbers"),
        (7, "cannot take int"),
        ([["2024", None, object()]], "wanted numbers"),
    ):
        fresh = SeriesAssembler(strict, NAMES, STEP)
        fresh.load_state_dict(json.loads(before))
        fresh._pending = b""
        state = json.dumps(fresh.state_dict())
        with pytest.raises((InputError, ShapeMismatchError), match=match):
            fresh.push(bad)
        assert json.dumps(fresh.state_dict()) == state
    np.testing.assert_array_equal(assembler.push_chunk(b"1:00\n").values, [[4, 5, 6]])


def test_nothing_gives_nothing() -> None:
    assembler = SeriesAssembler(SeriesReading(), NAMES, STEP)
    for nothing in ([], "", b"", "\n", np.zeros((0, 3)), pl.DataFrame(), iter([])):
        block = assembler.push(nothing)
        assert len(block) == 0
        assert block.values.shape == (0, 3)
    assert len(assembler.flush()) == 0


def test_one_channel_takes_numbers_one_by_one_or_many() -> None:
    assembler = SeriesAssembler(SeriesReading(), ("cpu",), 0)
    blocks = [assembler.push(piece) for piece in ([1.0], [2.0, 3.0], [[4.0]], np.array([5.0]), "6", {"cpu": 7})]
    np.testing.assert_array_equal(joined(blocks).values[:, 0], np.arange(1.0, 8.0))
    np.testing.assert_array_equal(joined(blocks).rows, np.arange(7))


def test_a_pause_gives_an_open_stamp_but_neither_half_a_line_nor_an_open_cell() -> None:
    long = SeriesAssembler(SeriesReading(), NAMES, STEP)
    assert len(long.push(["time,name,value", "60,cpu,1", "60,disk,2"])) == 0
    long.push_chunk(b"120,cp")
    np.testing.assert_array_equal(long.pause().values, [[1, np.nan, 2]])
    assert len(long.pause()) == 0
    long.push_chunk(b"u,3\n")
    np.testing.assert_array_equal(long.flush().values, [[3, np.nan, np.nan]])
    grid = SeriesAssembler(SeriesReading(resample="60s"), NAMES, STEP)
    for line in ("time,cpu", "60,1", "70,3"):
        grid.push(line)
        assert len(grid.pause()) == 0
    np.testing.assert_array_equal(grid.flush().values[:, 0], [2])


odd_lines = st.lists(
    st.sampled_from(
        ["60,1,2,3", "120,1,x,3", "soon,1,2,3", "180,1,2", "1,2,3,4,5", ",,,", '"240",5,"6",7', '"a,b",1,2,3']
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=40)
@given(odd_lines, st.integers(1, 4))
def test_what_cannot_be_read_may_be_counted_instead_of_refused(lines: list[str], size: int) -> None:
    options = SeriesReading(unreadable="missing")
    head = "time,cpu,memory,disk"
    reader = open_series([head, *lines], options, NAMES, 0)
    whole = joined([SeriesBlock.none(3), *reader])
    assembler = SeriesAssembler(SeriesReading(), NAMES, 0)
    blocks = [assembler.push(head)]
    for at in range(0, len(lines), size):
        blocks.append(assembler.push(lines[at : at + size]))
    same(joined(blocks), whole)
    assert assembler.counts == reader.counts
    left_out = sum(line in ("180,1,2", "1,2,3,4,5") for line in lines)
    assert len(whole) == len(lines) - left_out
    assert np.isnan(whole.values[:, 1]).sum() == sum(line in (",,,", "120,1,x,3") for line in lines)
    assert reader.counts.get("stamps that cannot be read", 0) == sum(line[:2] in ("so", '"a') for line in lines)


def test_one_bad_line_does_not_end_a_stream_but_another_table_does() -> None:
    assembler = SeriesAssembler(SeriesReading(), NAMES, STEP)
    block = assembler.push(["cpu,memory,disk", "1,2,3", "4,oops,6", "7,8", "9,10,11"])
    np.testing.assert_array_equal(block.values, [[1, 2, 3], [4, np.nan, 6], [9, 10, 11]])
    assert assembler.counts == {
        "lines left out, they have another number of columns": 1,
        "cells that are no numbers, taken for missing": 1,
    }
    with pytest.raises(InputError, match="none of the channels"):
        SeriesAssembler(SeriesReading(), NAMES, STEP).push(["x,y,z", "1,2,3"])
    with pytest.raises(ShapeMismatchError, match="2 columns and no names"):
        SeriesAssembler(SeriesReading(), NAMES, STEP).push("1,2")


def test_the_first_line_of_a_file_names_the_columns_of_lines_further_below() -> None:
    assembler = SeriesAssembler(SeriesReading(), NAMES, STEP)
    assembler.head(b"time,disk,host,cpu,memory\r\n")
    block = assembler.push(["60,3,a,1,2", "time,disk,host,cpu,memory", "120,6,a,4,5"])
    np.testing.assert_array_equal(block.values, [[1, 2, 3], [4, 5, 6]])
    assembler.head(b"a,b")
    assert len(assembler.push("180,9,a,7,8")) == 1
    for line in (b"", b"1,2,3", b"1,2", b"a,a,a", b"# a remark, or two"):
        bare = SeriesAssembler(SeriesReading(), NAMES, STEP)
        bare.head(line)
        np.testing.assert_array_equal(bare.push("4,5,6").values, [[4, 5, 6]])


def test_a_moment_that_goes_on_after_a_pause_makes_another_row() -> None:
    assembler = SeriesAssembler(SeriesReading(), NAMES, STEP)
    assembler.push(["time,name,value", "60,cpu,1"])
    assert assembler.pause().rows.tolist() == [0]
    assert len(assembler.push("60,disk,2")) == 0
    block = assembler.flush()
    assert (block.rows.tolist(), block.times.tolist()) == ([1], [STEP])
    np.testing.assert_array_equal(block.values, [[np.nan, np.nan, 2]])


def test_rows_of_a_cell_that_was_flushed_are_late() -> None:
    assembler = SeriesAssembler(SeriesReading(resample="60s"), NAMES, STEP)
    assembler.push(["time,cpu", "60,1"])
    assert assembler.flush().rows.tolist() == [0]
    assembler.push(["70,5", "120,2"])
    np.testing.assert_array_equal(assembler.flush().values[:, 0], [2])
    assert assembler.counts == {"rows left out, they came after their cell was over": 1}
