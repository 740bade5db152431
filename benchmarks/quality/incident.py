"""Are the faults of both recordings found in time, and how often is there a false alarm?

The second recording was made with another seed, and its contents were not looked at while jamais was built.

    python -m benchmarks.quality.incident
"""

from __future__ import annotations

import csv
import sys
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

from jamais.demo import run_demo

HERE = Path(__file__).parent
RESULT = HERE.parent / "results" / "quality-incident.csv"
RECORDINGS = {"first (shipped)": resources.files("jamais") / "assets" / "incident", "second": HERE / "second_incident"}
SEEDS = (0, 1, 2)


def main() -> int:
    runs = ((name, Path(str(folder)), seed) for name, folder in RECORDINGS.items() for seed in SEEDS)
    rows = [row for run in runs for row in judged(*run)]
    RESULT.parent.mkdir(exist_ok=True)
    with RESULT.open("w", newline="", encoding="utf-8") as file:
        file.write("# python -m benchmarks.quality.incident\n")
        table = csv.DictWriter(file, fieldnames=list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return 0


def judged(name: str, folder: Path, seed: int) -> list[dict[str, Any]]:
    """Run the demo on one recording and give a row for each fault and one for the false alarms."""
    with tempfile.TemporaryDirectory() as out:
        result = run_demo(Path(out), folder, seed=seed)
    judgement = result.judgement
    print(
        f"{name}, seed {seed}: {judgement.n_in_time} of {len(judgement.found)} faults within 60 s, "
        f"{len(judgement.false_alarms)} false alarms in {judgement.clean_hours:.2f} clean hours"
    )
    rows: list[dict[str, Any]] = []
    for one in judgement.found:
        seconds = round(one.delay.total_seconds(), 1) if one.delay is not None else "missed"
        print(f"    {one.fault.name:<24}{seconds!s:>8}  {one.why[:110]}")
        rows.append({"recording": name, "seed": seed, "fault": one.fault.name, "seconds": seconds, "why": one.why})
    for start, why in judgement.false_alarms:
        print(f"    false alarm {start:%H:%M:%S}  {why[:110]}")
        rows.append({"recording": name, "seed": seed, "fault": "none", "seconds": "", "why": why})
    return rows


if __name__ == "__main__":
    sys.exit(main())
