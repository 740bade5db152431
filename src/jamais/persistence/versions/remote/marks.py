"""Who is saving here, and who is tidying up? In an object store there is no lock, but there are marks.

A sweep must not remove what a save under way has found there and relies on. Each of them first writes a mark of its
own, `busy/save-…` or `busy/sweep-…`, and then lists the marks: of two that begin at the same moment at least one sees
the other. A save waits for sweeps, a sweep gives way to saves, and saves do not mind each other. A mark that was not
renewed in time is that of a dead process; whoever could not renew its own in time stops before it does harm.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time

from jamais.errors import StateError
from jamais.persistence.versions.remote.bucket import Bucket

FOLDER = "busy"
LEASE_S = {"save": 3600.0, "sweep": 300.0}
"""After so long without being renewed a mark counts for nothing."""
_SAFE = 0.5
"""The share of the lease after which its owner stops: the rest covers a request that is slow to arrive."""
_RENEW_S = 30.0
WAIT_S = 60.0
_PAUSE_S = 0.2
_MARK = re.compile(r"(save|sweep)-[0-9a-f]{16}")


class Mark:
    """A mark of this process. `ahead_s` is how far the clock of the store is ahead of the one here."""

    def __init__(self, bucket: Bucket, kind: str) -> None:
        self.kind = kind
        self.where = bucket.url
        self.name = f"{kind}-{secrets.token_hex(8)}"
        self.ahead_s = 0.0
        self.dead: list[str] = []
        self._bucket = bucket
        self._renewed = 0.0
        self._renew()

    def keep(self) -> None:
        """Renew the mark if need be; raise StateError when it may have run out. To be called before every change."""
        since = _running_s() - self._renewed
        if since > LEASE_S[self.kind] * _SAFE:
            raise StateError(
                f"{self.where}: this {self.kind} stood still for {since:.0f} s, others may take it for dead: "
                "nothing more was changed; do it again"
            )
        if since > _RENEW_S:
            self._renew()

    def others(self) -> list[str]:
        """Name the marks of others that count; raise StateError where the store does not list what it has taken."""
        found = {one.name: one.written for one in self._bucket.entries(FOLDER) if _MARK.fullmatch(one.name)}
        now = found.pop(self.name, None)
        if now is None:
            raise StateError(
                f"{self.where}: a file written just now is not listed: this object store is not consistent enough to "
                "keep versions in"
            )
        self.ahead_s = now - time.time()
        living = [name for name, written in found.items() if now - written < LEASE_S[name.partition("-")[0]]]
        self.dead = [name for name in found if name not in living]
        return living

    def remove_dead(self) -> None:
        """Remove the marks of processes that died; no name is used twice, so this cannot hit a living one."""
        while self.dead:
            self._bucket.delete(f"{FOLDER}/{self.dead.pop()}")

    def drop(self) -> None:
        """Take the mark away; if that fails it runs out by itself."""
        with contextlib.suppress(StateError):
            self._bucket.delete(f"{FOLDER}/{self.name}")

    def _renew(self) -> None:
        before = _running_s()
        self._bucket.put(f"{FOLDER}/{self.name}", f"{os.uname().nodename} {os.getpid()}\n".encode())
        self._renewed = before


def wait_for_sweeps(mark: Mark) -> None:
    """Return once nobody tidies up; raise StateError when that takes too long."""
    end = _running_s() + WAIT_S
    while sweeps := [name for name in mark.others() if name.startswith("sweep-")]:
        if _running_s() > end:
            raise StateError(
                f"{mark.where}: somebody has been tidying up for a minute ({FOLDER}/{sweeps[0]}): save again later; "
                f"if its process was killed, it stands in the way for {LEASE_S['sweep']:.0f} s"
            )
        time.sleep(_PAUSE_S)
        mark.keep()


def _running_s() -> float:
    """Seconds that also pass while the machine sleeps: a lease runs out meanwhile."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
