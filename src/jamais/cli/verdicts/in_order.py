"""How do sessions, which are judged as they close, come out in the order in which they began?"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from jamais.cli.verdicts.sinks import Sink


class Run:
    """Frames on disk whose rows only ever rise."""

    def __init__(self) -> None:
        self.parts: list[Path] = []
        self.last = -1

    def frames(self) -> Iterator[pl.DataFrame]:
        """Read the frames one at a time, removing what has been read."""
        import polars as pl

        for part in self.parts:
            yield pl.read_ipc(part)
            part.unlink()


class InOrder:
    """Spools frames to disk as rising runs and merges the runs at the end; holds one frame per run in memory."""

    def __init__(self, inner: Sink) -> None:
        self._inner = inner
        self._folder = Path(tempfile.mkdtemp(prefix="jamais-order-"))
        self._runs: list[Run] = []
        self._n_parts = 0
        self._nothing: pl.DataFrame | None = None

    def add(self, frame: pl.DataFrame) -> None:
        """Append a frame to the fullest run that it continues."""
        if not len(frame):
            self._nothing = frame
            return
        frame = frame if frame["row"].is_sorted() else frame.sort("row")
        first, last = int(frame["row"][0]), int(frame["row"][-1])
        fitting = [run for run in self._runs if run.last < first]
        if not fitting:
            fitting = [Run()]
            self._runs += fitting
        run = max(fitting, key=lambda one: one.last)
        path = self._folder / f"{self._n_parts:08d}.arrow"
        frame.write_ipc(path, compression="lz4")
        run.parts.append(path)
        run.last = last
        self._n_parts += 1

    def close(self) -> None:
        for frame in merged([run.frames() for run in self._runs]):
            self._inner.add(frame)
        if not self._runs and self._nothing is not None:
            self._inner.add(self._nothing)
        self._inner.close()
        self.discard()

    def discard(self) -> None:
        """Remove what was spooled."""
        shutil.rmtree(self._folder, ignore_errors=True)


def merged(runs: list[Iterator[pl.DataFrame]]) -> Iterator[pl.DataFrame]:
    """Merge runs of frames, rising in `row`, into one."""
    import polars as pl

    held = [(frame, run) for run in runs if (frame := next(run, None)) is not None]
    while held:
        # Up to here no run can bring another row.
        bound = min(int(frame["row"][-1]) for frame, _ in held)
        below = [frame.filter(pl.col("row") <= bound) for frame, _ in held]
        yield pl.concat(below).sort("row") if len(below) > 1 else below[0]
        left = [(frame.filter(pl.col("row") > bound), run) for frame, run in held]
        held = [(frame, run) for old, run in left if (frame := old if len(old) else next(run, None)) is not None]
