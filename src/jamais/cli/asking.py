"""Which questions would settle most, and how do they reach a person: as a table, as JSON, as a file to fill in?"""

from __future__ import annotations

import json
import shlex
import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jamais.cli import given, told
from jamais.cli.files import opened
from jamais.cli.progress import ProgressBar
from jamais.cli.updates import read_alarms
from jamais.cli.verdicts.one_pass import Pass
from jamais.errors import InputError

if TYPE_CHECKING:
    import polars as pl

    from jamais.watcher import Watcher

SHOWN = 20
"""Questions in the table, unless more are asked for: more is no list any more that somebody answers."""
MOST_TEXT = 300
FILLED_IN = ("label", "cause", "alarms", "settles", "belief", "why")
"""Columns of a file of answers; `label` is empty until a person has answered."""


def asked(watcher: Watcher, data: tuple[str, ...], alarms: str | None) -> pl.DataFrame:
    """Give the questions about alarm records, about the alarms in data, or about what waits in quarantine."""
    import polars as pl

    if alarms:
        return watcher.questions(read_alarms(alarms))
    if not data:
        return watcher.questions()
    with ProgressBar() as progress:
        verdicts = Pass(watcher, given.data(data), progress)
        # Alarms only: rows may be more than fit into memory.
        frames = [frame.filter(pl.col("abnormal")) for frame in verdicts]
    verdicts.say_oddities()
    return watcher.questions(pl.concat(frames))


def write_down(questions: pl.DataFrame, path: str) -> None:
    """Write a file of answers to be filled in; raises InputError rather than lose answers that somebody gave."""
    import polars as pl

    _check_free(path)
    lines = questions.with_columns(
        label=pl.lit(None, pl.String),
        settles=pl.col("settles").cast(pl.Float64).round(1),
        belief=pl.col("belief").cast(pl.Float64).round(3),
        why=pl.col("why").map_elements(_cell, return_dtype=pl.String),
    ).select(FILLED_IN)
    with opened(path) as file:
        file.write(lines.write_csv().encode())


def lines(questions: pl.DataFrame, top: int) -> Iterator[str]:
    """Tell the questions to a person, the one that settles most first."""
    if not len(questions):
        yield "nothing to ask: no cause is open"
        return
    width = max(60, shutil.get_terminal_size((110, 24)).columns)
    shown = questions.head(top)
    settled, alarms = float(shown["settles"].sum()), int(questions["alarms"].sum())
    yield f"{_many(len(shown), 'answer')} would settle {settled:,.0f} rows; {_many(alarms, 'alarm')} in all"
    yield ""
    yield f"{'settles':>9} {'alarms':>9} {'rows':>9} {'belief':>7} {'answers':>8}  cause"
    for one in shown.iter_rows(named=True):
        counts = f"{one['settles']:>9,.0f} {one['alarms']:>9,} {one['rows']:>9,}"
        yield told.plain(f"{counts} {one['belief']:>7.0%} {one['answers']:>8}  {one['cause']}")
        why = told.plain((one["why"] or "")[:MOST_TEXT])
        yield from textwrap.wrap(why, width, initial_indent=" " * 10, subsequent_indent=" " * 12)
    if len(questions) > top:
        yield f"\n… and {_many(len(questions) - top, 'more question')}: --top {len(questions)} shows all"


def as_json(questions: pl.DataFrame) -> Iterator[str]:
    """Give one JSON object per question."""
    for one in questions.iter_rows(named=True):
        yield json.dumps({name: _plain_value(value) for name, value in one.items()}, ensure_ascii=False)


def next_step(folder: str, data: tuple[str, ...], alarms: str | None, out: str | None) -> str:
    """Say what to type when the answers are there."""
    about = f" --alarms {shlex.quote(alarms)}" if alarms else "".join(f" {shlex.quote(one)}" for one in data)
    file = shlex.quote(out) if out else "answers.csv"
    first = f"fill in the column label of {file}" if out else "--out answers.csv writes them down; fill in label"
    then = f"jamais feedback {shlex.quote(folder)}{about} --labels {file}"
    return f"{first} (0 normal, 1 abnormal, empty: not answered), then: {then}"


def _check_free(path: str) -> None:
    """Raise InputError where a file lies that is more than questions nobody has answered."""
    import polars as pl

    there = Path(path)
    if not there.exists() or not there.is_file() or not there.stat().st_size:
        return
    try:
        table = pl.read_csv(there, infer_schema=False)
    except (OSError, pl.exceptions.PolarsError):
        table = pl.DataFrame()
    if set(table.columns) != set(FILLED_IN):
        raise InputError(f"{path} is there and holds something else than questions: give another name")
    answers = table["label"].fill_null("").str.strip_chars().ne("").sum()
    if answers:
        raise InputError(
            f"{path} holds {_many(int(answers), 'answer')}: give them with jamais feedback, or another name here"
        )


def _cell(text: str) -> str:
    """Give text that a spreadsheet takes for text, not for a formula, whatever a log put into it."""
    plain = told.plain(text)
    return f"'{plain}" if plain.startswith(("=", "+", "-", "@")) else plain


def _plain_value(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _many(n: int, word: str) -> str:
    return f"{n:,} {word}{'' if n == 1 else 's'}"
