"""Which answer would settle most? Alarms folded by cause, as bars."""

from __future__ import annotations

import textwrap
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from jamais.errors import InputError
from jamais.plots.canvas import drawn, figure_class, write_picture
from jamais.plots.memory_words import legible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SUFFIXES = (".png", ".svg")
_MOST_BARS = 12
_WIDE = 62  # characters of a reason in a line; at most two lines of it


def draw_questions(questions: pl.DataFrame, path: str | Path) -> None:
    """Draw questions (`Watcher.questions`) as a .png or .svg: a bar per cause, the answer that settles most on top.

    The pale bar is how many alarms have the cause, the full one how many an answer would settle.
    """
    target = Path(path)
    if target.suffix.lower() not in _SUFFIXES:
        raise InputError(f"a picture of questions is a .png or .svg file, got {target}")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        write_picture(target, drawn(_figure(questions), target.suffix.lower()))


def _figure(questions: pl.DataFrame) -> Figure:
    shown = questions.sort("settles", descending=True, maintain_order=True).head(_MOST_BARS)
    rest = len(questions) - len(shown)
    n = len(shown) + (rest > 0)
    figure = figure_class()(figsize=(12, 1.75 + 0.5 * max(n, 1)))
    height = float(figure.get_figheight())
    axes: Any = figure.add_axes((0.42, 0.75 / height, 0.43, 1 - 1.38 / height))
    _bars(axes, shown, questions.tail(rest) if rest else None)
    figure.text(0.02, 1 - 0.4 / height, _headline(questions, shown), fontsize=15, weight="bold", parse_math=False)
    note = (
        "Pale: alarms of that cause. Full: what an answer would settle; much where it is uncertain, little where it is "
        "known to be abnormal (how probably: %)."
    )
    figure.text(0.02, 0.15 / height, note, fontsize=8.5, color="#555555")
    return figure


def _bars(axes: Any, shown: pl.DataFrame, rest: pl.DataFrame | None) -> None:
    alarms, settles = shown["alarms"].to_list(), shown["settles"].to_list()
    names = ["\n".join(textwrap.wrap(legible(why or "", 2 * _WIDE - 8), _WIDE)[:2]) for why in shown["why"].to_list()]
    notes = [
        f"{count:,} alarm{'' if count == 1 else 's'}, {belief:.0%}"
        for count, belief in zip(alarms, shown["belief"].to_list(), strict=True)
    ]
    if rest is not None:
        names.append(f"{len(rest):,} more causes together")
        alarms.append(int(rest["alarms"].sum()))
        settles.append(float(rest["settles"].sum()))
        notes.append(f"{alarms[-1]:,} alarms")
    places = range(len(names))
    axes.barh(places, alarms, height=0.62, color="#c9d6e2")
    axes.barh(places, settles, height=0.62, color="#0072B2")
    for place, count, settled, note in zip(places, alarms, settles, notes, strict=True):
        axes.annotate(note, (max(count, settled), place), (6, 0), textcoords="offset points", va="center", fontsize=9)
    axes.set_yticks(places, names, fontsize=9, parse_math=False)
    axes.set_xlabel("alarms", fontsize=9)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, max([*alarms, *settles, 1]))
    axes.tick_params(left=False, labelsize=9)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _headline(questions: pl.DataFrame, shown: pl.DataFrame) -> str:
    """Say how few answers settle most of what can be settled."""
    if not len(questions):
        return "Nothing to ask: no cause is open"
    total = float(questions["settles"].sum())
    alarms = int(questions["alarms"].sum())
    reached, needed = 0.0, 0
    for settled in shown["settles"].to_list():
        reached, needed = reached + float(settled), needed + 1
        if reached >= 0.8 * total:
            break
    answers = "One answer settles" if needed == 1 else f"{needed:,} answers settle"
    causes = f"{len(questions):,} cause{'' if len(questions) == 1 else 's'}"
    about = f"{causes}, {alarms:,} alarm{'' if alarms == 1 else 's'}"
    return f"{answers} {reached / total if total else 0:.0%} of what is uncertain ({about})"
