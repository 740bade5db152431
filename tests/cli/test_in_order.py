"""Do sessions come out in the order in which they began, whenever they closed, and without being held at once?"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

import jamais
from jamais.cli.verdicts.in_order import InOrder, merged


class Kept:
    def __init__(self) -> None:
        self.frames: list[pl.DataFrame] = []
        self.closed = False

    def add(self, frame: pl.DataFrame) -> None:
        self.frames.append(frame)

    def close(self) -> None:
        self.closed = True


@settings(max_examples=30)
@given(st.lists(st.lists(st.integers(0, 500), min_size=1, max_size=20), max_size=30))
def test_rows_rise_whatever_came_when(batches: list[list[int]]) -> None:
    kept = Kept()
    ordered = InOrder(kept)
    for batch in batches:
        ordered.add(pl.DataFrame({"row": batch}))
    folder = ordered._folder
    ordered.close()
    assert (
        pl.concat(kept.frames)["row"].to_list() == sorted(row for batch in batches for row in batch)
        if batches
        else not kept.frames
    )
    assert kept.closed
    assert not folder.exists()


def test_only_one_frame_of_each_run_is_held() -> None:
    held = [0]
    most = [0]

    def run(start: int) -> Any:
        for part in range(start, 1000, 20):
            held[0] += 1
            most[0] = max(most[0], held[0])
            yield pl.DataFrame({"row": range(part, part + 10)})
            held[0] -= 1

    rows = [row for frame in merged([run(0), run(10)]) for row in frame["row"]]
    assert rows == list(range(1000))
    assert most[0] <= 2


def test_no_row_at_all_still_gives_the_columns() -> None:
    kept = Kept()
    ordered = InOrder(kept)
    ordered.add(pl.DataFrame({"row": []}, schema={"row": pl.Int64}))
    ordered.close()
    assert [frame.columns for frame in kept.frames] == [["row"]]


def test_sessions_and_lone_lines_are_written_in_order_of_first_appearance(
    sessions_kept: Path, today: Path, tmp_path: Path, typed: Any
) -> None:
    lines = today.read_text().splitlines(keepends=True)
    random.Random(3).shuffle(lines)  # sessions far apart, lone lines between them
    log = tmp_path / "mixed.log"
    log.write_text("".join(lines))
    out = tmp_path / "v.csv"
    assert typed("score", sessions_kept, log, "--out", out).code == 0
    wanted = jamais.load(sessions_kept).score(log)
    read = pl.read_csv(out)
    assert read["row"].to_list() == list(range(len(wanted)))
    assert read["group"].to_list() == wanted["group"].to_list()
