"""What do the parts of the recipe hand to one another while a batch is judged?"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from jamais.sources.records import Records
from jamais.types import Codes, Floats, Ints


@dataclass(frozen=True)
class Batch:
    """Records with their events: `events: [n]`, and what their slot values are worth: `slot_nats: [n]`."""

    records: Records
    events: Codes
    first_row: int
    """How many records of the stream came before this batch."""
    groups: list[bytes | None] | None = None
    slot_nats: Floats = field(default_factory=lambda: np.empty(0))
    slot_why: dict[int, str] = field(default_factory=dict)

    def loudness(self, event_nats: Floats) -> Floats:
        """Give the surprise of each record `[n]`: of its event, or of its slot values if that is more."""
        return np.maximum(event_nats[self.events], self.slot_nats)

    def slot_reason(self, i: int, loudness: Floats) -> Reason | None:
        """Give the reason of record `i` if its slot values speak louder than its event."""
        if i in self.slot_why and self.slot_nats[i] >= loudness[i]:
            return Reason(self.slot_why[i], f"slot:{self.events[i]}")
        return None


@dataclass(frozen=True)
class Reason:
    """Evidence that is not the rarity of one event: what it says, and what makes two alarms one cause."""

    text: str
    cause: str


@dataclass(frozen=True)
class Judged:
    """Scored rows (lines, sessions or windows), not yet verdicts: all columns are [n]."""

    row: Ints
    score: Floats
    event: Codes | Ints
    """The event most responsible, -1 if none."""
    time: Ints
    line: Ints
    reasons: dict[int, Reason] = field(default_factory=dict)
    """By place in the columns, where something else than the event's rarity decided."""
    group: list[str | None] | None = None
    first_row: Ints | None = None
    last_row: Ints | None = None
    suspects: dict[int, str] = field(default_factory=dict)
    """By place in the columns: what in a row of several events may be to blame for it."""
    beside: dict[int, float] = field(default_factory=dict)
    """By place: the nats of what else is in a row with a reason. An answer about the reason leaves them alone."""
    item: list[str] | None = None
    """What each row is by itself, where that is not its event: the shape of a session; "" = its event."""

    def __len__(self) -> int:
        return len(self.row)


def short_hash(text: str) -> str:
    """Name what has no name of its own."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def join(parts: Sequence[Judged | None]) -> Judged | None:
    """Put judged rows one after the other; None if there are none."""
    some = [part for part in parts if part is not None and len(part)]
    if len(some) < 2:
        return some[0] if some else None
    starts = np.cumsum([0] + [len(part) for part in some])
    columns = {
        name: np.concatenate([getattr(part, name) for part in some])
        for name in ("row", "score", "event", "time", "line", "first_row", "last_row")
        if getattr(some[0], name) is not None
    }
    reasons = {
        int(start) + place: reason
        for start, part in zip(starts, some, strict=False)
        for place, reason in part.reasons.items()
    }
    suspects = {
        int(start) + place: text
        for start, part in zip(starts, some, strict=False)
        for place, text in part.suspects.items()
    }
    beside = {
        int(start) + place: nats
        for start, part in zip(starts, some, strict=False)
        for place, nats in part.beside.items()
    }
    groups = None if some[0].group is None else [name for part in some for name in part.group or []]
    items = None if some[0].item is None else [name for part in some for name in part.item or []]
    return Judged(reasons=reasons, suspects=suspects, beside=beside, group=groups, item=items, **columns)
