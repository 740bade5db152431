"""A small service's log, two watchers fitted on it, and two ways to type a command."""

from __future__ import annotations

import contextlib
import os
import queue
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

import pytest

from jamais.cli.main import run

SMALL = ("--set", "encoder.steps=0", "--set", "encoder.layers=1", "--set", "encoder.width=32", "--seed", "0")
BY_REQUEST = r"req=(\w+)"
ODD = "2026-03-02 09:00:00 ERROR disk: write failed on sdb, device vanished\n"


def shop_log(n_requests: int, seed: int, start: int = 0) -> list[str]:
    """Write the lines of `n_requests` requests, four each, one request every two seconds."""
    chance = random.Random(seed)
    lines = []
    for number in range(n_requests):
        second = start + 2 * number
        when = f"2026-03-01 {second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
        name, page = f"{chance.randrange(16**8):08x}", chance.choice(["cart", "item", "list"])
        lines += [
            f"{when} INFO web: req={name} GET /{page}/{chance.randrange(900)}\n",
            f"{when} DEBUG cache: req={name} {chance.choice(['hit', 'miss'])} after {chance.randrange(20)} ms\n",
            f"{when} INFO db: req={name} {chance.randrange(1, 50)} rows\n",
            f"{when} INFO web: req={name} done 200 in {chance.randrange(5, 400)} ms\n",
        ]
    return lines


class Said(NamedTuple):
    """What a command answered."""

    code: int
    out: str
    err: str


Typed = Callable[..., Said]


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Typed:
    """Type a command in this process."""

    def typed(*arguments: str | Path) -> Said:
        capsys.readouterr()
        code = run([str(one) for one in arguments])
        return Said(code, *capsys.readouterr())

    return typed


@pytest.fixture(scope="session")
def normal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2,000 lines of ordinary life."""
    path = tmp_path_factory.mktemp("data") / "normal.log"
    path.write_text("".join(shop_log(500, seed=1)))
    return path


@pytest.fixture(scope="session")
def today(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 more lines, and a disk that fails three times."""
    lines = shop_log(100, seed=2, start=2000)
    for at, where in enumerate((100, 200, 300)):
        lines.insert(where + at, lines[where].split(" INFO")[0] + " ERROR disk: write failed on sdb, device vanished\n")
    path = tmp_path_factory.mktemp("data") / "today.log"
    path.write_text("".join(lines))
    return path


def _fitted(folder: Path, normal: Path, *more: str) -> Path:
    assert run(["fit", str(normal), "--out", str(folder), *SMALL, *more]) == 0
    return folder


@pytest.fixture(scope="session")
def lines_kept(tmp_path_factory: pytest.TempPathFactory, normal: Path) -> Path:
    """A watcher of lines; not to be changed."""
    return _fitted(tmp_path_factory.mktemp("watchers") / "lines", normal)


@pytest.fixture(scope="session")
def sessions_kept(tmp_path_factory: pytest.TempPathFactory, normal: Path) -> Path:
    """A watcher of sessions; not to be changed."""
    return _fitted(tmp_path_factory.mktemp("watchers") / "sessions", normal, "--group-by", BY_REQUEST)


@pytest.fixture
def watcher(lines_kept: Path, tmp_path: Path) -> Path:
    """A watcher of lines to change."""
    return Path(shutil.copytree(lines_kept, tmp_path / "watcher"))


class Child:
    """A command in a process of its own, whose streams are read as they come."""

    def __init__(self, *arguments: str | Path) -> None:
        command = [sys.executable, "-m", "jamais", *map(str, arguments)]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "COLUMNS": "100"}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env
        )
        self._lines: dict[str, queue.Queue[tuple[float, str]]] = {"out": queue.Queue(), "err": queue.Queue()}
        self.seen: dict[str, list[str]] = {"out": [], "err": []}
        self._threads = []
        for name, stream in (("out", self.process.stdout), ("err", self.process.stderr)):
            assert stream is not None
            thread = threading.Thread(target=self._read, args=(name, stream), daemon=True)
            thread.start()
            self._threads.append(thread)

    def write(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def wait_for(self, pattern: str, stream: str = "out", seconds: float = 60.0) -> tuple[float, str]:
        """Give time and text of the next line of `stream` that matches."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                when, line = self._lines[stream].get(timeout=left)
            except queue.Empty:
                break
            if re.search(pattern, line):
                return when, line
        raise AssertionError(f"no line like {pattern!r} in {seconds} s, but {self.seen}")

    def end(self, signal: int | None = None, seconds: float = 60.0) -> Said:
        """Close standard input, or send a signal, and wait for the end."""
        if signal is not None:
            self.process.send_signal(signal)
        elif self.process.stdin is not None and not self.process.stdin.closed:
            self.process.stdin.close()
        code = self.process.wait(seconds)
        for thread in self._threads:
            thread.join(seconds)
        return Said(code, "".join(self.seen["out"]), "".join(self.seen["err"]))

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def _read(self, name: str, stream: IO[bytes]) -> None:
        for raw in iter(stream.readline, b""):
            line = raw.decode()
            self.seen[name].append(line)
            self._lines[name].put((time.monotonic(), line))


@pytest.fixture
def child() -> Iterator[Callable[..., Child]]:
    """Start commands in processes of their own; they are gone after the test."""
    children: list[Child] = []

    def start(*arguments: str | Path) -> Child:
        children.append(Child(*arguments))
        return children[-1]

    yield start
    for one in children:
        one.close()
