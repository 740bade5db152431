"""Do figures on the 37 series hold on both halves of them, and what is published for the same series?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchmarks.quality.series.report import Cells
from benchmarks.quality.series.sets import published


def halves(rows: list[Cells], others: Mapping[str, Mapping[str, float]] | None = None) -> list[Cells]:
    """Return mean VUS-PR by method: all, odd and even series (in order of name), MSL and SMAP; best first.

    `others` are published figures, series -> method -> VUS-PR, of which the same series count.
    """
    names = sorted({str(row["series"]) for row in rows})
    known = published() if others is None else others
    here: dict[str, dict[str, float]] = {}
    for row in rows:
        here.setdefault(str(row["method"]), {})[str(row["series"])] = float(row["vus_pr"])
    there: dict[str, dict[str, float]] = {}
    for name in names:
        for method, figure in known.get(name, {}).items():
            there.setdefault(method, {})[name] = figure
    table = [_line("run", method, by_name, names) for method, by_name in here.items()]
    table += [_line("published", method, by_name, names) for method, by_name in there.items()]
    return sorted(table, key=lambda line: -float(line["all"]))


def _line(source: str, method: str, by_name: dict[str, float], names: list[str]) -> Cells:
    parts = {
        "all": names,
        "odd": names[0::2],
        "even": names[1::2],
        "MSL": [name for name in names if "_MSL_" in name],
        "SMAP": [name for name in names if "_SMAP_" in name],
    }
    figures = {part: [by_name[name] for name in some if name in by_name] for part, some in parts.items()}
    means = {part: float(np.mean(some)) if some else float("nan") for part, some in figures.items()}
    return {"source": source, "method": method, "series": len(figures["all"]), **means}
