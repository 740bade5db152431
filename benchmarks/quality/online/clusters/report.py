"""Which promises are kept, and how do the figures look as tables and as a file?"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.online.clusters.measure import Row
from benchmarks.quality.online.clusters.streams import NEWS, NO_NEWS, THREE

OURS = "jamais ClusterMemory"
_CELLS = {
    "shift": "shift % (within)",
    "shift_remembered": "remembered %",
    "old_before": "old before",
    "old": "ACC old",
    "new": "new",
    "all": "all",
    "none": "none",
    "cpu_ms_per_1000": "CPU-ms/1,000",
    "share_of_refit": "% of refit",
}
_LEAST_NEW = {"digits": 90.0, "mnist": 80.0, "clinc": 57.0}
_DEEP = ("digits", "mnist")


@dataclass(frozen=True)
class Promise:
    """One figure of ClusterMemory with default settings, beside what was promised."""

    what: str
    value: float
    wanted: str
    kept: bool
    note: str = ""


def table(found: Sequence[Row], data: str, protocol: str) -> str:
    """Draw means and standard deviations over seeds (and updates), as Markdown."""
    here = [row for row in found if row["data"] == data and row["protocol"] == protocol]
    lines = [
        "| method | k (true) | " + " | ".join(_CELLS.values()) + " | new, seed by seed |",
        "|---" * (len(_CELLS) + 3) + "|",
    ]
    for method in dict.fromkeys(row["method"] for row in here):
        own = [row for row in here if row["method"] == method]
        cells = [f"{_mean(own, 'k'):.1f} ({_mean(own, 'k_true'):.0f})"]
        for name in _CELLS:
            cell = _spread(own, name)
            within = _mean(own, "worst_within")
            cells.append(f"{cell} ({within:.1f})" if name == "shift" and np.isfinite(within) else cell)
        each = [f"{_mean([row for row in own if row['seed'] == seed], 'new'):.0f}" for seed in _seeds(own)]
        lines.append(f"| {method} | " + " | ".join(cells) + " | " + " ".join(each).replace("nan", "-") + " |")
    return "\n".join(lines)


def promises(found: Sequence[Row]) -> list[Promise]:
    """Compare ClusterMemory with what issue 5 promises, data set by data set."""
    kept: list[Promise] = []
    ours = [row for row in found if row["method"] == OURS]
    for data in dict.fromkeys(row["data"] for row in ours):
        here = defaultdict(list)
        for row in ours:
            if row["data"] == data:
                here[row["protocol"]].append(row)
        kept += _of_news(data, here[NEWS]) + _of_no_news(data, here[NO_NEWS]) + _of_three(data, here[THREE])
    return kept


def promises_table(found: Sequence[Promise]) -> str:
    lines = ["| promise | figure | wanted | |", "|---|---|---|---|"]
    for one in found:
        verdict = ("ok" if one.kept else "MISSED") + (f" ({one.note})" if one.note else "")
        lines.append(f"| {one.what} | {one.value:.2f} | {one.wanted} | {verdict} |")
    return "\n".join(lines)


def pays(found: Sequence[Row]) -> str:
    """Say whether an encoder trained on the news is worth its while: yes or no, with the figures."""
    lines = ["| data | memory in | new | shift % | CPU-s |", "|---|---|---|---|---|"]
    verdicts = []
    for data in dict.fromkeys(row["data"] for row in found):
        here = [
            row for row in found if row["data"] == data and row["protocol"] == NEWS and row["method"][:6] == "jamais"
        ]
        by = {name: [row for row in here if row["method"] == OURS + name] for name in _SPACES}
        if not all(by.values()):
            continue
        for name, where in _SPACES.items():
            lines.append(
                f"| {data} | {where} | {_spread(by[name], 'new')} | {_spread(by[name], 'shift')} "
                f"| {_mean(by[name], 'cpu'):.2f} |"
            )
        best = max((name for name in _SPACES if "fine-tuned" in name), key=lambda name: _mean(by[name], "new"))
        gain, moved = _mean(by[best], "new") - _mean(by[""], "new"), _mean(by[best], "shift")
        answer = "yes" if gain > 0 and moved <= 0.5 else "no"
        verdicts.append(f"{data}: {answer} ({gain:+.1f} points of new ACC at {moved:.2f} % shift)")
    return "\n".join([*lines, "", "Does training the encoder pay? " + "; ".join(verdicts)]) if verdicts else ""


_SPACES = {
    "": "input space",
    ", latents": "latents, frozen",
    ", latents fine-tuned": "latents, fine-tuned",
    ", latents fine-tuned towards the input space's clusters": "latents, fine-tuned towards the input space's clusters",
}


def write(path: Path, found: Sequence[Row], command: str) -> None:
    """Write one line for each method, seed and update, under a first line that says how they were made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(f"# made by: {command}\n")
        lines = csv.DictWriter(file, fieldnames=list(Row.__annotations__), lineterminator="\n")
        lines.writeheader()
        lines.writerows({name: _cell(value) for name, value in row.items()} for row in found)


