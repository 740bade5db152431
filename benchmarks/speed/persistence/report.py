"""How do single costs become rows, ratios to the floor of the same run, and verdicts on the budgets?"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

from benchmarks.speed.persistence.forked import Cost


@dataclass(frozen=True)
class Row:
    """One method over all rounds. Ratios: its best by the floor's best, and its median by the floor's median.

    The floor of a background save is the synchronous save of the same library. `extra_mb`: peak RAM above the state
    (and above the arrays that a load gives).
    """

    what: str
    method: str
    wall_best_s: float
    wall_median_s: float
    cpu_best_s: float
    cpu_median_s: float
    wall_ratio: float | None
    cpu_ratio: float | None
    wall_ratio_of_medians: float | None
    cpu_ratio_of_medians: float | None
    extra_mb: float
    share_of_state: float | None = None
    budget: str = ""


def row(what: str, method: str, costs: Sequence[Cost], floor: Sequence[Cost], result_mb: float = 0.0) -> Row:
    """Sum up the rounds of one method (no floor: no ratios); `result_mb` is the size of what it gives."""
    walls, cpus = [cost.wall for cost in costs], [cost.cpu for cost in costs]
    walls_0, cpus_0 = [cost.wall for cost in floor], [cost.cpu for cost in floor]
    return Row(
        what,
        method,
        wall_best_s=min(walls),
        wall_median_s=median(walls),
        cpu_best_s=min(cpus),
        cpu_median_s=median(cpus),
        wall_ratio=min(walls) / min(walls_0) if floor else None,
        cpu_ratio=min(cpus) / min(cpus_0) if floor else None,
        wall_ratio_of_medians=median(walls) / median(walls_0) if floor else None,
        cpu_ratio_of_medians=median(cpus) / median(cpus_0) if floor else None,
        extra_mb=max(0.0, max(cost.extra_mb for cost in costs) - result_mb),
    )


@dataclass(frozen=True)
class Budget:
    """A promise about one column of one row."""

    what: str
    method: str
    column: str
    limit: float
    says: str


ONE_FILE, ONE_FILE_SHA, COMMIT = "jamais single file", "jamais single file, sha256", "jamais store, first commit"
STORE_LOAD, FIRST = "jamais store.load", "jamais open_binary().array"
BUDGETS = (
    *(
        Budget("save", one, "wall_ratio", 1.5, "durable save, wall by floor")
        for one in (ONE_FILE, ONE_FILE_SHA, COMMIT)
    ),
    Budget("save", ONE_FILE, "cpu_ratio", 2.0, "fast digest, CPU by floor"),
    *(Budget("save", one, "cpu_ratio", 4.5, "sha256, CPU by floor") for one in (ONE_FILE_SHA, COMMIT)),
    *(Budget("save", one, "extra_mb", 64.0, "extra RAM, MB") for one in (ONE_FILE, ONE_FILE_SHA, COMMIT)),
    Budget("save", "jamais store, commit after memory grew", "share_of_state", 0.01, "bytes written by state"),
    Budget("blocked", "jamais background save, later", "wall_ratio", 0.25, "blocked by synchronous commit"),
    *(Budget("load warm", one, "wall_ratio", 1.5, "verified load, wall by floor") for one in (ONE_FILE, STORE_LOAD)),
    *(Budget(f"first 4 MiB {how}", FIRST, "wall_median_s", 0.030, "first tensor, s") for how in ("warm", "cold")),
)


def judged(rows: Iterable[Row]) -> tuple[list[Row], list[str]]:
    """Write the verdicts into the rows, and one line for each."""
    found: list[Row] = []
    lines: list[str] = []
    for one in rows:
        said = []
        for budget in BUDGETS:
            if (budget.what, budget.method) == (one.what, one.method):
                value = getattr(one, budget.column)
                verdict = "ok" if value <= budget.limit else "MISSED"
                said.append(f"{budget.column} <= {budget.limit:g}: {verdict}")
                lines.append(f"{verdict:<7}{budget.says:<31}{value:8.4f} <= {budget.limit:<6g}{one.what}: {one.method}")
        found.append(replace(one, budget="; ".join(said)))
    return found, lines


HEAD = (
    "| what | method | best s | median s | CPU s | x floor | of medians | CPU x floor | of medians | extra MB |"
    " bytes / state |\n" + "|---" * 11 + "|"
)


def line(one: Row) -> str:
    """Draw a row of the table for people."""
    cells = [one.what, one.method, *(f"{s:.3f}" for s in (one.wall_best_s, one.wall_median_s, one.cpu_best_s))]
    ratios = (one.wall_ratio, one.wall_ratio_of_medians, one.cpu_ratio, one.cpu_ratio_of_medians)
    cells += ["" if ratio is None else f"{ratio:.2f}" for ratio in ratios]
    cells += [f"{one.extra_mb:.0f}", "" if one.share_of_state is None else f"{one.share_of_state:.4f}"]
    return "| " + " | ".join(cells) + " |"


def write(path: Path, rows: Sequence[Row], made_by: str) -> None:
    """Write the rows under a first line that says how they were made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(f"# made by: {made_by}\n")
        table = csv.DictWriter(file, fieldnames=list(asdict(rows[0])), lineterminator="\n")
        table.writeheader()
        table.writerows({name: _rounded(value) for name, value in asdict(one).items()} for one in rows)


def _rounded(value: object) -> object:
    return float(f"{value:.4g}") if isinstance(value, float) else value
