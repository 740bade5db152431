"""How fast is Drain3, the usual log parser, on the same lines of the same machine?

    python -m benchmarks.speed.drain hdfs.log 60000     # prints one line of JSON

The seven masks are those of Drain3's own example. Only the loop is timed, not the start of Python.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import version

from drain3 import TemplateMiner
from drain3.masking import MaskingInstruction
from drain3.template_miner_config import TemplateMinerConfig

_LEFT, _RIGHT = r"((?<=[^A-Za-z0-9])|^)", r"((?=[^A-Za-z0-9])|$)"
MASKS = [
    (_LEFT + r"(([0-9a-f]{2,}:){3,}([0-9a-f]{2,}))" + _RIGHT, "ID"),
    (_LEFT + r"(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})" + _RIGHT, "IP"),
    (_LEFT + r"([0-9a-f]{6,} ?){3,}" + _RIGHT, "SEQ"),
    (_LEFT + r"([0-9A-F]{4} ?){4,}" + _RIGHT, "SEQ"),
    (_LEFT + r"(0x[a-f0-9A-F]+)" + _RIGHT, "HEX"),
    (_LEFT + r"([\-\+]?\d+)" + _RIGHT, "NUM"),
    (r"(?<=executed cmd )(\".+?\")", "CMD"),
]


def main() -> None:
    path, n = sys.argv[1], int(sys.argv[2])
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = [line.rstrip("\n") for line in itertools.islice(file, n)]
    config = TemplateMinerConfig()
    config.masking_instructions = [MaskingInstruction(pattern, name) for pattern, name in MASKS]
    miner = TemplateMiner(config=config)
    measured = {"add": _timed(miner.add_log_message, lines), "match": _timed(miner.match, lines)}
    facts = {"version": version("drain3"), "lines": len(lines), "clusters": len(miner.drain.clusters)}
    print(json.dumps({**facts, **measured}))


def _timed(work: Callable[[str], object], lines: list[str]) -> dict[str, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    for line in lines:
        work(line)
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


if __name__ == "__main__":
    main()
