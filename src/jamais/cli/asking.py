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
_FILLED_IN = ("about", "alarms", "settles", "belief", "why")
"""Columns of a file of answers, beside `label`, empty until a person has answered, and its key: row or cause."""


def asked(watcher: Watcher, data: tuple[str, ...], alarms: str | None) -> tuple[pl.DataFrame, str]:
    """Give the questions about alarm records, about data, or about what waits in quarantine, and their key.

    An answer is about the very row that is shown, and says what it says of its cause. By cause are answers only
    where no row is shown, or where its number does not name it: alarm records of several runs in one file.
    """
    import polars as pl

    if not data and not alarms:
        return watcher.questions(), "cause"
    records = read_alarms(alarms) if alarms else _suspicious(watcher, data)
    questions = watcher.questions(records)
    if "row" in records.columns and records["row"].is_unique().all():
        return questions, "row"
    causes = records["cause"].unique().to_list()
    return questions.filter(pl.col("cause").is_in(causes)).unique("cause", keep="first", maintain_order=True), "cause"


def write_down(questions: pl.DataFrame, key: str, path: str) -> None:
    """Write a file of answers to be filled in; raises InputError rather than lose answers that somebody gave."""
    import polars as pl

    _check_free(path)
    lines = questions.with_columns(
        label=pl.lit(None, pl.String),
        about=pl.col("cause"),
        settles=pl.col("settles").cast(pl.Float64).round(1),
        belief=pl.col("belief").cast(pl.Float64).round(3),
        why=pl.col("why").map_elements(_cell, return_dtype=pl.String),
    )
    lines = lines.filter(pl.col(key).is_not_null())
    with opened(path) as file:
        file.write(lines.select("label", key, *_FILLED_IN).write_csv().encode())


def lines(questions: pl.DataFrame, top: int) -> Iterator[str]:
    """Tell the questions to a person, the one that settles most first."""
    if not len(questions):
        yield "nothing to ask: no cause is open"
        return
    width = max(60, shutil.get_terminal_size((110, 24)).columns)
    shown = questions.head(top)
    settled, uncertain = float(shown["settles"].sum()), float(questions["settles"].sum())
    about = f"{_many(len(questions), 'question')} about {_many(int(questions['alarms'].sum()), 'alarm')}"
    answers = f"{_many(len(shown), 'answer')} would settle {_few(settled)}"
    yield f"{about}; {answers} of {_few(uncertain)} rows that are uncertain"
    yield ""
    yield f"{'settles':>9} {'alarms':>9} {'rows':>9} {'belief':>7} {'answers':>8}  cause"
    for one in shown.iter_rows(named=True):
        counts = f"{_few(one['settles']):>9} {one['alarms']:>9,} {one['rows']:>9,}"
        yield told.plain(f"{counts} {one['belief']:>7.0%} {one['answers']:>8}  {one['cause']}")
        why = one["why"] or ""
        why = told.plain(why if len(why) <= MOST_TEXT else f"{why[: MOST_TEXT - 1]}…")
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


def _suspicious(watcher: Watcher, data: tuple[str, ...]) -> pl.DataFrame:
    """Score data and keep what a question may be about, for the whole may not fit into memory."""
    import polars as pl

    with ProgressBar() as progress:
        verdicts = Pass(watcher, given.data(data), progress)
        frames = []
        for frame in verdicts:
            suspects = pl.col("suspects").fill_null("") != "" if "suspects" in frame.columns else pl.lit(False)
            frames.append(frame.filter(pl.col("abnormal") | suspects))
    verdicts.say_oddities()
    return pl.concat(frames)


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
    if table.columns not in (["label", key, *_FILLED_IN] for key in ("row", "cause")):
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


def _few(rows: float) -> str:
    return f"{rows:,.0f}" if rows >= 10 else f"{rows:.1f}"


def _many(n: int, word: str) -> str:
    return f"{n:,} {word}{'' if n == 1 else 's'}"
