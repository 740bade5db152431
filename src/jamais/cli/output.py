"""What happens when standard output takes nothing more: its disk is full, or nobody reads it?"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Any


class OutputError(OSError):
    """Standard output cannot be written to; a reader that is gone is a BrokenPipeError instead."""


def make_whole() -> None:
    """Replace standard output by one that writes all of it or raises OutputError.

    Under PYTHONUNBUFFERED a large write may end early on a full disk, and nothing would tell.
    """
    if sys.stdout is None:  # closed by who started us: nobody wants to read it
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        return
    try:
        descriptor, encoding = sys.stdout.fileno(), sys.stdout.encoding
    except (AttributeError, OSError, ValueError):
        return  # no file
    raw = _Raw(descriptor, "wb", closefd=False)
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(raw), encoding=encoding, line_buffering=raw.isatty())


def let_go() -> None:
    """Send what is left of standard output nowhere: the interpreter flushes once more at its end, and would fail."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Raw(io.FileIO):
    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as wrong:
            raise OutputError(wrong.errno, wrong.strerror) from None
