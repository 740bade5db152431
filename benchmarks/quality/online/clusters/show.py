"""Streams with new classes: run everything, keep each row as it comes, print tables, write the file."""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.quality.online.clusters.contest import Kept, rows
from benchmarks.quality.online.clusters.measure import Row
from benchmarks.quality.online.clusters.report import pays, promises, promises_table, table, write
from benchmarks.quality.online.clusters.streams import NEWS, NO_NEWS, SOURCES, THREE, streams

RESULT = Path(__file__).resolve().parents[3] / "results" / "quality-online-clusters.csv"


def run(options: argparse.Namespace) -> list[Row]:
    """Measure what `options` (see `add_options`) ask for; give the rows, print and write them."""
    begin = time.process_time()
    protocols = (NEWS,) if options.quick else (NEWS, NO_NEWS, THREE)
    seeds = range(options.first_seed, options.first_seed + (1 if options.quick else options.seeds))
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(options.cache or folder) / "clusters"
        kept = Kept(cache / "rows.jsonl", resume=options.resume, again=options.again)
        for data in ["digits"] if options.quick else options.data:
            if SOURCES[data].missing is not None:
                print(f"{data} is left out: {SOURCES[data].missing}", file=sys.stderr)
                continue
            for stream in streams(data, protocols if SOURCES[data].n_new == 2 else protocols[:2], seeds):
                found += rows(stream, cache, options.who, kept)
            print(file=sys.stderr)
            _show(found, data)
    kept_or_not = promises(found)
    print(f"\n### What was promised of ClusterMemory\n\n{promises_table(kept_or_not)}")
    print(f"\n### An encoder trained on the news\n\n{pays(found)}\n\n{time.process_time() - begin:.0f} CPU-s")
    path = options.out or (None if options.quick else RESULT)
    if path is not None and found:
        write(path, found, _command(sys.argv[1:]))
        print(f"figures in {path}")
    return found


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what `run` wants to know; options of the same name that are there already are shared."""
    known = parser._option_string_actions
    shared = {
        "--seeds": {"type": int, "default": 5, "help": "seeds and class pairs"},
        "--first-seed": {"type": int, "default": 0, "help": "develop with others than the reported ones"},
        "--quick": {"action": "store_true", "help": "a short look, one seed, no file"},
        "--out": {"type": Path, "help": "CSV file (default: a name in benchmarks/results/)"},
        "--cache": {"type": Path, "help": "folder of what was trained and measured"},
        "--resume": {"action": "store_true", "help": "go on with what --cache has measured"},
    }
    for name, settings in shared.items():
        if name not in known:
            parser.add_argument(name, **settings)  # type: ignore[arg-type]
    parser.add_argument("--data", nargs="*", choices=list(SOURCES), default=list(SOURCES), help="data sets of clusters")
    parser.add_argument("--who", help="only methods of clusters whose short name contains this")
    parser.add_argument("--again", help="with --resume: measure methods of clusters anew whose name contains this")


def _command(given: list[str]) -> str:
    """Write down what was typed, without the folders of this machine."""
    named = ["DIR" if before in ("--cache", "--out") else one for before, one in zip(["", *given], given, strict=False)]
    return shlex.join(["python", "-m", "benchmarks.quality.online", *named])


def _show(found: list[Row], data: str) -> None:
    for protocol in dict.fromkeys(row["protocol"] for row in found if row["data"] == data):
        print(f"\n### {data}: {protocol}\n\n{table(found, data, protocol)}", flush=True)
