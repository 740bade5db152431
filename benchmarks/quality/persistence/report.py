"""How do counts become a table for people and a CSV, and is anything of jamais' not as promised?"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.quality.persistence.crash import NEW, OLD
from benchmarks.quality.persistence.damage import SAME, Counts
from benchmarks.quality.persistence.hostile import Met
from benchmarks.quality.persistence.power import AFTER
from benchmarks.quality.persistence.savers import JAMAIS
from benchmarks.quality.persistence.trials import DIED, ERROR, SILENT, UNTIDY

OUTCOMES = (SAME, OLD, NEW, ERROR, SILENT, DIED, UNTIDY)


def counts_line(one: Counts) -> str:
    """Draw a row of the table of counts."""
    found = ", ".join(f"{n:,} {outcome}" for outcome in OUTCOMES if (n := one.outcomes.get(outcome)))
    return f"| {one.test} | {one.method} | {one.kind} | {one.n:,} | {found} |"


def met_line(one: Met) -> str:
    """Draw a row of the table of hostile files."""
    ran = ", **code has run**" if one.code_ran else ""
    size = f"{one.extra_mb:.0f} ({one.file_mb:.1f})"
    return f"| {one.face} | {one.case} | {one.method} | {one.outcome}{ran} | {one.seconds:.3f} | {size} |"


COUNTS_HEAD = "| test | method | kind | n | outcomes |\n" + "|---" * 5 + "|"
MET_HEAD = "| face | hostile file | read by | outcome | s | MB taken (file) |\n" + "|---" * 6 + "|"


def broken_promises(counts: Iterable[Counts], hostile: Iterable[Met]) -> list[str]:
    """Say what jamais has not kept: all damage noticed, old or new after a crash, new after a save, no malice met."""
    said = []
    for one in counts:
        bad = {SILENT, DIED, UNTIDY}
        bad |= {ERROR} if one.part != "damage" else set()  # whatever happened, a state must still load
        bad |= {OLD} if one.test == AFTER else set()
        if one.kind == JAMAIS and bad & set(one.outcomes):
            said.append(f"MISSED {one.test}: {one.method}: {one.outcomes}")
    for other in hostile:
        if other.method == JAMAIS and not other.ok:
            line = f"{other.outcome} in {other.seconds:.2f} s, {other.extra_mb:.0f} MB of {other.file_mb:.0f}"
            said.append(f"MISSED {other.face}: {other.case}: {line} {other.says}")
    return said


def counts_cells(one: Counts) -> dict[str, Any]:
    """Give a row of the CSV of counts."""
    cells: dict[str, Any] = {"part": one.part, "test": one.test, "method": one.method, "kind": one.kind, "n": one.n}
    return cells | {outcome: one.outcomes.get(outcome, 0) for outcome in OUTCOMES}


def met_cells(one: Met) -> dict[str, Any]:
    """Give a row of the CSV of hostile files."""
    cells: dict[str, Any] = {"face": one.face, "case": one.case, "read_by": one.method, "outcome": one.outcome}
    cells |= {"code_ran": one.code_ran, "seconds": f"{one.seconds:.3f}", "extra_mb": f"{one.extra_mb:.1f}"}
    return cells | {
        "file_mb": f"{one.file_mb:.3f}",
        "as_promised": one.ok if one.method == JAMAIS else "",
        "says": one.says,
    }


def write(path: Path, rows: Sequence[dict[str, Any]], made_by: str) -> None:
    """Write rows under a first line that says how they were made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(f"# made by: {made_by}\n")
        table = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
