"""How is one labelled incident recorded, from the first clean minute to the last?"""

from __future__ import annotations

import argparse
import csv
import random
import re
import signal
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from collect import Journal, Series, stamp
from faults import FAULTS, Fault, wait_until_well
from load import Health, Routine, Visitors
from services import Stack

FULL_MINUTES = 50  # below this, all spans shrink: a trial


@dataclass(frozen=True)
class Plan:
    """How long each part lasts, in seconds."""

    clean: float
    fault: tuple[float, float]
    gap: tuple[float, float]


@dataclass
class Label:
    """When one fault was there."""

    fault: Fault
    start: str
    end: str
    recovered: bool
    first_record: str = ""


def main() -> int:
    """Record, label, report; return 1 when a fault did not show."""
    options = read_options()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    work = options.work or Path(tempfile.gettempdir()) / f"jamais-recording-{options.seed}"
    journal = Journal()
    stack = Stack(work, options.base_port, options.seed, journal)
    try:
        stack.start()
        labels = record(stack, journal, options, stopping)
    finally:
        journal.close()
        stack.stop()
    return report(labels, out)


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Record a labelled incident of nginx, PostgreSQL and Redis.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=55.0, help=f"under {FULL_MINUTES}: a short trial")
    parser.add_argument("--out", type=Path, required=True, help="folder for the three files")
    parser.add_argument("--base-port", type=int, default=21000, help="of nginx; the others follow")
    parser.add_argument("--work", type=Path, help="scratch folder, emptied first")
    parser.add_argument("--rate", type=float, default=10.5, help="visitors per second, on average")
    return parser.parse_args()


def record(stack: Stack, journal: Journal, options: argparse.Namespace, stopping: threading.Event) -> list[Label]:
    """Run the load, the routine and the plan; return what happened when."""
    plan, pace = make_plan(options.minutes)
    chance = random.Random(options.seed)
    busy = threading.Event()
    visitors = Visitors(stack, options.seed, options.rate)
    routine = Routine(stack, options.seed, busy, pace)
    health = Health(stack, every_s=4.0 if pace == 1.0 else 1.0)
    roots = {name: partial(stack.pid, name) for name in ["nginx", "postgres", "redis", "app"]}
    series = Series(roots, options.base_port, f"{stack.admin_address} dbname=shop")
    visitors.start()
    health.start()
    time.sleep(8)  # the caches fill before the recording begins
    began = time.monotonic()
    journal.open(options.out / "incident.log")
    series.start(options.out / "metrics.csv")
    routine.start()
    labels = []
    stopping.wait(plan.clean)
    for fault in chance.sample(FAULTS, len(FAULTS)):
        if stopping.is_set():
            break
        labels.append(run_fault(fault, stack, health, plan, chance, stopping, busy))
        print(f"{labels[-1].start} {fault.name} until {labels[-1].end}", flush=True)
        stopping.wait(chance.uniform(*plan.gap))
    stopping.wait(max(0.0, 60 * options.minutes - (time.monotonic() - began), plan.clean / 8))
    series.close()
    journal.close()
    routine.close()
    health.close()
    visitors.close()
    print(f"{journal.n_records} records, {series.n_rows} rows of series; routine: {routine.done}")
    return labels


def make_plan(minutes: float) -> tuple[Plan, float]:
    """Return the spans, and by how much the routine's intervals shrink."""
    if minutes >= FULL_MINUTES:
        return Plan(clean=60 * (minutes - 31.5), fault=(62, 82), gap=(106, 136)), 1.0
    return Plan(clean=6 * minutes, fault=(9, 12), gap=(5, 7)), 0.1


def run_fault(
    fault: Fault,
    stack: Stack,
    health: Health,
    plan: Plan,
    chance: random.Random,
    stopping: threading.Event,
    busy: threading.Event,
) -> Label:
    """Make one fault and wait until everything is well again."""

    def hold(seconds: float) -> bool:
        return not stopping.wait(seconds)

    busy.set()
    time.sleep(1.0)  # a routine job that had just begun is over
    start = stamp()
    fault.inject(stack, hold, chance.uniform(*plan.fault), chance)
    recovered = wait_until_well(health, hold, patience_s=60.0)
    end = stamp()
    busy.clear()
    return Label(fault, start, end, recovered)


def report(labels: list[Label], out: Path) -> int:
    """Find each fault's first record in the log, write `labels.csv`, say what did not show."""
    find_first_records(labels, out / "incident.log")
    with (out / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["fault", "start", "end", "first_record", "note"])
        for label in labels:
            writer.writerow([label.fault.name, label.start, label.end, label.first_record, label.fault.note])
    missing = [label.fault.name for label in labels if not label.first_record]
    missing += [fault.name for fault in FAULTS if fault.name not in {label.fault.name for label in labels}]
    for label in labels:
        if not label.recovered:
            print(f"{label.fault.name}: not well again after 60 s", file=sys.stderr)
    print(f"ran: {len(labels)} faults; did not show: {', '.join(missing) or 'none'}")
    return 1 if missing else 0


def find_first_records(labels: list[Label], log: Path) -> None:
    """Set `first_record` of each label; warn about signs of a fault outside its window."""
    for label in labels:
        if label.fault.sign is None:
            label.first_record = label.start
    record_start = re.compile(r"(\d{4}-\d\d-\d\dT\S+) ")
    outside: dict[str, int] = {}
    time_of_record = ""
    with log.open(encoding="utf-8") as file:
        for line in file:
            head = record_start.match(line)
            time_of_record = head[1] if head else time_of_record
            for label in labels:
                if label.fault.sign is None or not label.fault.sign.search(line):
                    continue
                if not label.start <= time_of_record <= label.end:
                    outside[label.fault.name] = outside.get(label.fault.name, 0) + 1
                elif not label.first_record:
                    label.first_record = time_of_record
    for name, n_lines in outside.items():
        print(f"{name}: {n_lines} lines with its sign lie outside its window", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
