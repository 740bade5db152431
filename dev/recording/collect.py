"""How do many services become one log in time order, and one table of process series?"""

from __future__ import annotations

import csv
import os
import queue
import re
import selectors
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import psycopg
from resp import RespClient, RespError

HOST = "web1"
# A line that does not look like this belongs to the record above it (a traceback, a long statement).
RECORD_START = {
    "app": re.compile(r"\[\d+\] [A-Z]+ "),
    "postgres": re.compile(r"\[\d+\] "),
}
FIELDS = ["cpu_s", "rss_kb", "threads", "fds", "read_bytes", "write_bytes"]
COUNTERS = ["postgres_backends", "redis_used_kb", "redis_keys", "nginx_active", "nginx_requests"]
TICKS = os.sysconf("SC_CLK_TCK")
PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


def stamp(precision: str = "microseconds") -> str:
    """Return the time now, UTC, as ISO text."""
    return datetime.now(UTC).isoformat(timespec=precision)


class Journal:
    """Merge the output of all services; one thread reads, so the file is in time order."""

    def __init__(self) -> None:
        self.new: queue.Queue[tuple[str, int, int]] = queue.Queue()
        self.selector = selectors.DefaultSelector()
        self.out: IO[str] | None = None
        self.n_records = 0
        self.stopping = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def add(self, program: str, pid: int, pipe: int) -> None:
        """Read one more service's output from now on."""
        os.set_blocking(pipe, False)
        self.new.put((program, pid, pipe))

    def open(self, path: Path) -> None:
        """Write from now on; before this, lines are read and dropped."""
        self.out = path.open("w", encoding="utf-8", newline="\n")

    def close(self) -> None:
        """Stop reading and writing."""
        self.stopping = True
        self.thread.join()
        if self.out is not None:
            self.out.close()

    def _run(self) -> None:
        tails: dict[int, bytes] = {}
        while not self.stopping:
            while not self.new.empty():
                program, pid, pipe = self.new.get()
                self.selector.register(pipe, selectors.EVENT_READ, (program, pid))
            for key, _ in self.selector.select(timeout=0.1):
                program, pid = key.data
                data = self._read_all(key.fd)
                if data is None:
                    self.selector.unregister(key.fd)
                    continue
                *lines, tails[key.fd] = (tails.get(key.fd, b"") + data).split(b"\n")
                for line in lines:
                    self._write(program, pid, line.decode("utf-8", "replace"))
            if self.out is not None:
                self.out.flush()

    def _read_all(self, pipe: int) -> bytes | None:
        """Read until the pipe is empty, so that a long traceback stays in one piece; None at its end."""
        data = b""
        try:
            while piece := os.read(pipe, 65536):
                data += piece
            return data or None
        except BlockingIOError:
            return data

    def _write(self, program: str, pid: int, line: str) -> None:
        if self.out is None or not line:
            return
        start = RECORD_START.get(program)
        if start is not None and not start.match(line):
            self.out.write(line + "\n")
            return
        self.out.write(f"{stamp()} {HOST} {program}[{pid}]: {line}\n")
        self.n_records += 1


class ProcessGroup:
    """Sum what one service's process tree uses; counters keep what processes that ended had used."""

    def __init__(self, root: Callable[[], int]) -> None:
        self.root = root
        self.last: dict[int, tuple[float, int, int]] = {}
        self.gone = [0.0, 0, 0]

    def measure(self, children: dict[int, list[int]]) -> list[float | int]:
        """Return the columns `FIELDS`; sizes are of now, cpu and bytes only grow."""
        now: dict[int, tuple[float, int, int]] = {}
        rss = threads = fds = 0
        for pid in _tree(self.root(), children):
            try:
                stat = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                usage = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
                fds += len(os.listdir(f"/proc/{pid}/fd"))
            except (OSError, ValueError, IndexError):
                continue
            now[pid] = (
                (int(stat[11]) + int(stat[12])) / TICKS,
                int(usage["read_bytes"]) + int(usage["rchar"]),
                int(usage["write_bytes"]) + int(usage["wchar"]),
            )
            threads += int(stat[17])
            rss += int(stat[21]) * PAGE_KB
        for pid in set(self.last) - set(now):
            self.gone = [old + more for old, more in zip(self.gone, self.last[pid], strict=True)]
        self.last = now
        cpu, read, write = (self.gone[i] + sum(one[i] for one in now.values()) for i in range(3))
        return [round(cpu, 2), rss, threads, fds, int(read), int(write)]


class Series:
    """Write one row of process and service series every `every_s` seconds."""

    def __init__(self, roots: Mapping[str, Callable[[], int]], base_port: int, database: str) -> None:
        self.groups = {name: ProcessGroup(root) for name, root in roots.items()}
        self.base_port, self.database_address = base_port, database
        self.database: psycopg.Connection | None = None
        self.redis: RespClient | None = None
        self.stopping = threading.Event()
        self.n_rows = 0
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self, path: Path, every_s: float = 5.0) -> None:
        """Begin to write."""
        self.path, self.every_s = path, every_s
        self.thread.start()

    def close(self) -> None:
        """Stop writing."""
        self.stopping.set()
        self.thread.join()

    def _run(self) -> None:
        with self.path.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            columns = [f"{name}_{field}" for name in self.groups for field in FIELDS]
            writer.writerow(["time", *columns, *COUNTERS])
            due = time.monotonic()
            while not self.stopping.wait(max(0.0, due - time.monotonic())):
                due += self.every_s
                children = _children()
                row: list[object] = [stamp("milliseconds")]
                for group in self.groups.values():
                    row += group.measure(children)
                writer.writerow([*row, self._backends(), *self._redis(), *self._nginx()])
                file.flush()
                self.n_rows += 1

    def _backends(self) -> object:
        try:
            if self.database is None or self.database.closed:
                self.database = psycopg.connect(self.database_address, autocommit=True)
            row = self.database.execute("SELECT count(*) FROM pg_stat_activity").fetchone()
            return row[0] if row else ""
        except psycopg.Error:
            self.database = None
            return ""

    def _redis(self) -> list[object]:
        try:
            if self.redis is None:
                self.redis = RespClient(self.base_port + 3)
            text = str(self.redis.call("INFO", "memory"))
            used = next(line for line in text.splitlines() if line.startswith("used_memory:"))
            return [int(used.split(":")[1]) // 1024, self.redis.call("DBSIZE")]
        except (OSError, RespError):
            self.redis = None
            return ["", ""]

    def _nginx(self) -> list[object]:
        try:
            address = f"http://127.0.0.1:{self.base_port}/nginx_status"
            with urllib.request.urlopen(address, timeout=2) as reply:
                words = reply.read().decode().split()
            return [int(words[2]), int(words[9])]
        except OSError:
            return ["", ""]


def _children() -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                parent = int(Path(f"/proc/{name}/stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            found.setdefault(parent, []).append(int(name))
    return found


def _tree(root: int, children: dict[int, list[int]]) -> list[int]:
    pids = [root] if root > 0 else []
    for pid in pids:
        pids += children.get(pid, [])
    return pids
