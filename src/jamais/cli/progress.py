"""How far is it? A bar on standard error for work of more than a second, and nothing where nobody looks."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

from jamais.types import Event

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PATIENCE = 1.0
"""Seconds before a bar appears."""


class ProgressBar:
    """A listener for long work: phase, how much is done, how fast, and how long it will still take."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._start = time.monotonic()
        self._phase = ""
        self._phase_start = self._start
        self._bars: Progress | None = None
        self._bar: TaskID | None = None

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, event: Event) -> None:
        """Take one event of the work."""
        now = time.monotonic()
        if not self._shown or (self._bars is None and now - self._start < PATIENCE):
            self._new_phase(event, now)
            return
        bars = self._started()
        if self._new_phase(event, now) or self._bar is None:
            if self._bar is not None:
                bars.remove_task(self._bar)
            self._bar = bars.add_task(event.phase, amount="", note="")
        bars.update(
            self._bar,
            completed=event.done,
            total=event.total or None,
            amount=_amount(event),
            note=note(event, now - self._phase_start),
        )

    def _new_phase(self, event: Event, now: float) -> bool:
        if event.phase == self._phase:
            return False
        self._phase, self._phase_start = event.phase, now
        return True

    def _started(self) -> Progress:
        if self._bars is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self._bars = Progress(
                TextColumn("{task.description:<12}"),
                BarColumn(bar_width=24),
                TextColumn("{task.percentage:>3.0f}%  {task.fields[amount]}  {task.fields[note]}  left"),
                TimeRemainingColumn(compact=True),
                console=Console(stderr=True),
                transient=True,
            )
            self._bars.start()
        return self._bars


def _amount(event: Event) -> str:
    if "records" in event.values:  # reading is measured in bytes
        return f"{event.done / 1e6:,.0f} MB" + (f" of {event.total / 1e6:,.0f}" if event.total else "")
    return f"{event.done:,} of {event.total:,}" if event.total else f"{event.done:,}"


def note(event: Event, seconds: float) -> str:
    """Say what an event carries besides how much is done."""
    parts = []
    if "records" in event.values:
        records = event.values["records"]
        parts.append(f"{records:,.0f} records")
        parts.append(f"{records / max(seconds, 1e-3):,.0f}/s")
    parts += [f"{event.values['templates']:,.0f} templates"] if "templates" in event.values else []
    parts += [f"loss {event.values['loss']:.3f}"] if "loss" in event.values else []
    return ", ".join(parts)