def _of_news(data: str, rows: list[Row]) -> list[Promise]:
    if not rows:
        return []
    made = [
        _most(f"{data}: label shift, held-out %", rows, "shift", 0.5),
        _most(f"{data}: label shift, remembered %", rows, "shift_remembered", 0.0, np.max),
        _most(f"{data}: CPU-ms per 1,000 rows", rows, "cpu_ms_per_1000", 200.0),
        *_not_worse(data, rows),
        *_enough_new(data, rows),
    ]
    if data in _DEEP:  # a refit of k-means costs next to nothing: the promise speaks of networks
        made.append(_most(f"{data}: CPU, % of a full refit", rows, "share_of_refit", 1.0))
    if data == "mnist":
        made.append(_least("mnist: old ACC of the base", rows, "old_before", 85.0))
    return made


def _of_no_news(data: str, rows: list[Row]) -> list[Promise]:
    return [_most(f"{data}: phantom clusters without news", rows, "born", 0.0, np.max)] if rows else []


def _of_three(data: str, rows: list[Row]) -> list[Promise]:
    if not rows:
        return []
    last = [row for row in rows if row["update"] == 3]
    worst = max((_mean([row for row in rows if row["update"] == one], "shift"), one) for one in (1, 2, 3))
    return [
        Promise(f"{data}: label shift, worst of three updates %", worst[0], "<= 0.5", worst[0] <= 0.5),
        _most(f"{data}: of base classes alone, mean of three updates %", rows, "shift_first", 0.5),
        _most(f"{data}: since their arrival, after three updates %", last, "shift_since_arrival", 0.5),
        _most(f"{data}: remembered, in three updates %", rows, "shift_remembered", 0.0, np.max),
        *_not_worse(f"{data}, three updates", rows),
        *_enough_new(data, rows, ", mean of three updates"),
    ]


def _enough_new(data: str, rows: list[Row], when: str = "") -> list[Promise]:
    least = _LEAST_NEW.get(data)
    return [] if least is None else [_least(f"{data}: new ACC{when}", rows, "new", least)]


def _not_worse(data: str, rows: list[Row]) -> list[Promise]:
    """Ask by the one match over all rows, as everywhere here, and by a match of old rows alone before: stricter."""
    made = []
    for name, how in (("old_before_joint", "one match over all rows"), ("old_before", "old rows matched alone before")):
        gain = _mean(rows, "old") - _mean(rows, name)
        made.append(Promise(f"{data}: old ACC after less before, {how}", gain, ">= 0", gain >= 0))
    return made


def _most(what: str, rows: list[Row], name: str, most: float, how: Callable[..., Any] = np.nanmean) -> Promise:
    value = float(how(_values(rows, name)))
    return Promise(what, value, f"<= {most:g}", value <= most, _worst(rows, name))


def _least(what: str, rows: list[Row], name: str, least: float) -> Promise:
    value = _mean(rows, name)
    return Promise(what, value, f">= {least:g}", value >= least, _worst(rows, name, lowest=True))


def _worst(rows: list[Row], name: str, *, lowest: bool = False) -> str:
    values = _values(rows, name)
    if len(values) < 2 or np.isnan(values).all():
        return ""
    at = int(np.nanargmin(values) if lowest else np.nanargmax(values))
    return f"worst {values[at]:.2f}, seed {rows[at]['seed']}"


def _spread(rows: Sequence[Row], name: str) -> str:
    values = _values(rows, name)
    values = values[np.isfinite(values)]
    if not len(values):
        return "-"
    digits = 2 if name.startswith("shift") or name == "share_of_refit" else 1
    return f"{values.mean():.{digits}f}" + (f" ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else "")


def _values(rows: Sequence[Row], name: str) -> Any:
    return np.array([row[name] for row in rows], dtype=np.float64)  # type: ignore[literal-required]


def _mean(rows: Sequence[Row], name: str) -> float:
    values = _values(rows, name)
    return float(np.nanmean(values)) if len(values) and not np.isnan(values).all() else float("nan")


def _seeds(rows: Sequence[Row]) -> list[int]:
    return sorted({row["seed"] for row in rows})


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.4g}"
    return value
