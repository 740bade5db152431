"""How did each session of the fit data go, record by record?"""

from __future__ import annotations

import numpy as np

from jamais.detectors.evidence.bags import EMPTY, EVENT_BITS, Bags
from jamais.detectors.evidence.order import START
from jamais.recipes.logs.reading.clock import StreamClock
from jamais.recipes.logs.reading.columns import Columns
from jamais.types import NO_TIME, Ints


class Walk:
    """Sessions of encoded records, numbered in order of first appearance, and the states they passed through.

    Record columns are ordered by session, then by reading order: `session`, `event`, `states` (after the record),
    `before` (the event before it, START for the first), `wait` (microseconds until the session's next record, or until
    the end of the data; -1 where there is nothing to learn: no group, or no time) and `ended` (something came).
    Records without a group are sessions of one record, of which nothing is learned about waiting.
    """

    def __init__(self, columns: Columns, bags: Bags) -> None:
        number, grouped = _sessions(np.asarray(columns.groups))
        order = np.argsort(number, kind="stable")
        times = np.asarray(columns.times)
        self.n_sessions = int(number.max()) + 1 if len(number) else 0
        self.session = number[order]
        self.event = np.asarray(columns.events)[order].astype(np.int64)
        self.states = _states(self.session, self.event, bags)
        self.now = int(StreamClock().follow(times)[-1]) if len(times) else NO_TIME
        last = np.r_[self.session[1:] != self.session[:-1], True] if len(order) else np.empty(0, dtype=bool)
        ordered = times[order]
        until = np.where(last, self.now, np.r_[ordered[1:], self.now])
        self.ended = ~last
        timed = grouped[order] & (ordered != NO_TIME) & (until != NO_TIME)
        self.wait = np.where(timed, np.maximum(until - ordered, 0), -1)
        self.last = np.flatnonzero(last)
        self.before = np.where(np.r_[True, last[:-1]], START, np.r_[START, self.event[:-1]])
        self.grouped = grouped[order]
        self.events = _distinct(self.session, self.event, self.n_sessions)


def _sessions(groups: np.ndarray) -> tuple[Ints, np.ndarray]:
    """Number sessions `[n]` by first appearance, lone records included, and say which records have a group `[n]`."""
    grouped = groups >= 0
    keys = groups.astype(np.int64)
    keys[~grouped] = int(keys.max(initial=0)) + 1 + np.arange(int((~grouped).sum()))
    _, first, place = np.unique(keys, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    return rank[place.ravel()], grouped


def _states(session: Ints, event: Ints, bags: Bags) -> Ints:
    states = np.empty(len(session), dtype=np.int64)
    steps, state, before = bags.steps, EMPTY, -1
    for i, (number, came) in enumerate(zip(session.tolist(), event.tolist(), strict=True)):
        if number != before:
            state, before = EMPTY, number
        after = steps.get(state << EVENT_BITS | came)
        state = bags.step(state, came) if after is None else after
        states[i] = state
    return states


def _distinct(session: Ints, event: Ints, n_sessions: int) -> list[Ints]:
    """List the distinct events of each session."""
    width = int(event.max(initial=0)) + 1
    pairs = np.unique(session * width + event)
    starts = np.searchsorted(pairs // width, np.arange(1, n_sessions))
    return np.split(pairs % width, starts) if n_sessions else []
