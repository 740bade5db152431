"""Are sixteen real systems read as a person would read them?"""

from __future__ import annotations

import csv
import gzip
import re
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

# system: format, share of lines whose message is the gold content, levels, a source, first time
SYSTEMS = {
    "Android": ("text", 0.99, {"TRACE", "DEBUG", "INFO", "WARNING", "ERROR"}, "WindowManager", "03-17T16:13:38.811"),
    "Apache": ("text", 0.99, {"NOTICE", "ERROR"}, "", "2005-12-04T04:47:44"),
    "BGL": ("text", 0.99, {"INFO", "FATAL", "ERROR", "WARNING"}, "RAS KERNEL", "2005-06-03T15:42:50.675"),
    "HDFS": ("text", 0.99, {"INFO", "WARNING"}, "dfs.DataNode$PacketResponder", "2008-11-09T20:36:15"),
    "HPC": ("text", 0.85, None, "unix.hw state_change.unavailable", "2004-02-26T14:12:22"),
    "Hadoop": ("text", 0.95, {"INFO", "WARNING", "ERROR", "FATAL"}, None, "2015-10-18T18:01:47.978"),
    "HealthApp": ("text", 0.99, None, "Step_LSC", "2017-12-23T22:15:29.606"),
    "Linux": ("syslog", 0.95, None, "sshd(pam_unix)", "06-14T15:16:01"),
    "Mac": ("syslog", 0.9, None, "kernel", "07-01T09:00:55"),
    "OpenSSH": ("syslog", 0.97, None, "sshd", "12-10T06:55:46"),
    "OpenStack": ("text", 0.0, {"INFO", "WARNING"}, "nova.osapi_compute.wsgi.server", "2017-05-16T00:00:00.008"),
    "Proxifier": ("text", 0.0, None, "", "10-30T16:49:06"),
    "Spark": ("text", 0.99, {"INFO"}, "executor.CoarseGrainedExecutorBackend", "2017-06-09T20:10:40"),
    "Thunderbird": ("text", 0.9, None, None, "2005-11-09T20:01:01"),
    "Windows": ("text", 0.99, {"INFO", "WARNING", "ERROR"}, "CBS", "2016-09-28T04:30:30"),
    "Zookeeper": ("text", 0.99, {"INFO", "WARNING", "ERROR"}, "FastLeaderElection", "2015-07-29T17:41:44.747"),
}  # fmt: skip


@pytest.fixture
def gold(shared_data: Path) -> Any:
    def lines(system: str) -> list[str]:
        with gzip.open(shared_data / "logs/loghub_2k" / f"{system}_2k.log_structured.csv.gz", "rt") as file:
            return [row["Content"] for row in csv.DictReader(file)]

    return lines


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_line_gets_its_time_and_its_parts(system: str, shared_data: Path, gold: Any, read: Any) -> None:
    kind, share, levels, source, first = SYSTEMS[system]
    whole = read(shared_data / "logs/loghub_2k" / f"{system}_2k.log")
    content = gold(system)
    assert whole.reader.format == kind
    assert len(whole.raw) == len(content) == 2000
    assert None not in whole.times
    assert whole.times[0].isoformat()[: 23 if "." in first else 19].endswith(first)
    same = sum(_squeezed(a) == _squeezed(b) for a, b in zip(whole.messages, content, strict=True)) / len(content)
    found = {head.level for head in whole.heads}
    print(f"{system:12} {kind:7} message = gold content {same:.3f} levels {sorted(found)}")
    assert same >= share
    if levels is not None:
        assert found - {""} <= levels
        assert sum(head.level == "" for head in whole.heads) <= 20
    if source is not None:
        assert whole.heads[0].source == source
    # a digit less or more must not change level or source
    known: dict[bytes, tuple[str, str]] = {}
    for raw, head in zip(whole.raw, whole.heads, strict=True):
        parts = tuple(re.sub(r"\d", "", part) for part in (head.level, head.source))
        assert known.setdefault(raw.translate(None, b"0123456789"), parts) == parts


def test_times_of_hdfs_agree_with_a_plain_reading(shared_data: Path, read: Any) -> None:
    whole = read(shared_data / "logs/loghub_2k" / "HDFS_2k.log")
    want = [datetime.strptime(raw[:13].decode() + " +0000", "%y%m%d %H%M%S %z") for raw in whole.raw]
    assert whole.times == want
    assert whole.reader.counts["out_of_order"] == sum(b < a for a, b in pairwise(want))
