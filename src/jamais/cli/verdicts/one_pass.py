"""How does the shell score: frame by frame, never the whole, and what is left to say at the end?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from jamais.cli import told
from jamais.types import Listener

if TYPE_CHECKING:
    import polars as pl

    from jamais.watcher import Recipe, Watcher


class Pass:
    """One pass over data: iterate over the frames of verdicts, then ask what was read."""

    def __init__(self, watcher: Watcher, data: Any, listener: Listener, *, hindsight: bool | None = None) -> None:
        from jamais.watcher import judging

        self._recipe, self._listener = judging(watcher.recipe, hindsight), listener
        self._reader = self._recipe.batches(data)
        self._drifting = self._recipe.drifting()
        self._take: Callable[[Any], None] | None = None
        self.n_rows = 0

    @property
    def recipe(self) -> Recipe:
        """What judges this pass."""
        return self._recipe

    def tap(self, take: Callable[[Any], None]) -> None:
        """Let `take` see every batch just before it is judged."""
        self._take = take

    def __iter__(self) -> Iterator[pl.DataFrame]:
        from jamais.watcher import scored

        reader = self._reader if self._take is None else _Tapped(self._reader, self._take)
        for frame in scored(self._recipe, reader, self._listener):
            self.n_rows += len(frame)
            self._drifting.push(frame)
            yield frame
        if not self.n_rows:
            yield self._recipe.scorer().empty()

    def say_oddities(self) -> None:
        """Tell on stderr what was survived while reading."""
        odd = told.oddities(self._reader.counts)
        news = [sentence for sentence in self._reader.said if sentence not in self._recipe.said]
        nothing = [f"nothing was read from {', '.join(self._reader.files)}"] if not self.n_rows else []
        for sentence in [*nothing, *([f"survived: {odd}"] if odd else []), *news, *self._drift()]:
            click.echo(f"jamais: {told.plain(sentence)}", err=True)

    def _drift(self) -> list[str]:
        """Say in one sentence that normal has moved, if it has, and what to do."""
        report = self._drifting.report()
        if not report.drifted:
            return []
        most = [change for change in report.changes if not change.startswith(" ")][:1]
        moved = str(report).splitlines()[0]
        return ["; ".join([moved, *most, "jamais learn takes in what you vouch for"])]


class _Tapped:
    """A reader whose batches somebody else sees, too."""

    def __init__(self, reader: Any, take: Callable[[Any], None]) -> None:
        self._reader, self._take = reader, take

    def __iter__(self) -> Iterator[Any]:
        for batch in self._reader:
            self._take(batch)
            yield batch

    @property
    def bytes_done(self) -> int:
        return int(self._reader.bytes_done)

    @property
    def bytes_total(self) -> int:
        return int(self._reader.bytes_total)
