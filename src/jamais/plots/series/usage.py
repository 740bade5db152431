"""Which remembered windows stand for how much: is the memory used as a whole, or do a few serve all?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jamais.errors import InputError, ShapeMismatchError
from jamais.plots.canvas import drawn, figure_class, write_picture
from jamais.types import Floats, Ints

SUFFIXES = (".png", ".svg")
_BLUE, _RED, _SOFT = "#35688f", "#c1272d", "#666666"
_TOP = 0.1  # share of the items that are told as the busiest
_ROW = 1.05  # inches


class Usage(NamedTuple):
    """How evenly the items of one memory are used."""

    n_items: int
    n_used: int
    entropy: float
    """Of the shares, over log M: 1 = all alike, 0 = one item serves all (or nothing was counted)."""
    top_share: float
    """What the busiest tenth of the items stands for."""


def usage_of(counts: Any) -> Usage:
    """Say how evenly items are used, by `counts` [m] of what each was the nearest of."""
    counts = np.asarray(counts, dtype=np.float64).ravel()
    total = float(counts.sum())
    if not total > 0:
        return Usage(len(counts), 0, 0.0, 0.0)
    shares = np.sort(counts / total)[::-1]
    used = shares[shares > 0]
    entropy = float(-(used * np.log(used)).sum() / np.log(len(counts))) if len(counts) > 1 else 1.0
    busiest = max(1, round(_TOP * len(counts)))
    return Usage(len(counts), len(used), abs(entropy), float(shares[:busiest].sum()))


def draw_usage(
    path: str | Path,
    usage: Mapping[str, Any],
    *,
    when: Mapping[str, Ints] | None = None,
    items: Mapping[str, Any] | None = None,
    title: str = "",
) -> None:
    """Draw, for each memory by its name, a bar per item [m]: how many it stands for, against even use.

    `when` colours items by when they were last used, or learned (any rising number): pale = long ago. `items` [m,
    width] are the items themselves: beside the bars stands the cosine of each pair, dark where two have become one.
    Items that stand for nothing are marked red. Raises ShapeMismatchError where the lengths differ.
    """
    target = Path(path)
    if target.suffix.lower() not in SUFFIXES:
        raise InputError(f"a picture of the use of a memory is a .png or .svg file, got {target}")
    if not usage:
        raise InputError("no memory to draw: give counts for each by name, for example banks.usage()")
    for name, given in (("times", when), ("items", items)):
        for key, of in (given or {}).items():
            if key in usage and len(of) != len(usage[key]):
                raise ShapeMismatchError(f"{key} has {len(usage[key]):,} counts and {len(of):,} {name}")
    n, wide = len(usage), bool(items)
    row = 2.6 if wide else _ROW
    height = 1.0 + n * row
    figure = figure_class()(figsize=(11, height))
    top, bottom = 1 - 0.78 / height, 0.42 / height
    grid = figure.add_gridspec(
        n, 2 if wide else 1, left=0.07, right=0.985 if not wide else 0.94, top=top, bottom=bottom,
        hspace=0.75 if not wide else 0.42, wspace=0.1, width_ratios=[3, 1] if wide else None,
    )  # fmt: skip
    for i, (name, counts) in enumerate(usage.items()):
        bars: Any = figure.add_subplot(grid[i, 0])
        _draw_counts(bars, name, np.asarray(counts, dtype=np.float64), None if when is None else when.get(name))
        if i == n - 1:
            bars.set_xlabel("item, in the order of the memory", fontsize=9)
        if items is not None and name in items:
            _draw_cosines(figure, figure.add_subplot(grid[i, 1]), np.asarray(items[name], dtype=np.float64))
    figure.text(0.012, 1 - 0.3 / height, title or _headline(usage), fontsize=13, weight="bold", parse_math=False)
    told = "bars: how much an item stands for; 1 (dashed) is an even share; red: stands for nothing"
    pale = "; pale: long ago" if when else ""
    figure.text(0.012, 1 - 0.52 / height, told + pale, fontsize=9, color=_SOFT)
    write_picture(target, drawn(figure, target.suffix.lower()))


def _headline(usage: Mapping[str, Any]) -> str:
    of = [usage_of(counts) for counts in usage.values()]
    used, items = sum(one.n_used for one in of), sum(one.n_items for one in of)
    middle = float(np.median([one.entropy for one in of]))
    what = f"{items:,} items of {len(of):,} {'memory' if len(of) == 1 else 'memories'}"
    return f"{what}: {used:,} in use, usage entropy {middle:.2f}{' (median)' if len(of) > 1 else ''} of 1"


def _draw_counts(axes: Any, name: str, counts: Floats, when: Ints | None) -> None:
    of, m = usage_of(counts), len(counts)
    heights = counts * m / max(float(counts.sum()), 1.0)
    colours: Any = _BLUE
    if when is not None and m:
        colours = _aged(np.asarray(when, dtype=np.float64))
    axes.bar(np.arange(m), heights, width=1.0 if m > 150 else 0.8, color=colours, linewidth=0)
    axes.axhline(1.0, color=_SOFT, linewidth=0.8, linestyle="--")
    top = max(2.0, 1.05 * float(heights.max(initial=0.0)))
    unused = np.flatnonzero(counts <= 0)
    axes.plot(unused, np.full(len(unused), 0.035 * top), "|", color=_RED, markersize=5, markeredgewidth=1)
    axes.set(ylim=(0, top), xlim=(-0.7, max(m, 1) - 0.3))
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=7.5)
    axes.locator_params(axis="y", nbins=3)
    axes.set_title(name, fontsize=9, loc="left", pad=3, weight="bold", parse_math=False)
    told = f"{of.n_used:,} of {m:,} used, entropy {of.entropy:.2f}, busiest tenth {of.top_share:.0%}"
    axes.set_title(told, fontsize=8, loc="right", pad=3, color=_SOFT)


def _aged(when: Floats) -> Any:
    """Give a colour to each item: full for the newest, pale for the oldest."""
    rank = np.argsort(np.argsort(when, kind="stable"), kind="stable") / max(len(when) - 1, 1)
    full = np.array([0x35, 0x68, 0x8F]) / 255
    pale = 1 - (1 - full) * (0.25 + 0.75 * rank[:, None])
    return pale


def _draw_cosines(figure: Any, axes: Any, items: Floats) -> None:
    lengths = np.sqrt((items**2).sum(axis=1, keepdims=True))
    units = items / np.maximum(lengths, 1e-300)
    cosines = units @ units.T
    picture = axes.imshow(cosines, vmin=-1, vmax=1, cmap="RdBu_r", interpolation="nearest")
    off = cosines[~np.eye(len(items), dtype=bool)]
    mean, most = (float(of) if len(off) else 0.0 for of in (off.mean() if len(off) else 0, off.max(initial=-1)))
    axes.set_title(f"cosine of pairs: mean {mean:.2f}, most {most:.2f}", fontsize=8, pad=3, color=_SOFT)
    axes.tick_params(labelsize=7)
    axes.locator_params(nbins=5, integer=True)
    bar = figure.colorbar(picture, ax=axes, fraction=0.05, pad=0.03)
    bar.ax.tick_params(labelsize=7)
