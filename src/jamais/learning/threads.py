"""How does work on small matrices keep to a few CPU threads and leave the caller's setting alone?

torch's threads wait by spinning: on a busy machine two threads trained seven times slower than one. The number
of threads also moves the last bits of a result, so a fixed number makes it repeatable on any machine size.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_lock = threading.Lock()
_inside: list[int] = []  # what each holder asked for, so that holders may overlap in any order
_before = 0


@contextmanager
def cpu_threads(number: int) -> Iterator[None]:
    """Let torch use `number` threads meanwhile; the last one to leave restores what was set before the first.

    While holders overlap, the smallest number counts.
    """
    global _before
    with _lock:
        if not _inside:
            _before = torch.get_num_threads()
        _inside.append(number)
        _apply(min(_inside))
    try:
        yield
    finally:
        with _lock:
            _inside.remove(number)
            _apply(min(_inside) if _inside else _before)


def _apply(number: int) -> None:
    if torch.get_num_threads() != number:
        torch.set_num_threads(number)
