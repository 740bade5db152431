"""What do many figures say together: means beside peers, and does the ensemble keep its promises?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.quality.detectors.contest import ENSEMBLES, Figure

SHORT_OF_BEST, SHORT_OF_MEDIAN = 0.005, 0.01
_MEASURES = ("auroc", "average_precision")


@dataclass(frozen=True)
class Promise:
    """How one ensemble stands beside its members: over the means of all sets, and on its worst set."""

    table: str
    ensemble: str
    measure: str
    value: float
    mean_member: float
    best_member: float
    """The best of the means, chosen afterwards."""
    median_member: float
    worst_gap_to_median: float
    """Ensemble less median member, on the set where that is lowest (mean over seeds)."""
    worst_set: str

    @property
    def kept(self) -> bool:
        """Whether it is above the mean member, near the best, and not below the median member by much."""
        return (
            self.value >= self.mean_member
            and self.value >= self.best_member - SHORT_OF_BEST
            and self.value >= self.median_member - SHORT_OF_MEDIAN
        )


def by_set(figures: Iterable[Figure]) -> dict[tuple[str, str, str, str], list[Figure]]:
    """Gather the seeds of each (table, data, method, whose)."""
    found: dict[tuple[str, str, str, str], list[Figure]] = defaultdict(list)
    for one in figures:
        found[one.split.table, one.split.data, one.method, one.whose].append(one)
    return found


def means_table(figures: Sequence[Figure], table: str) -> str:
    """Draw the means over sets (each the mean of its seeds), as Markdown."""
    sets = by_set(one for one in figures if one.split.table == table)
    methods: dict[tuple[str, str], list[list[Figure]]] = defaultdict(list)
    for (_, _, method, whose), seeds in sets.items():
        methods[method, whose].append(seeds)
    lines = ["| method | whose | AUROC | AP | CPU-s | note |", "|---|---|---|---|---|---|"]
    for (method, whose), many in methods.items():
        area, precision = (
            np.mean([np.mean([getattr(one, name) for one in seeds]) for seeds in many]) for name in _MEASURES
        )
        everything = [one for seeds in many for one in seeds]
        raised = sum(one.note.startswith("raised") for one in everything)
        note = f"raised on {raised} of {len(everything)}, counted as .5" if raised else everything[0].note
        seconds = sum(one.seconds for one in everything)
        lines.append(f"| {method} | {whose} | {area:.3f} | {precision:.3f} | {seconds:.1f} | {note} |")
    return "\n".join(lines)


def promises(figures: Sequence[Figure]) -> list[Promise]:
    """Compare each ensemble with its members, in each table and by each measure."""
    found = []
    for table in dict.fromkeys(one.split.table for one in figures):
        here = by_set(one for one in figures if one.split.table == table and one.whose == "jamais")
        data = list(dict.fromkeys(key[1] for key in here))
        for ensemble, members in ENSEMBLES.items():
            for measure in _MEASURES:
                mean = {
                    method: np.array(
                        [np.mean([getattr(one, measure) for one in here[table, d, method, "jamais"]]) for d in data]
                    )
                    for method in (ensemble, *members)
                }
                each = np.stack([mean[name] for name in members])
                gaps = mean[ensemble] - np.median(each, axis=0)
                worst = int(gaps.argmin())
                found.append(
                    Promise(
                        table,
                        ensemble,
                        measure,
                        value=float(mean[ensemble].mean()),
                        mean_member=float(each.mean()),
                        best_member=float(each.mean(axis=1).max()),
                        median_member=float(np.median(each.mean(axis=1))),
                        worst_gap_to_median=float(gaps[worst]),
                        worst_set=data[worst],
                    )
                )
    return found


def promises_table(found: Sequence[Promise]) -> str:
    """Draw the comparison of ensembles with their members, as Markdown."""
    head = "table, ensemble, measure, value, mean member, best member, median member, kept, lowest against median"
    lines = ["| " + head.replace(", ", " | ") + " |", "|---" * 9 + "|"]
    for one in found:
        numbers = (one.value, one.mean_member, one.best_member, one.median_member)
        cells = [one.table, one.ensemble, one.measure.replace("_", " "), *(f"{number:.3f}" for number in numbers)]
        cells += ["yes" if one.kept else "NO", f"{one.worst_gap_to_median:+.3f} on {one.worst_set}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
