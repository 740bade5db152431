"""How is data scored that is still coming in?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import polars as pl

    from jamais.types import StateTree


class Scorer(Protocol):
    """Turns batches of records into verdicts; made by a recipe, for one pass."""

    def push(self, records: Any) -> pl.DataFrame | None: ...

    def end(self, names: list[str]) -> pl.DataFrame | None: ...

    def tick(self, passed: int) -> pl.DataFrame | None: ...

    def flush(self) -> Iterator[pl.DataFrame]: ...

    def empty(self) -> pl.DataFrame: ...

    def state_dict(self) -> StateTree: ...

    def load_state_dict(self, tree: StateTree) -> None: ...


class Assembler(Protocol):
    """Turns pieces of raw data into batches of records, holding back what may go on."""

    def push(self, lines: Iterable[str | bytes]) -> Any: ...

    def push_chunk(self, data: bytes) -> Any: ...

    def pause(self) -> Any: ...

    def flush(self) -> Any: ...

    def state_dict(self) -> StateTree: ...

    def load_state_dict(self, tree: StateTree) -> None: ...


class Stream:
    """Scores data as it comes: lines at once, sessions and windows when they close.

    Pushing a file in pieces and flushing gives the verdicts of scoring it whole. The watcher it came from may go
    on learning: a stream keeps to the version it began with.
    """

    def __init__(self, assembler: Assembler, scorer: Scorer) -> None:
        self._assembler = assembler
        self._scorer = scorer

    def push(self, lines: Iterable[str | bytes]) -> pl.DataFrame:
        """Take lines; give the verdicts that are decided by now."""
        return self._score(self._assembler.push(lines))

    def push_chunk(self, data: bytes) -> pl.DataFrame:
        """Take bytes that may end in the middle of a line; give the verdicts that are decided by now."""
        return self._score(self._assembler.push_chunk(data))

    def pause(self) -> pl.DataFrame:
        """Say that nothing came for a moment: a record that was held back because it might go on is over."""
        return self._score(self._assembler.pause())

    def tick(self, seconds: float) -> pl.DataFrame:
        """Say that nothing came for so many seconds since the last record: windows end, silent sessions close."""
        frame = self._scorer.tick(round(seconds * 1e6))
        return self._scorer.empty() if frame is None else frame

    def end(self, names: list[str]) -> pl.DataFrame:
        """Close the named sessions now."""
        frame = self._scorer.end(names)
        return self._scorer.empty() if frame is None else frame

    def flush(self) -> pl.DataFrame:
        """Decide all that is still open."""
        import polars as pl

        return pl.concat([self._score(self._assembler.flush()), *self._scorer.flush()])

    def state_dict(self) -> StateTree:
        """Give all that a later stream of the same version needs to go on exactly."""
        return {"assembler": self._assembler.state_dict(), "scorer": self._scorer.state_dict()}

    def load_state_dict(self, tree: StateTree) -> None:
        self._assembler.load_state_dict(tree["assembler"])
        self._scorer.load_state_dict(tree["scorer"])

    def _score(self, records: Any) -> pl.DataFrame:
        frame = self._scorer.push(records) if len(records) else None
        return self._scorer.empty() if frame is None else frame
