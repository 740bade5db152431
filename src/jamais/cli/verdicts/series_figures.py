"""How good were the alarms on a series, in figures that chance cannot win?"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jamais.cli.labels import Labels
from jamais.errors import InputError
from jamais.types import NO_TIME, Floats, Ints

if TYPE_CHECKING:
    import polars as pl

    from jamais.sources.series import SeriesBlock

Figures = dict[str, Any]

_SHOWN = 20
_MOST_ROWS = 100_000_000  # in stretches of labels
_MOST_NUMBERS = 100_000_000  # values that are held for the squared norm: 0.8 GB


def labels_of(path: str) -> Labels:
    """Read the truth on a series: as other labels, or one 0/1 for each row, or `start` and `end` as row numbers.

    Row numbers count from 0 and the end belongs to the stretch. Raises InputError naming what is wrong with the file.
    """
    lines = _plain_lines(path)
    head = [cell.strip().lower() for cell in lines[0]] if lines else []
    if head in (["label"], ["0"], ["1"], ["0.0"], ["1.0"]):
        return _one_a_row(path, lines[1:] if head == ["label"] else lines)
    if {"start", "end"} <= set(head) and all(_is_row(dict(zip(head, line, strict=False))) for line in lines[1:]):
        return _by_row(path, [dict(zip(head, line, strict=False)) for line in lines[1:]])
    return Labels.read(path)


class Values:
    """The values of the rows judged, held for the squared norm and for the window of VUS."""

    def __init__(self) -> None:
        self._rows: list[Ints] = []
        self._values: list[Floats] = []
        self._held = 0

    def take(self, block: SeriesBlock) -> None:
        """Hold the rows that came; once there are too many, none."""
        real = block.rows >= 0
        self._held += int(real.sum()) * block.values.shape[1]
        if self._held > _MOST_NUMBERS:
            self._rows, self._values = [], []
        else:
            self._rows.append(block.rows[real])
            self._values.append(block.values[real])

    def of(self, rows: Ints) -> Floats | None:
        """Give the values [n, channels] of the rows judged [n]; None where other rows, or none, are held."""
        same = self._rows and np.array_equal(np.concatenate(self._rows), rows)
        return np.concatenate(self._values) if same else None


def measured(verdicts: Iterable[pl.DataFrame], labels: Labels, rate: float, values: Values | None = None) -> Figures:
    """Compare verdicts with labels; rows without an answer count as normal, for a series has no holes.

    `values` are asked for once all verdicts are there. Raises InputError without an abnormal row.
    """
    import polars as pl

    from jamais.evaluation import series

    kept = pl.concat([_kept(frame, labels) for frame in verdicts])
    truth = kept["label"].fill_null(0).to_numpy()
    if not truth.any() or truth.all():
        which = "no row is" if not truth.any() else "all rows are"
        raise InputError(
            f"{which} labelled abnormal ({len(kept):,} rows, {kept['label'].count():,} with a label by {labels.key}): "
            f"there is nothing to tell apart; check that the file's {labels.key} fits this data"
        )
    times = kept["time"].fill_null(NO_TIME).to_numpy()
    alarms = kept["abnormal"].to_numpy()
    rows = kept["row"].to_numpy()
    made = series.report(truth, kept["score"].to_numpy(), alarms, times, values.of(rows) if values else None)
    spans = rows[series.segments(truth) - [0, 1]]
    counted = {"labelled": int(kept["label"].count()), "alarm_rate": rate, "segment_rows": spans.tolist()}
    return made.figures() | counted


def table(figures: Figures) -> str:
    """Write figures for people."""
    from jamais.evaluation import series

    of = figures
    rest = of["rows"] - of["labelled"]
    lines = [series.table(of), f"alarm rate         {of['alarm_rate']:g}"]
    lines += [f"{rest:,} rows without a label count as normal"] if rest else []
    late, seconds = of["delays_rows"], of["delays_seconds"] or [None] * of["segments"]
    for (first, last), rows, after in list(zip(of["segment_rows"], late, seconds, strict=True))[:_SHOWN]:
        found = "missed" if rows is None else f"alarmed after {rows:,.0f} rows" if rows else "alarmed at once"
        lines.append(f"  rows {first:,} to {last:,}: {found}{f', {after:,.0f} s' if after else ''}")
    if of["segments"] > _SHOWN:
        lines.append(f"  and {of['segments'] - _SHOWN:,} more: see --json")
    return "\n".join(lines)


def _kept(frame: pl.DataFrame, labels: Labels) -> pl.DataFrame:
    import polars as pl

    time = pl.col("time").dt.epoch("us")
    return frame.select("row", "score", "abnormal", time).with_columns(labels.of(frame).alias("label"))


def _plain_lines(path: str) -> list[list[str]]:
    """Give the cells of a small table; none where only `Labels.read` can say what is wrong."""
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            return [line for line in csv.reader(file) if any(cell.strip() for cell in line)]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def _is_row(line: dict[str, str]) -> bool:
    return line.get("start", "").strip().isdecimal() and line.get("end", "").strip().isdecimal()


def _one_a_row(path: str, lines: list[list[str]]) -> Labels:
    wanted = {"0": 0, "1": 1, "0.0": 0, "1.0": 1}
    answers = [wanted.get(cells[0].strip()) for cells in lines]
    if None in answers:
        odd = answers.index(None)
        raise InputError(f"{path}, row {odd}: a label is 0 or 1, got {lines[odd][0]!r}")
    return _rows(dict(enumerate(answer for answer in answers if answer is not None)))


def _by_row(path: str, lines: list[dict[str, str]]) -> Labels:
    """Answer row by row; abnormal stretches win over normal ones, as those of time do."""
    answers: dict[int, int] = {}
    stretches = []
    for at, line in enumerate(lines, 1):
        start, end, label = int(line["start"]), int(line["end"]), line.get("label", "1").strip()
        if end < start or label not in ("", "0", "1", "0.0", "1.0"):
            raise InputError(f"{path}, answer {at}: wanted rows start <= end and a label 0 or 1, got {line}")
        if end - start > _MOST_ROWS:
            raise InputError(f"{path}, answer {at}: {start} to {end} are no row numbers; times are 2026-01-31T12:00:00")
        stretches.append((label in ("1", "1.0"), label, start, end))
    for abnormal, label, start, end in sorted(stretches):
        if label:
            answers |= dict.fromkeys(range(start, end + 1), int(abnormal))
    return _rows(answers)


def _rows(answers: dict[int, int]) -> Labels:
    import polars as pl

    table = pl.DataFrame(
        {"row": [str(row) for row in answers], "label": list(answers.values())},
        schema={"row": pl.String, "label": pl.Int64},
    )
    return Labels("row", table, [])
