"""Which eight things go wrong, how is each made, and how is each made good again?"""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from load import Health
from resp import RespError
from services import Stack

Hold = Callable[[float], bool]  # wait that many seconds; False when the recording is being stopped


@dataclass(frozen=True)
class Fault:
    """One kind of fault: its name, what makes it, how its first record is recognised."""

    name: str
    inject: Callable[[Stack, Hold, float, random.Random], None]
    sign: re.Pattern[str] | None  # None: the sign is that a service says nothing
    note: str


def killed_worker(stack: Stack, hold: Hold, seconds: float, chance: random.Random) -> None:
    """Kill a worker of the app or of nginx every few seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        name = chance.choice(["app", "app", "nginx"])
        for pid in _workers(stack.pid(name))[: chance.randint(1, 2)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if name == "app" and chance.random() < 0.6 else signal.SIGSEGV)
        if not hold(chance.uniform(2.0, 6.0)):
            return


def exhausted_connections(stack: Stack, hold: Hold, seconds: float, chance: random.Random) -> None:
    """Take every database connection and keep it."""
    held: list[psycopg.Connection] = []
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            with contextlib.suppress(psycopg.OperationalError):
                while len(held) < 60:
                    held.append(psycopg.connect(stack.dsn))
            if not hold(1.5):
                return
    finally:
        for connection in held:
            connection.close()


def disk_full(stack: Stack, hold: Hold, seconds: float, chance: random.Random) -> None:
    """Fill the small file system; without one, limit how long files may become."""
    with _full_disk(stack) if stack.mounted else _short_files(stack):
        until = time.monotonic() + seconds
        with contextlib.suppress(RespError):
            stack.redis().call("BGSAVE")
        while time.monotonic() < until and hold(1.0):
            _fill(stack.small / "ballast") if stack.mounted else None
    with contextlib.suppress(RespError):
        stack.redis().call("BGSAVE")


def slow_locks(stack: Stack, hold: Hold, seconds: float, chance: random.Random) -> None:
    """Lock a table that every order needs, and do nothing with it."""
    database = stack.admin()
    database.autocommit = False
    database.execute("LOCK TABLE orders, items IN ACCESS EXCLUSIVE MODE")
    hold(seconds)
    database.rollback()
    database.close()


def wrong_passwords(stack: Stack, hold: Hold, seconds: float, chance: random.Random) -> None:
    """Guess passwords of database users."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        user = chance.choice(["shop", "postgres", "admin", "backup"])
        with contextlib.suppress(psycopg.OperationalError):
            address = f"host=127.0.0.1 port={stack.base_port + 2} dbname=shop"
            psycopg.connect(f"{address} user={user} password=guess{chance.randint(1, 99)}").close()
        if not hold(chance.uniform(0.2, 0.8)):
            return


def upstream_down(stack: Stack, hold: Hold, seconds: float, chance: random.Random) -> None:
    """Stop the app, start it again at the end."""
    stack.stop_app()
    hold(seconds)
    stack.start_app()


def memory_limit(stack: Stack, hold: Hold, seconds: float, chance: random.Random) -> None:
    """Give Redis less memory than it already uses."""
    client = stack.redis()
    client.call("CONFIG", "SET", "maxmemory", 1000 * 1000)
    hold(seconds)
    client.call("CONFIG", "SET", "maxmemory", 0)
    client.close()


def silent_service(stack: Stack, hold: Hold, seconds: float, chance: random.Random) -> None:
    """Freeze cron, which otherwise logs every few seconds."""
    stack.tell("cron", signal.SIGSTOP)
    hold(seconds)
    stack.tell("cron", signal.SIGCONT)


FAULTS = [
    Fault("killed_worker", killed_worker,
          re.compile(r"was sent SIG(KILL|SEGV)|exited on signal (9|11)|prematurely"),
          "workers of app and nginx get SIGKILL or SIGSEGV every few seconds"),
    Fault("exhausted_connections", exhausted_connections,
          re.compile(r"too many clients already|remaining connection slots are reserved"),
          "a client takes every PostgreSQL connection"),
    Fault("disk_full", disk_full, re.compile(r"No space left on device|File too large|MISCONF"),
          "the small file system of Redis dumps, receipts and sort files is full"),
    Fault("slow_locks", slow_locks, re.compile(r"still waiting for .*Lock|due to statement timeout"),
          "a session holds an ACCESS EXCLUSIVE lock on orders and items"),
    Fault("wrong_passwords", wrong_passwords, re.compile(r"password authentication failed"),
          "PostgreSQL passwords are guessed"),
    Fault("upstream_down", upstream_down, re.compile(r"Handling signal: TERM|connect\(\) failed \(111"),
          "the app is stopped, nginx answers 502"),
    Fault("memory_limit", memory_limit, re.compile(r"OOM command not allowed"),
          "Redis maxmemory is below what it uses"),
    Fault("silent_service", silent_service, None,
          "cron is frozen (SIGSTOP); first_record is the start of the silence"),
]  # fmt: skip


def wait_until_well(health: Health, hold: Hold, patience_s: float) -> bool:
    """Wait until two new probes in a row found the shop well; False after `patience_s`."""
    until = time.monotonic() + patience_s
    health.n_well = 0
    while time.monotonic() < until:
        if health.n_well >= 3:  # the first of them may have begun before the fault was over
            return True
        if not hold(0.5):
            return False
    return False


def _workers(root: int) -> list[int]:
    text = Path(f"/proc/{root}/task/{root}/children").read_text()
    return [int(word) for word in text.split()]


def _fill(path: Path) -> None:
    with contextlib.suppress(OSError), path.open("ab", buffering=0) as file:
        while file.write(b"\0" * 65536):
            pass


@contextlib.contextmanager
def _full_disk(stack: Stack) -> Iterator[None]:
    ballast = stack.small / "ballast"
    _fill(ballast)
    try:
        yield
    finally:
        ballast.unlink(missing_ok=True)


@contextlib.contextmanager
def _short_files(stack: Stack) -> Iterator[None]:
    _limit_files(stack, "1024:")
    try:
        yield
    finally:
        _limit_files(stack, "unlimited:")


def _limit_files(stack: Stack, limit: str) -> None:
    """Set how long files may become; as the service's own user, for root may lack the right to."""
    groups = {"redis": [stack.pid("redis")], "www-data": _workers(stack.pid("app"))}
    for user, pids in groups.items():
        for pid in pids:
            command = ["prlimit", "--pid", str(pid), f"--fsize={limit}"]
            who = user if stack.root else None
            subprocess.run(command, check=False, user=who, group=who, extra_groups=[] if who else None)
