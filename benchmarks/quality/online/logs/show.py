"""Logs with an operator: run everything, print as it comes, write after each row."""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from benchmarks.data import data_folder
from benchmarks.quality.online.logs.contest import TARGETS, Entry, entries
from benchmarks.quality.online.logs.old_tenths import old_tenths
from benchmarks.quality.online.logs.operators import Operator
from benchmarks.quality.online.logs.rows import HEAD, TENTHS_HEAD, Figures, figures, line, tenth_line, write
from benchmarks.quality.online.logs.streams import Flow, bgl_flow, hdfs_flow
from benchmarks.quality.online.logs.walk import quality

RESULT = Path(__file__).resolve().parents[3] / "results" / "quality-online-logs.csv"
QUICK_ITEMS = 8_000


def run(options: argparse.Namespace) -> list[Figures]:
    """Measure everything that `options` (see `add_options`) ask for; give the rows, and write them as they come."""
    begin = time.process_time()
    path = options.out or (None if options.quick else RESULT)
    rows: list[Figures] = []
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(options.cache or folder)
        cache.mkdir(parents=True, exist_ok=True)
        for row in chain(_walks(options, cache), _tenths(options, Path(folder))):
            rows.append(row)
            if path is not None:
                write(path, rows, _command(sys.argv[1:]))
    missed = sum(row.get("kept") == "MISSED" for row in rows)
    print(f"\n{len(rows)} rows, {missed} promises missed, {time.process_time() - begin:.0f} CPU-s; {path or 'no file'}")
    return rows


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what `run` wants to know; options of the same name that are there already are shared."""
    shared: dict[str, dict[str, Any]] = {
        "--seeds": {"type": int, "default": 5, "help": "operators with different luck"},
        "--first-seed": {"type": int, "default": 0, "help": "develop with others than the reported ones"},
        "--quick": {"action": "store_true", "help": "a short look, one seed, no file"},
        "--out": {"type": Path, "help": "CSV file (default: a name in benchmarks/results/)"},
        "--cache": {"type": Path, "help": "folder of fitted watchers, used again without a look at them"},
    }
    known = parser._option_string_actions
    for name, settings in shared.items():
        if name not in known:
            parser.add_argument(name, **settings)
    parser.add_argument("--flows", nargs="*", choices=["bgl", "hdfs", "tenths"], default=["bgl", "hdfs", "tenths"])
    parser.add_argument("--methods", help="only methods whose name contains this")
    parser.add_argument("--operators", help="only operators whose name contains this")


def _walks(options: argparse.Namespace, cache: Path) -> Iterator[Figures]:
    for flow in _flows(options):
        shown = ""
        for entry in entries(flow, cache):
            if (options.methods or "") in entry.method and (options.operators or "") in entry.habits.name:
                row = _row(flow, entry, options)
                if entry.habits.name != shown:
                    shown = entry.habits.name
                    print(f"\n### {flow.name}, operator: {shown}\n\n{HEAD}", flush=True)
                print(line(row), flush=True)
                yield row


def _flows(options: argparse.Namespace) -> Iterator[Flow]:
    folder = data_folder()
    for name, read, source in (("bgl", bgl_flow, "bgl_windows20"), ("hdfs", hdfs_flow, "hdfs_2pct_raw")):
        if name in options.flows:
            flow = read(folder / source)
            yield flow.first(QUICK_ITEMS) if options.quick else flow


def _row(flow: Flow, entry: Entry, options: argparse.Namespace) -> Figures:
    """Walk once, or once per seed where answers are wrong by chance."""
    seeds = options.seeds if entry.habits.by_chance and not entry.alone and not options.quick else 1
    if entry.prepare is not None:
        entry.prepare()
    begin = time.process_time()
    walks = [
        entry.walker(Operator(entry.habits, flow.labels, seed))
        for seed in range(options.first_seed, options.first_seed + seeds)
    ]
    seconds = (time.process_time() - begin) / seeds
    target = TARGETS.get((flow.name, entry.habits.name, entry.method))
    return figures(flow, entry, [quality(one, flow.labels) for one in walks], seconds, target)


def _tenths(options: argparse.Namespace, folder: Path) -> Iterator[Figures]:
    if "tenths" not in options.flows:
        return
    print(f"\n### BGL in tenths of time, learning on\n\n{TENTHS_HEAD}", flush=True)
    for row in old_tenths(data_folder() / "bgl_windows20", folder, quick=options.quick):
        print(tenth_line(row), flush=True)
        yield row


def _command(arguments: list[str]) -> str:
    """Say how to make the rows again; where things lay is nobody's business."""
    given = iter(arguments)
    kept = [word for word in given if word not in ("--cache", "--out") or not next(given, "")]
    return shlex.join(["python", "-m", "benchmarks.quality.online", *kept])
