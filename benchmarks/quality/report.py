"""Where do the figures go: a CSV that names its command, and a Markdown table for people."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from benchmarks.quality.datasets import Split
from benchmarks.quality.protocol import RATES, Row

Figures = dict[str, str | int]


def figures(split: Split, row: Row) -> Figures:
    """Flatten one row; best_f1_upper_bound chose its threshold on the test labels."""
    cells: Figures = {
        "data": split.data,
        "protocol": split.protocol,
        "fit_on": split.fit_on,
        "view": row.view,
        "method": row.run.method,
        "n_fit": row.n_fit,
        "n_calibration": row.run.n_calibration or "",
        "n_test": row.n_test,
        "n_abnormal": row.n_abnormal,
        "ap": _3(row.average_precision),
        "auroc": _3(row.auroc),
        "best_f1_upper_bound": _3(row.best_f1),
    }
    for rate, quality in row.quality.items():
        cells[f"f1@{rate}"] = _3(quality.f1)
        cells[f"precision@{rate}"] = _3(quality.precision)
        cells[f"recall@{rate}"] = _3(quality.recall)
        cells[f"alarms_per_1000@{rate}"] = f"{quality.alarms_per_thousand:.1f}"
    cells["seconds"] = f"{row.run.seconds:.1f}"
    cells["best_baseline"] = row.against
    for name in ("value", "low", "high"):
        cells[f"ap_minus_best_{name}"] = _3(getattr(row.difference, name)) if row.difference else ""
    return cells


def write_csv(path: Path, rows: list[Figures], command: str) -> None:
    """Write `rows` under a first line that says how to make them again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(f"# made by: {command}\n")
        table = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def markdown(rows: Iterable[Figures]) -> str:
    """Draw one table per data set, protocol, fit data and view."""
    text: list[str] = []
    title = ""
    for row in rows:
        heading = f"{row['data']} {row['protocol']}, fit on {row['fit_on']} ({row['n_fit']})"
        heading += f", test {row['view']}: {row['n_abnormal']} abnormal of {row['n_test']}"
        if heading != title:
            title = heading
            text += ["", f"### {heading}", "", *_HEAD]
        text.append(_line(row))
    return "\n".join(text)


_HEAD = [
    "| method | AP | AUROC | best F1 (upper bound) |"
    + "".join(f" F1 (P/R) at {rate} | alarms per 1,000 |" for rate in RATES)
    + " s | AP - best baseline (95 %) |",
    "|---" * (6 + 2 * len(RATES)) + "|",
]


def _line(row: Figures) -> str:
    cells = [str(row["method"]), str(row["ap"]), str(row["auroc"]), str(row["best_f1_upper_bound"])]
    for rate in RATES:
        cells.append(f"{row[f'f1@{rate}']} ({row[f'precision@{rate}']}/{row[f'recall@{rate}']})")
        cells.append(str(row[f"alarms_per_1000@{rate}"]))
    cells.append(str(row["seconds"]))
    cells.append(_versus(row) if row["best_baseline"] else "")
    return "| " + " | ".join(cells) + " |"


def _versus(row: Figures) -> str:
    low, high = row["ap_minus_best_low"], row["ap_minus_best_high"]
    return f"{row['ap_minus_best_value']} ({low} .. {high}) vs {row['best_baseline']}"


def _3(number: float) -> str:
    return f"{number:.3f}"
