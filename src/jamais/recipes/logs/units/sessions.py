"""How is each session judged? By its rarest event, its silence, its length, or the order of its events."""

from __future__ import annotations

import numpy as np

from jamais.detectors.evidence.bags import Bags
from jamais.detectors.evidence.order import Order
from jamais.detectors.evidence.rarity import Rarity
from jamais.detectors.evidence.rates import Rates, long_nats
from jamais.detectors.evidence.silence import Waits, silences
from jamais.recipes.logs.events.surprise import Surprise
from jamais.recipes.logs.reading.columns import Columns
from jamais.recipes.logs.settings import SessionSettings
from jamais.recipes.logs.units.session_scorer import LOUD, SessionScorer
from jamais.recipes.logs.units.unit import Origins
from jamais.recipes.logs.units.walk import Walk
from jamais.types import Bools, Floats, Ints, StateTree


class Sessions:
    """What is known of sessions: in how many each event came, and how long each state waits for more."""

    def __init__(self, settings: SessionSettings) -> None:
        self.settings = settings
        self.rarity = Rarity()
        self.bags = Bags(settings.capacity)
        self.waits = Waits(settings.margin)
        self.waits_after = Waits(settings.margin)
        """By the last event alone: for bags that were seen too seldom."""
        self.order = Order()
        self.lengths = Rates()

    def calibrate(self, columns: Columns, share: float, extra: Floats, origins: Origins) -> Floats:
        """Learn all of `columns` and give the scores that its last `share` of sessions had when they came.

        Rarity counts what came before each session; silence is judged by the waits of the earlier sessions.
        """
        walk = Walk(columns, self.bags)
        start = round(walk.n_sessions * (1.0 - share))
        rarity = self._count(walk, start, extra)
        self._learn_course(walk, walk.session < start)
        last = walk.last[start:]
        silence = silences(self.waits, self.waits_after, walk.states[last], walk.event[last], walk.wait[last])
        course = self._course(walk, start)
        self._learn_course(walk, walk.session >= start)
        return np.maximum(np.maximum(rarity, silence), course)

    def _count(self, walk: Walk, start: int, extra: Floats) -> Floats:
        """Count all sessions and give those from `start` on the surprise of their rarest event as it came."""
        self.rarity.grow(len(extra))
        counts, units = self.rarity.counts, self.rarity.units
        scores = np.zeros(walk.n_sessions - start)
        for session, events in enumerate(walk.events):
            if session >= start:
                nats = -np.log((counts[events] + 0.5) / (units + 1.0))
                scores[session - start] = (nats + np.where(counts[events] == 0, extra[events], 0.0)).max()
            counts[events] += 1.0
            units += 1.0
        self.rarity.units = units
        return scores

    def _learn_course(self, walk: Walk, chosen: Bools) -> None:
        """Learn how the chosen sessions went on: waits, order and lengths; records without a group teach nothing."""
        rows = chosen & (walk.wait >= 0)
        self.waits.add(walk.states[rows], walk.wait[rows], walk.ended[rows])
        self.waits_after.add(walk.event[rows], walk.wait[rows], walk.ended[rows])
        rows = chosen & walk.grouped
        self.order.add(walk.before[rows], walk.event[rows])
        lengths = np.bincount(walk.session[rows])
        lengths = lengths[lengths > 0]
        self.lengths.add(len(lengths), np.zeros(len(lengths), dtype=np.int64), lengths)

    def _course(self, walk: Walk, start: int) -> Floats:
        """Give the surprise of order and length of the sessions from `start` on."""
        scores = np.zeros(walk.n_sessions - start)
        rows = np.flatnonzero((walk.session >= start) & walk.grouped)
        if not len(rows) or not self.lengths.windows:
            return scores
        order = self.settings.order_weight * self.order.nats(walk.before[rows], walk.event[rows])
        # What scoring does not look at must not count here either, or p-values would be too large.
        loud = order > LOUD
        np.maximum.at(scores, walk.session[rows][loud] - start, order[loud])
        lengths = np.bincount(walk.session[rows] - start, minlength=len(scores))
        grouped = np.flatnonzero(lengths)
        scores[grouped] = np.maximum(scores[grouped], long_nats(self.lengths, lengths[grouped]))
        return scores

    def fold(self, canonical: Ints) -> None:
        self.rarity.fold(canonical)
        self.waits.fold(self.bags.fold(canonical))
        self.waits_after.fold(canonical)
        self.order.fold(canonical)

    def scorer(self, surprise: Surprise, origins: Origins, idle: int | None) -> SessionScorer:
        return SessionScorer(self, surprise, idle)

    def state_dict(self) -> StateTree:
        return {
            "rarity": self.rarity.state_dict(),
            "bags": self.bags.state_dict(),
            "waits": self.waits.state_dict(),
            "waits_after": self.waits_after.state_dict(),
            "order": self.order.state_dict(),
            "lengths": self.lengths.state_dict(),
        }

    def load_state_dict(self, tree: StateTree) -> None:
        self.rarity.load_state_dict(tree["rarity"])
        self.bags.load_state_dict(tree["bags"])
        self.waits.load_state_dict(tree["waits"])
        self.waits_after.load_state_dict(tree["waits_after"])
        self.order.load_state_dict(tree["order"])
        self.lengths.load_state_dict(tree["lengths"])
