"""Are the verdicts of a series the same in pieces, with gaps, missing channels and after a stop as of the whole?"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference.small_series import listed, normal, shifted, today, watcher

import jamais
from jamais.errors import SettingsError, ShapeMismatchError
from jamais.recipes.series.judging import items
from jamais.recipes.series.walk import Seen, Walk
from jamais.sources.series import SeriesBlock
from jamais.testing.bits import digest
from jamais.types import NO_TIME

KNOWN = {hindsight: watcher(hindsight=hindsight) for hindsight in (False, True)}


def timed(values: np.ndarray, gap: int | None = None) -> pl.DataFrame:
    """Give rows as a table, one a minute; an hour is missing before row `gap`."""
    minutes = np.arange(len(values)) + (0 if gap is None else 60 * (np.arange(len(values)) >= gap))
    times = pl.Series("time", minutes * 60_000_000).cast(pl.Datetime("us", "UTC"))
    return pl.DataFrame({"time": times, **{f"m{at}": values[:, at] for at in range(values.shape[1])}})


def streamed(known: Any, pieces: list[Any]) -> pl.DataFrame:
    stream = known.stream()
    return pl.concat([*(stream.push(piece) for piece in pieces), stream.flush()])


@settings(max_examples=12, deadline=None)
@given(cuts=st.lists(st.integers(1, 159), max_size=6), hindsight=st.booleans())
def test_any_pieces_give_the_verdicts_of_the_whole(cuts: list[int], hindsight: bool) -> None:
    known, rows = KNOWN[hindsight], today()
    edges = [0, *sorted(set(cuts)), len(rows)]
    pieces = [rows[start:stop] for start, stop in pairwise(edges)]
    assert streamed(known, pieces).equals(known.score(rows), null_equal=True)


@settings(max_examples=6, deadline=None)
@given(cut=st.integers(1, 159), hindsight=st.booleans())
def test_a_stream_goes_on_from_its_state_as_json(cut: int, hindsight: bool) -> None:
    known, rows = KNOWN[hindsight], today()
    first, second = known.stream(), known.stream()
    told = first.push(rows[:cut])
    second.load_state_dict(json.loads(json.dumps(first.state_dict(), allow_nan=False)))
    whole = pl.concat([told, second.push(rows[cut:]), second.flush()])
    assert whole.equals(known.score(rows), null_equal=True)


def test_blocks_of_any_size_give_the_same_verdicts() -> None:
    rows = today()
    whole = watcher(**{"reading.block_rows": 8192})
    assert whole.score(rows).equals(KNOWN[False].score(rows), null_equal=True)


def test_a_gap_in_time_is_a_gap_of_rows_in_pieces_and_as_a_whole() -> None:
    known = watcher(data=timed(normal(400)))
    table = timed(normal(120, 1, 400), gap=50)
    whole = known.score(table)
    assert whole["row"].to_list() == list(range(120))
    assert streamed(known, [table[at : at + 7] for at in range(0, 120, 7)]).equals(whole, null_equal=True)
    # Behind a gap longer than any window, a row is as the first of a series.
    assert np.array_equal(whole["score"][50:].to_numpy(), known.score(table[50:])["score"].to_numpy())


def test_a_row_without_any_value_is_not_judged() -> None:
    frame = KNOWN[False].score(today())
    empty = frame.filter(pl.col("row").is_in([31, 32]))
    assert empty["score"].to_list() == [0.0, 0.0]
    assert empty["p_value"].to_list() == [1.0, 1.0]
    assert empty["why"].to_list() == ["no values"] * 2
    assert not empty["abnormal"].any()


def test_the_first_rows_are_judged_by_what_there_is() -> None:
    frame = KNOWN[False].score(normal(30, 3, 400))
    assert len(frame) == 30
    assert np.isfinite(frame["score"].to_numpy()).all()


def test_scoring_leaves_the_bytes_of_the_state_as_they_are() -> None:
    known = KNOWN[False]
    before = digest(known.recipe.state_dict())
    known.score(today())
    known.score(today(), hindsight=True)
    known.explain(today())
    known.stream().push(today())
    assert digest(known.recipe.state_dict()) == before


def test_hindsight_for_once_is_the_setting_for_once() -> None:
    rows = today()
    assert KNOWN[False].score(rows, hindsight=True).equals(KNOWN[True].score(rows), null_equal=True)
    assert KNOWN[True].score(rows, hindsight=False).equals(KNOWN[False].score(rows), null_equal=True)
    assert not KNOWN[True].score(rows)["score"].equals(KNOWN[False].score(rows)["score"])
    assert KNOWN[False].recipe.settings.hindsight is False


def test_hindsight_holds_rows_back_until_they_are_decided() -> None:
    known = KNOWN[True]
    stream, ahead = known.stream(), known.recipe.banks.ahead
    assert len(stream.push(today()[: ahead + 1])) == 1
    assert len(stream.push(today()[ahead + 1 : ahead + 3])) == 2
    assert len(stream.flush()) == ahead


def test_other_kinds_have_no_hindsight() -> None:
    rows = np.random.default_rng(0).normal(size=(80, 4))
    embeddings = jamais.fit(rows, kind="embeddings", settings={"memory.capacity": 60})
    assert len(embeddings.score(rows, hindsight=False)) == 80
    with pytest.raises(SettingsError, match="embeddings do not depend on later rows"):
        embeddings.score(rows, hindsight=True)


def test_rows_as_lists_tables_and_arrays_are_alike() -> None:
    known, rows = KNOWN[False], today()
    whole = known.score(rows)
    assert known.score(listed(rows)).equals(whole, null_equal=True)
    assert streamed(known, [[row] for row in listed(rows[:40])])["score"].equals(whole["score"][:40])


def test_what_is_no_row_of_the_series_is_refused_and_the_stream_goes_on() -> None:
    known = KNOWN[False]
    stream = known.stream()
    first = stream.push(normal(20, 1, 400))
    with pytest.raises(ShapeMismatchError):
        stream.push(np.ones((2, 5)))
    with pytest.raises(ShapeMismatchError):
        known.score(np.ones((20, 2)))
    rest = stream.push(normal(40, 1, 400)[20:])
    assert pl.concat([first, rest]).equals(known.score(normal(40, 1, 400)), null_equal=True)


def test_an_item_names_a_window_wherever_it_is_cut() -> None:
    rows = np.round(today(), 3)
    rows[5, 1] = -0.0
    known = Walk(3, 15).push(block(rows))
    assert known is not None
    whole = items(known, 15)
    walk, told = Walk(3, 15), []
    for at in range(0, len(rows), 7):
        seen = walk.push(block(rows[at : at + 7]))
        assert seen is not None
        told += items(seen, 15)
    assert told == whole
    assert len(set(whole)) > 150
    rows[5, 1] = 0.0
    again = Walk(3, 15).push(block(rows))
    assert again is not None
    assert items(again, 15) == whole


def test_an_item_changes_with_any_value_of_its_window_and_with_no_other() -> None:
    rows = today()[:40]
    changed = shifted(rows, 10, 11, by=1e-9)
    one, other = (items(Seen(x, 0, 40, np.arange(40), np.full(40, NO_TIME), 0), 15) for x in (rows, changed))
    assert [at for at in range(40) if one[at] != other[at]] == list(range(10, 26))


def test_a_walk_keeps_only_what_windows_need() -> None:
    walk = Walk(3, 15, ahead=4)
    for at in range(50):
        walk.push(block(today()[at : at + 1]))
    assert len(walk.state_dict()["rows"]) == 15 + 4


def test_the_file_may_be_saved_anywhere_and_watched_by_lines(tmp_path: Path) -> None:
    known = watcher(data=timed(normal(400)))
    table = timed(shifted(normal(80, 1, 400), 60, 70))
    table.write_csv(tmp_path / "today.csv")
    whole = known.score(tmp_path / "today.csv")
    stream = known.stream()
    lines = (tmp_path / "today.csv").read_bytes().splitlines(keepends=True)
    frames = [stream.push_chunk(line) for line in lines]
    assert pl.concat([*frames, stream.flush()]).equals(whole, null_equal=True)
    assert [len(frame) for frame in frames[1:]] == [1] * 80  # a row is judged when it comes
    assert whole["abnormal"].any()


def block(rows: np.ndarray) -> SeriesBlock:
    return SeriesBlock(np.arange(len(rows)), np.full(len(rows), NO_TIME), rows)
