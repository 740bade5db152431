"""Where do the figures go: CSV files that name their command, and tables for people."""

from __future__ import annotations

import csv
import functools
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

Cells = dict[str, str | float | int]
RESULTS = Path(__file__).resolve().parents[2] / "results"
COMMAND = "OMP_NUM_THREADS=1 python -m benchmarks.quality.series"
KEY = ("set", "series", "method")


@functools.cache
def commit() -> str:
    """Return the commit that was checked out when the run began; nothing outside of git."""
    asked = ["git", "-C", str(RESULTS), "rev-parse", "--short", "HEAD"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


def now() -> str:
    """Return the time to the minute, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ")


def merge(path: Path, rows: list[Cells], key: tuple[str, ...] = KEY) -> None:
    """Put `rows` into the table at `path` in place of rows of the same key; others stay, with their own commit."""
    new = {tuple(str(row[name]) for name in key) for row in rows}
    old = [row for row in read(path) if tuple(row[name] for name in key) not in new] if path.exists() else []
    together: list[dict[str, str]] = [*old, *({name: _text(cell) for name, cell in row.items()} for row in rows)]
    together.sort(key=lambda row: tuple(row[name] for name in key))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(f"# made by: {COMMAND}\n")
        table = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n", extrasaction="ignore", restval="")
        table.writeheader()
        table.writerows(together)


def append(path: Path, rows: list[Cells]) -> None:
    """Add `rows` to a log that is never rewritten."""
    fresh = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        if fresh:
            table.writeheader()
        table.writerows([{name: _text(cell) for name, cell in row.items()} for row in rows])


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table that `merge` or `append` wrote."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def means(rows: Iterable[Cells]) -> str:
    """Draw one table per set: means over series, by method, best VUS-PR first."""
    rows = list(rows)
    text: list[str] = []
    for data in dict.fromkeys(str(row["set"]) for row in rows):
        of_set = [row for row in rows if row["set"] == data]
        methods = dict.fromkeys(str(row["method"]) for row in of_set)
        tables = {method: [row for row in of_set if row["method"] == method] for method in methods}
        text += [
            f"\n{data}",
            "| method | series | VUS-PR | AP | VUS-ROC | fit s | score s | found | hit@100 | hit@150 |",
        ]
        text.append("|---|---|---|---|---|---|---|---|---|---|")
        for method in sorted(tables, key=lambda name: -_mean(tables[name], "vus_pr")):
            text.append(_line(method, tables[method]))
    return "\n".join(text)


def losses(rows: list[Cells]) -> str:
    """Draw what contamination costs: means over series of each set, by method."""
    text = [
        "| set | method | series | clean | contaminated | loss | clean, rest | contaminated, rest | loss |",
        "|---" * 9 + "|",
    ]
    for data, method in dict.fromkeys((str(row["set"]), str(row["method"])) for row in rows):
        some = [row for row in rows if (row["set"], row["method"]) == (data, method)]
        cells: list[str] = []
        for suffix in ("", "_rest"):
            clean, dirty = _mean(some, f"clean{suffix}"), _mean(some, f"contaminated{suffix}")
            cells += [f"{clean:.3f}", f"{dirty:.3f}", f"{clean - dirty:+.3f}"]
        text.append(f"| {data} | {method} | {len(some)} | {' | '.join(cells)} |")
    return "\n".join(text)


def plain(rows: list[Cells]) -> str:
    """Draw a table as it is."""
    text = [f"| {' | '.join(rows[0])} |", "|---" * len(rows[0]) + "|"]
    return "\n".join([*text, *(f"| {' | '.join(_text(cell) for cell in row.values())} |" for row in rows)])


def _line(method: str, rows: list[Cells]) -> str:
    figures = " | ".join(f"{_mean(rows, name):.3f}" for name in ("vus_pr", "ap", "vus_roc"))
    seconds = " | ".join(f"{sum(float(row[name]) for row in rows):.1f}" for name in ("fit_seconds", "score_seconds"))
    known = [row for row in rows if row["segments"] != ""]
    found, total = sum(int(row["found"]) for row in known), sum(int(row["segments"]) for row in known)
    right = [f"{_by_found(known, name):.3f}" if found else "" for name in ("hit100", "hit150")]
    seen = f"{found}/{total}" if total else ""
    return f"| {method} | {len(rows)} | {figures} | {seconds} | {seen} | {' | '.join(right)} |"


def _mean(rows: list[Cells], name: str) -> float:
    return float(np.mean([float(row[name]) for row in rows]))


def _by_found(rows: list[Cells], name: str) -> float:
    some = [row for row in rows if int(row["found"])]
    return float(np.average([float(row[name]) for row in some], weights=[int(row["found"]) for row in some]))


def _text(cell: str | float | int) -> str:
    if isinstance(cell, float):
        return "" if np.isnan(cell) else f"{cell:.4f}"
    return str(cell)
