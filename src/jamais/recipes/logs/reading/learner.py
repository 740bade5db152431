"""How is data read for learning? Once, batch by batch, into encoded columns."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any

import numpy as np

from jamais.errors import Cancelled
from jamais.parsing.memo import LineMemo
from jamais.parsing.parser import TemplateParser
from jamais.parsing.slots import SlotTable
from jamais.recipes.logs.events.lexicon import context_of
from jamais.recipes.logs.facts import Facts
from jamais.recipes.logs.reading.columns import Columns, Spool
from jamais.recipes.logs.reading.groups import Grouper
from jamais.recipes.logs.settings import LogSettings
from jamais.sources.formats.detect import Profile
from jamais.sources.reader import RecordReader, open_records
from jamais.sources.records import Records
from jamais.types import NO_TIME, CancelToken, Codes, Event, Listener

FIRST_VALUES = 20_000
"""Slot values are taken from this many records of a template, then from every EVERY-th: a sample misses rare words."""
EVERY = 16


def _pass(records: Records) -> None:
    """Look at nothing."""


class Learner:
    """Reads data into a spool of encoded columns, teaching templates and slot values to the parser on the way."""

    def __init__(
        self,
        parser: TemplateParser,
        slots: SlotTable,
        settings: LogSettings,
        watched: Container[str] = (),
        expected: Profile | None = None,
    ) -> None:
        """`watched`: items to look out for; `met` tells which of them came, whatever template they follow now.

        `expected`: how earlier data was read.
        """
        self.expected = expected
        self.watched, self.met = watched, set[str]()
        self.parser, self.slots, self.settings = parser, slots, settings
        self.spool = Spool()
        self.facts = Facts()
        self.said: list[str] = []
        self._memo = LineMemo(parser.masks, settings.parsing.memo_capacity)
        self._grouper = Grouper(settings.group_by) if settings.group_by else None
        self._taken = np.zeros(0, dtype=np.int64)

    def read(
        self, data: Any, listener: Listener, cancel: CancelToken | None, look: Callable[[Records], None] = _pass
    ) -> None:
        """Read all of `data`, letting `look` see each batch; raises Cancelled between batches when asked to."""
        reader = open_records(data, options=self.settings.reading, expected=self.expected)
        for records in reader:
            if cancel is not None and cancel.cancelled:
                raise Cancelled("cancelled while reading; nothing was changed")
            self._take(records)
            look(records)
            values = {"records": self.spool.n_records, "templates": self.n_templates}
            listener(Event("reading", reader.bytes_done, reader.bytes_total, values))
        self._finish(reader)

    @property
    def n_templates(self) -> int:
        """Templates that did not turn out to be another one."""
        canonical = self.parser.canonical()
        return int((canonical == np.arange(len(canonical))).sum())

    def columns(self) -> Columns:
        """Give all that was read, encoded."""
        return self.spool.columns()

    def __enter__(self) -> Learner:
        return self

    def __exit__(self, *error: object) -> None:
        self.spool.close()

    def _take(self, records: Records) -> None:
        events = self._memo.codes(records.blob, records.raw, self._resolver(records))
        self._observe(records, events)
        self.add(records, events)

    def add(self, records: Records, events: Codes) -> None:
        """Keep a batch whose events are known already."""
        groups = self._grouper.names(records) if self._grouper is not None else None
        self.spool.add(events, records.time, groups)
        known = records.time[records.time != NO_TIME]
        first, last = (int(known.min()), int(known.max())) if len(known) else (NO_TIME, NO_TIME)
        self.facts = self.facts.joined(Facts(records=len(records), first_time=first, last_time=last))

    def _resolver(self, records: Records) -> Callable[[int], int]:
        def template(i: int) -> int:
            head = records.head(i)
            message, context = head.message, context_of(head)
            if self.watched and (item := self.parser.identity(message, context)[0]) in self.watched:
                self.met.add(item)
            return self.parser.learn(message, context)

        return template

    def _observe(self, records: Records, events: Codes) -> None:
        """Show slot values to their summaries: all of the first records of a template, later a sample."""
        self._taken = np.concatenate([self._taken, np.zeros(max(0, len(self.parser) - len(self._taken)), np.int64)])
        order = np.argsort(events, kind="stable")
        ordered = events[order]
        first = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(order) else order
        sizes = np.diff(np.r_[first, len(order)])
        nth = np.arange(len(order)) - np.repeat(first, sizes) + self._taken[ordered]
        chosen = order[(nth < FIRST_VALUES) | (nth % EVERY == 0)]
        self._taken[ordered[first]] += sizes
        raw = records.raw
        for i in chosen.tolist():
            self.slots.observe(int(events[i]), raw[i])

    def _finish(self, reader: RecordReader) -> None:
        counts = {key: value for key, value in reader.counts.items() if value}
        if self._grouper is not None and self._grouper.n_without:
            counts["without_group"] = self._grouper.n_without
        first, last = self.facts.first_time, self.facts.last_time
        span = last - first if first != NO_TIME else 0
        profile = reader.profile.state_dict() if reader.profile is not None else {}
        self.facts = self.facts.joined(Facts(format=reader.format, profile=profile, counts=counts, span=span))
        self.said.extend(reader.said)
