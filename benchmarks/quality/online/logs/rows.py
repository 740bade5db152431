"""How do walks become rows of figures, a table for people, and a promise kept or missed?"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.quality.online.logs.contest import Entry, Target
from benchmarks.quality.online.logs.streams import Flow
from benchmarks.quality.online.logs.walk import Quality

Figures = dict[str, str | int]

COLUMNS = (
    "data", "operator", "method", "seeds", "f1", "f1_sd", "f1_worst", "precision", "recall", "questions",
    "questions_most", "alarms", "alarm_causes", "false_alarms", "false_alarm_causes", "cpu_seconds", "target", "kept",
    "tenth", "ap_first", "ap_before", "ap_after_all", "note",
)  # fmt: skip


def figures(flow: Flow, entry: Entry, seeds: Sequence[Quality], seconds: float, target: Target | None) -> Figures:
    """Give means over `seeds`; spread is the standard deviation over them."""
    scores = np.array([one.f1 for one in seeds])
    cells: Figures = {"data": flow.name, "operator": entry.habits.name, "method": entry.method, "seeds": len(seeds)}
    cells |= {"f1": f"{scores.mean():.4f}", "f1_sd": f"{scores.std():.4f}", "f1_worst": f"{scores.min():.4f}"}
    for name in ("precision", "recall"):
        cells[name] = f"{_mean(seeds, name):.4f}"
    for name in ("questions", "alarms", "alarm_causes", "false_alarms"):
        cells[name] = f"{_mean(seeds, name):.1f}"
    cells["questions_most"] = max(one.questions for one in seeds)
    cells["false_alarm_causes"] = f"{_mean(seeds, 'false_causes'):.1f}"
    cells["cpu_seconds"] = f"{seconds:.1f}"
    if target is not None:
        cells["target"], cells["kept"] = judged(target, cells)
    return cells


def judged(target: Target, cells: Figures) -> tuple[str, str]:
    """Compare a row with its target, mean with mean: what was wanted, and ok or MISSED."""
    wanted = [
        ("mean F1 >= ", target.f1, cells["f1"], 1),
        ("worst F1 >= ", target.worst, cells["f1_worst"], 1),
        ("questions <= ", target.questions, cells["questions"], -1),
    ]
    asked = [(text, wish, float(got), sign) for text, wish, got, sign in wanted if wish is not None]
    kept = all(sign * got >= sign * wish for _, wish, got, sign in asked)
    return "; ".join(f"{text}{wish:g}" for text, wish, _, _ in asked), "ok" if kept else "MISSED"


def write(path: Path, rows: Sequence[Figures], command: str) -> None:
    """Write all rows so far, under a first line that says how they were made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(f"# made by: {command}\n")
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


HEAD = (
    "| method | questions | F1 (sd; worst) | P | R | alarms (causes) | false (causes) | CPU-s | promise |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def line(row: Figures) -> str:
    """Draw one row of the table under `HEAD`."""
    promise = f"{row['target']}: {row['kept']}" if "kept" in row else ""
    f1 = f"{row['f1']} ({row['f1_sd']}; {row['f1_worst']})" if row["seeds"] != 1 else str(row["f1"])
    return (
        f"| {row['method']} | {row['questions']} | {f1} | {row['precision']} | {row['recall']} | "
        f"{row['alarms']} ({row['alarm_causes']}) | {row['false_alarms']} ({row['false_alarm_causes']}) | "
        f"{row['cpu_seconds']} | {promise} |"
    )


def tenth_line(row: Figures) -> str:
    """Draw one row about an old tenth."""
    cells = (row["tenth"], row["ap_first"], row["ap_before"], row["ap_after_all"], row["kept"], row["note"])
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


TENTHS_HEAD = (
    "| tenth | AP when it was new | AP before the last update | AP after all | promise | |\n|---|---|---|---|---|---|"
)


def _mean(seeds: Sequence[Quality], name: str) -> float:
    return float(np.mean([getattr(one, name) for one in seeds]))
