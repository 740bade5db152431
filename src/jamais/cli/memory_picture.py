"""How does `jamais learn --plot` draw what an update did to the memory?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from jamais.cli.updates import Learning, Update
from jamais.errors import InputError, RefusedUpdateError
from jamais.types import LearnReport, MemoryRows

if TYPE_CHECKING:
    from jamais.watcher import Watcher


class MemoryPicture:
    """Looks at a memory before and after an update, and draws both once the update is saved."""

    def __init__(self, path: str) -> None:
        from jamais.plots import memory_map

        memory_map.check_path(path)  # before minutes of learning
        self.path = path
        self._seen: tuple[int | None, MemoryRows, MemoryRows] | None = None

    def around(self, update: Learning) -> Update:
        """Give the same update, watched."""

        def watched(watcher: Watcher) -> LearnReport:
            version, before = watcher.version, self._look(watcher)()
            try:
                # What a dry run would make is drawn, too: it is made, and not saved.
                report = replace(update, dry_run=False)(watcher)
            except RefusedUpdateError as refused:
                if not (update.dry_run and isinstance(refused.report, LearnReport)):
                    raise
                return refused.report
            self._seen = version, before, self._look(watcher)()
            return report

        return watched

    def draw(self, version: int | None) -> None:
        """Draw what was seen; `version` is what was saved, None for a dry run."""
        from jamais.plots import memory_map

        if self._seen is None:
            click.echo(f"jamais: the update would be refused: {self.path} was not drawn", err=True)
            return
        old, before, after = self._seen
        titles = (f"version {old}", f"version {version}" if version is not None else "dry run, not saved")
        memory_map.draw_memory(before, after, self.path, titles=titles)
        click.echo(f"jamais: drawn: {self.path}", err=True)

    def _look(self, watcher: Watcher) -> Callable[[], MemoryRows]:
        map_rows: Callable[[], MemoryRows] | None = getattr(watcher.recipe, "map_rows", None)
        if map_rows is None:
            raise InputError(f"the memory of {watcher.kind} has no picture: learn without --plot")
        return map_rows
