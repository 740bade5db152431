"""How does a watcher of jamais fare with the operator? Through its public doors, from raw lines only.

The person looks at the verdicts of yesterday and today that came since their cause was asked about, is told by
`questions` what an answer would settle most, looks at the row that the question names, and sends that row and the
answer to `feedback` when there is time for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from benchmarks.quality.online.logs.operators import Operator
from benchmarks.quality.online.logs.streams import Flow
from benchmarks.quality.online.logs.walk import Walked
from jamais import Watcher
from jamais.types import StateTree

STRIDE = 128, 4_096  # items scored at a time, fewest and most: what comes after an answer is scored again


Key = tuple[str, str]  # cause and item: what an answer is filed under


@dataclass(frozen=True)
class Question:
    """A cause that was asked about, and the verdict that the person looked at."""

    key: Key
    verdict: pl.DataFrame


def walk_watcher(watcher: Watcher, flow: Flow, operator: Operator) -> Walked:
    """Walk a watcher through `flow`; the verdict about an item comes before any answer about it."""
    return Shift(watcher, flow, operator).walk()


class Shift:
    """One watcher, one flow, one operator."""

    def __init__(self, watcher: Watcher, flow: Flow, operator: Operator) -> None:
        self.watcher, self.flow, self.operator = watcher, flow, operator
        self.inbox: pl.DataFrame | None = None
        self.awaited: set[Key] = set()
        self.asked_at: dict[Key, int] = {}
        self.frames: list[pl.DataFrame] = []
        self.stood: tuple[int, StateTree | None] = (0, None)
        self.stands: tuple[int, StateTree | None] = (0, None)
        """Before which item the streams stood when the chunk at hand began and when it ended."""

    def walk(self) -> Walked:
        item, stride = 0, STRIDE[0]
        while item < len(self.flow):
            self._hear(item)
            end = self._end(item, stride)
            verdicts = self._verdicts(item, end)
            stop = self._ask(verdicts, item, end)
            stride = max(STRIDE[0], stride // 2) if stop < end else min(STRIDE[1], stride * 2)
            self.frames.append(verdicts.filter(pl.col("row") < stop).select("row", "abnormal", "cause"))
            item = stop
        told = pl.concat(self.frames)
        if told["row"].to_list() != list(range(len(self.flow))):
            raise ValueError("there is not one verdict for each item, in order")
        return Walked(told["abnormal"].to_numpy().astype(np.bool_), told["cause"].to_list(), self.operator.n_asked)

    def _hear(self, item: int) -> None:
        """Send the answers that are in by now."""
        answers = self.operator.due(item)
        if not answers:
            return
        rows = pl.concat([answer.note.verdict for answer in answers])
        self.awaited -= {answer.note.key for answer in answers}
        self.watcher.feedback(rows, [int(answer.abnormal) for answer in answers])

    def _end(self, item: int, stride: int) -> int:
        """Score up to the next answer at most: what is asked meanwhile is answered after that, or cuts."""
        due = self.operator.next_due()
        return min(len(self.flow), item + stride, len(self.flow) if due is None else due)

    def _verdicts(self, begin: int, end: int) -> pl.DataFrame:
        """Give one verdict for each of the items `begin .. end - 1`, `row` being the item."""
        if self.flow.groups is None:
            return self._windows(begin, end)
        stream = self.watcher.stream()
        verdicts = pl.concat([stream.push(self.flow.lines(begin, end)), stream.flush()])
        numbers = {name: begin + at for at, name in enumerate(self.flow.groups[begin:end])}
        wanted = verdicts.filter(pl.col("group").is_in(list(numbers)))
        row = pl.col("group").replace_strict(numbers, return_dtype=pl.Int64)
        return wanted.with_columns(row=row).sort("row")

    def _windows(self, begin: int, end: int) -> pl.DataFrame:
        """Let a stream of the version of now go on where the last one stood."""
        if self.stands[0] != begin:  # an answer cut the last chunk
            self.stands = begin, self._push(*self.stood, begin)[1]
        self.stood = self.stands
        verdicts, state = self._push(*self.stood, end)
        self.stands = end, state
        return verdicts

    def _push(self, begin: int, state: StateTree | None, end: int) -> tuple[pl.DataFrame, StateTree]:
        stream = self.watcher.stream()
        if state is not None:
            stream.load_state_dict(state)
        verdicts = pl.concat([stream.push(self.flow.lines(begin, end)), stream.flush()])
        return verdicts, stream.state_dict()

    def _ask(self, verdicts: pl.DataFrame, begin: int, end: int) -> int:
        """Ask about items `begin .. end - 1` as soon as a question arises; give the item before which to stop."""
        item = begin
        while item < end:
            if not self.operator.has_time(item):
                item = min(self.operator.next_day(item), end)
                continue
            until = min(self.operator.next_day(item), end)
            at = self._first_question(verdicts, item, until)
            if at is None:
                item = until
                continue
            inbox = self._mail(verdicts, at)
            for question in self._open(inbox):
                self._ask_one(question, inbox, at)
            item = at + 1
            due = self.operator.next_due()
            end = end if due is None else min(end, due)
        self.inbox = self._mail(verdicts, end - 1)
        return end

    def _first_question(self, verdicts: pl.DataFrame, begin: int, end: int) -> int | None:
        """Give the first item of a day after which there is something to ask: while mail comes, it stays worth it."""
        found = self._open(self._mail(verdicts, end - 1))
        if not found:
            return None
        low, high = max(begin, min(int(question["row"]) for question in found)), end - 1
        middle = low  # mostly a cause is asked about when it comes for the first time
        while low < high:
            if self._open(self._mail(verdicts, middle)):
                high = middle
            else:
                low = middle + 1
            middle = (low + high) // 2
        return high

    def _open(self, inbox: pl.DataFrame) -> list[dict[str, Any]]:
        """List the questions whose answer is not awaited already, the most useful first."""
        if inbox.is_empty():
            return []
        return [one for one in self.watcher.questions(inbox).to_dicts() if _key(one) not in self.awaited]

    def _ask_one(self, question: dict[str, Any], inbox: pl.DataFrame, at: int) -> None:
        about, key = int(question["row"]), _key(question)
        note = Question(key, inbox.filter(pl.col("row") == about))
        if self.operator.ask(at, about, note):
            self.awaited.add(key)
            self.asked_at[key] = at

    def _mail(self, verdicts: pl.DataFrame, at: int) -> pl.DataFrame:
        """Give the verdicts up to item `at`, of yesterday and today, that came since their cause was asked about."""
        new = verdicts.filter(pl.col("row") <= at)
        rows = new if self.inbox is None else pl.concat([self.inbox, new])
        yesterday = self.operator.next_day(at) - 2 * self.operator.habits.day
        rows = rows.filter(pl.col("row") >= yesterday)
        if not self.asked_at:
            return rows
        (cause, item), at_item = zip(*self.asked_at, strict=True), self.asked_at.values()
        asked = pl.DataFrame({"cause": cause, "item": item, "asked": list(at_item)})
        since = rows.join(asked, on=["cause", "item"], how="left", maintain_order="left")
        return since.filter(pl.col("row") > pl.col("asked").fill_null(-1)).drop("asked")


def _key(question: dict[str, Any]) -> Key:
    return question["cause"], question["item"]
