"""From rows to verdicts: one pass that changes nothing it was given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from jamais.errors import InputError
from jamais.learning.answers.leaders import Leaders
from jamais.recipes.embeddings.verdicts import Judged, Verdicts, judged
from jamais.sources.vectors import Block
from jamais.types import StateTree

if TYPE_CHECKING:
    from jamais.recipes.embeddings.recipe import EmbeddingRecipe


class EmbeddingScorer:
    """Judges blocks of rows, and tells causes apart; owns the causes met on the way."""

    def __init__(self, recipe: EmbeddingRecipe) -> None:
        self.recipe = recipe
        self.verdicts = Verdicts(recipe)
        self.n_rows = 0
        settings, width = recipe.settings.answers, recipe.width
        self._waiting = Leaders(width, recipe.reach, settings.causes)
        self._waiting.add(recipe.waiting.founders, list(recipe.waiting.groups))
        self.met = Leaders(width, recipe.reach, settings.causes)

    def push(self, records: Block) -> pl.DataFrame | None:
        """Score a block; give its verdicts, None of no rows."""
        return self.judge(records)[1] if len(records) else None

    def judge(self, block: Block) -> tuple[Judged, pl.DataFrame]:
        """Score a block; give what is known of its rows, and their verdicts."""
        of = judged(self.recipe, block.rows)
        frame = self.verdicts.frame(of, self.n_rows, self._causes(of))
        self.n_rows += len(block)
        return of, frame

    def end(self, names: list[str]) -> pl.DataFrame | None:
        """Rows belong to no session that could end."""
        return None

    def tick(self, passed: int) -> pl.DataFrame | None:
        """Rows carry no time."""
        return None

    def flush(self) -> Iterator[pl.DataFrame]:
        """Nothing is held back."""
        return iter(())

    def state_dict(self) -> StateTree:
        """Give, as JSON values, all that a scorer of the same version needs to go on exactly."""
        return {"n_rows": self.n_rows, "met": self.met.state_dict()}

    def load_state_dict(self, tree: StateTree) -> None:
        self.n_rows = int(tree["n_rows"])
        self.met.load_state_dict(tree["met"])

    def empty(self) -> pl.DataFrame:
        """Give a frame without rows."""
        return self.verdicts.empty(self.recipe.width)

    def _causes(self, of: Judged) -> dict[int, str]:
        """Name the causes of rows that alarm, or would without an answer: answered ones first, then waiting ones."""
        causes = dict(of.answered)
        new = np.array([row for row in np.flatnonzero(of.abnormal).tolist() if row not in causes], dtype=np.int64)
        if not len(new):
            return causes
        places = self._waiting.found(of.places[new])
        for row, place in zip(new.tolist(), places.tolist(), strict=True):
            if place >= 0:
                causes[row] = self._waiting.names[place]
        left = new[places < 0]
        items = of.items
        causes.update(zip(left.tolist(), self.met.joined(of.places[left], [items[row] for row in left]), strict=True))
        return causes


class RowAssembler:
    """Makes blocks of rows that come in pieces."""

    def __init__(self, recipe: EmbeddingRecipe) -> None:
        self._recipe = recipe
        self._n_rows = 0

    def push(self, lines: Iterable[Any]) -> Block:
        """Take rows [n, width]: an array, a table, or nested lists."""
        if isinstance(lines, str | bytes):
            raise InputError("wanted rows of numbers [n, width], got text: watcher.score(path) reads a file")
        blocks = list(self._recipe.batches(lines))
        rows = [block.rows for block in blocks] or [np.empty((0, self._recipe.width), dtype=np.float32)]
        self._n_rows += sum(map(len, rows))
        return Block(rows[0] if len(rows) == 1 else np.concatenate(rows))

    def push_chunk(self, data: bytes) -> Block:
        """Raise InputError: bytes are no rows."""
        raise InputError("embeddings come as rows, not as bytes: stream.push(rows), rows [n, width]")

    def flush(self) -> Block:
        """Nothing is held back."""
        return Block(np.empty((0, self._recipe.width), dtype=np.float32))

    pause = flush

    def state_dict(self) -> StateTree:
        return {"n_rows": self._n_rows}

    def load_state_dict(self, tree: StateTree) -> None:
        self._n_rows = int(tree["n_rows"])
