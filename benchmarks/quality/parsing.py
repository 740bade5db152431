"""How well do template ids agree with the templates people drew, and how fast are they, beside Drain3?

    python -m benchmarks.quality.parsing            # 16 loghub sets: grouping accuracy, precision
    python -m benchmarks.quality.parsing --speed    # lines a second too: HDFS, fresh uuids, access log

One setting for all systems, ours and Drain3's (its example's seven masks). GA: share of lines whose group is
exactly the labelled group. Precision / recall: share of the pairs of lines in one group that are together in
the labels too / the other way round. Labels follow other conventions in places: they join HTTP 200 and 404.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import itertools
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from drain3 import TemplateMiner
from drain3.masking import MaskingInstruction
from drain3.template_miner_config import TemplateMinerConfig

from benchmarks.data import data_folder
from benchmarks.speed.drain import MASKS
from benchmarks.speed.lines import hdfs, uuid
from jamais.parsing.memo import LineMemo
from jamais.parsing.parser import TemplateParser

CHUNK_BYTES = 8 << 20
DRAIN_LINES = 40_000


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--speed", action="store_true", help="measure lines a second too")
    options.add_argument("--lines", type=int, default=1_000_000, help="HDFS lines for --speed")
    arguments = options.parse_args()
    quality()
    if arguments.speed:
        speed(arguments.lines)


def quality() -> None:
    """Print a table of all labelled sets."""
    heads = "   ".join(f"{head:>6s} {'Drain3':>7s}" for head in ("GA", "prec.", "recall"))
    print(f"{'':12s} {heads}   groups")
    table = []
    for path in sorted((data_folder() / "loghub_2k").glob("*_structured.csv.gz")):
        with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
            rows = list(csv.DictReader(file))
        lines, labels = [row["Content"] for row in rows], [row["EventId"] for row in rows]
        ours, theirs = agreement(_ours(lines), labels), agreement(_drain(lines), labels)
        table.append(ours[:3] + theirs[:3])
        figures = "   ".join(f"{a:6.3f} {b:7.3f}" for a, b in zip(ours[:3], theirs[:3], strict=True))
        print(f"{path.name.split('_')[0]:12s} {figures}   {ours[3]} {theirs[3]} labelled {len(set(labels))}")
    means = [sum(column) / len(table) for column in zip(*table, strict=True)]
    print(f"{'mean':12s} " + "   ".join(f"{means[i]:6.3f} {means[i + 3]:7.3f}" for i in range(3)))


def agreement(found: Sequence[Hashable], labels: Sequence[Hashable]) -> tuple[float, float, float, int]:
    """Return grouping accuracy, pair precision, pair recall and the number of groups."""
    sizes, wanted, both = Counter(found), Counter(labels), Counter(zip(found, labels, strict=True))
    right = sum(n for (group, label), n in both.items() if n == sizes[group] == wanted[label])
    pairs = _pairs(both)
    return right / len(found), pairs / max(_pairs(sizes), 1), pairs / max(_pairs(wanted), 1), len(sizes)


def speed(n: int) -> None:
    """Print lines per CPU second of the memo (all that happens to a known line) beside Drain3's match."""
    logs = data_folder()
    with gzip.open(logs / "hdfs_2pct_raw" / "hdfs_2pct.log.gz", "rt") as file:
        real = file.read().splitlines()
    stack = (logs / "loghub_2k" / "OpenStack_2k.log").read_text().splitlines()
    heads = " ".join(f"{head:>11s}" for head in ("memo", "learn once", "Drain3 add", "match"))
    print(f"\n{'lines/CPU s':24s} {heads}   memo/match")
    for name, count, lines in (
        (f"HDFS {n:,}", n, hdfs(n, real)),
        (f"fresh uuids {n // 5:,}", n // 5, uuid(n // 5, stack)),
        (f"access log {n:,}", n, access(n)),
    ):
        head = list(itertools.islice(lines, DRAIN_LINES))
        miner = _miner()
        add, match = (len(head) / _cpu(do, head) for do in (miner.add_log_message, miner.match))
        parser = TemplateParser()
        learn = 2000 / _cpu(parser.learn, head[:2000])
        memo = count / _memo_seconds(parser, itertools.chain(head, lines))
        print(f"{name:24s} {memo:11,.0f} {learn:11,.0f} {add:11,.0f} {match:11,.0f}   {memo / match:.1f} x")


def access(n: int) -> Iterator[str]:
    """Yield lines of a made-up access log: 3,600 paths, 4 agents, 6 statuses."""
    chance = random.Random(1)
    words = ["".join(chance.choices("abcdefghijklmnop", k=6)) for _ in range(60)]
    agents = [
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
        "curl/8.1.2",
        "kube-probe/1.27",
        "Go-http-client/1.1",
    ]
    for i in range(n):
        address = f"10.0.{chance.randrange(256)}.{chance.randrange(256)}"
        path = f"/{chance.choice(words)}/{chance.choice(words)}?id={chance.randrange(9999)}"
        status = chance.choice((200, 200, 200, 200, 301, 304, 404, 502, 503))
        clock = f"22/Nov/2025:{i // 3600 % 24:02d}:{i // 60 % 60:02d}:{i % 60:02d} +0000"
        size = chance.randrange(99999)
        yield f'{address} - - [{clock}] "GET {path} HTTP/1.1" {status} {size} "-" "{chance.choice(agents)}"'


def _ours(lines: list[str]) -> list[int]:
    parser = TemplateParser()
    found = [parser.learn(line) for line in lines]
    return [int(index) for index in parser.canonical()[found]]


def _drain(lines: list[str]) -> list[int]:
    miner = _miner()
    return [miner.add_log_message(line)["cluster_id"] for line in lines]


def _miner() -> TemplateMiner:
    config = TemplateMinerConfig()
    config.masking_instructions = [MaskingInstruction(pattern, name) for pattern, name in MASKS]
    return TemplateMiner(config=config)


def _pairs(counts: Counter[Hashable]) -> int:
    return sum(n * (n - 1) // 2 for n in counts.values())


def _chunk_seconds(memo: LineMemo, parser: TemplateParser, raw: list[bytes]) -> float:
    blob = b"\n".join(raw)
    start = time.process_time()
    memo.codes(blob, raw, lambda i: parser.learn(raw[i].decode()))
    return time.process_time() - start


def _cpu(work: Callable[[str], object], lines: Sequence[str]) -> float:
    start = time.process_time()
    for line in lines:
        work(line)
    return time.process_time() - start


def _memo_seconds(parser: TemplateParser, lines: Iterator[str]) -> float:
    memo = LineMemo(parser.masks, parser.settings.memo_capacity)
    seconds, chunk, size = 0.0, [], 0
    for line in itertools.chain(lines, [None]):
        if line is not None:
            chunk.append(line.encode())
            size += len(line) + 1
        if chunk and (line is None or size >= CHUNK_BYTES):
            seconds += _chunk_seconds(memo, parser, chunk)
            chunk, size = [], 0
    return seconds


if __name__ == "__main__":
    main()
