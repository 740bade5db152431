"""What does another process do to a store in an object store? Run as a program by the tests of remote stores.

remote_child.py commit URL SEED          one commit on the newest version
remote_child.py race URL ROUNDS          two processes commit on the same parent at the same moment
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from typing import Any

from crash_child import tree

from jamais.errors import StaleVersionError
from jamais.persistence import VersionStore


def commit(url: str, seed: int) -> None:
    store = VersionStore(url)
    print(store.commit(tree(seed), reason="child", kind="logs", parent=store.current))


def race(url: str, rounds: int) -> None:
    spawn = multiprocessing.get_context("spawn")  # s3fs has threads, which a fork does not survive
    start, done = spawn.Barrier(2), spawn.Barrier(2)
    results = spawn.Queue()
    both = [spawn.Process(target=_racer, args=(url, rounds, start, done, results, seed)) for seed in (3, 4)]
    for one in both:
        one.start()
    said = [results.get(timeout=300) for _ in range(2 * rounds)]
    for one in both:
        one.join()
    for number in range(rounds):
        print(sorted(word for at, word in said if at == number))


def _racer(url: str, rounds: int, start: Any, done: Any, results: Any, seed: int) -> None:
    for number in range(rounds):
        store = VersionStore(url)
        parent = store.current
        start.wait()
        try:
            store.commit(tree(seed + 10 * number), reason=f"racer {seed}", kind="logs", parent=parent)
            results.put((number, "won"))
        except StaleVersionError:
            results.put((number, "stale"))
        done.wait()


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    mode, url, number = sys.argv[1:]
    (commit if mode == "commit" else race)(url, int(number))
