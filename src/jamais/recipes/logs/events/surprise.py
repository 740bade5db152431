"""How surprising is each event? The one formula for a line, in nats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jamais.detectors.evidence.rarity import Rarity
from jamais.recipes.logs.answers.judgement import Judgement
from jamais.recipes.logs.answers.suspects import written
from jamais.recipes.logs.events.lexicon import Lexicon
from jamais.recipes.logs.events.meaning import Meaning, Readings
from jamais.types import Bools, Floats, Ints

MEANING_NATS = 8.0
"""Between the most harmless and the most alarming unseen text: enough to tell them apart, too little to hide one."""

UNKNOWN_NATS = 2.0
"""For a text all of whose characters are new."""


def meaning_nats(readings: Readings) -> Floats:
    """Give what distance and tone add to the surprise of texts `[n]` never seen before, from -4 to 4.

    Characters never seen add up to 2 more. Distance and tone are quantiles among the known templates, so neither
    needs a scale of its own.
    """
    return MEANING_NATS * ((readings.novelty + readings.tone) / 2.0 - 0.5) + UNKNOWN_NATS * readings.unknown


MOST_READ = 5_000
"""Unseen texts of one pass that are compared with known ones, a few milliseconds each. In a storm of more than that
the rest counts as far from all that is known: it is new anyhow, and a watcher must not fall behind."""
FOREIGN = 0.2
"""Share of unknown characters from which a reason mentions them."""
TROUBLE = 0.5
"""Tone quantile above which a reason mentions the tone."""


class Surprise:
    """The surprise of every event of a lexicon: rarity for known templates, rarity and meaning for unseen texts.

    Answers of people stand above both, see `answers/odds.py`.
    """

    def __init__(self, rarity: Rarity, meaning: Meaning, lexicon: Lexicon, judgement: Judgement) -> None:
        self.lexicon = lexicon
        self.meaning = meaning
        self.rarity = rarity
        self.judgement = judgement
        self.readings: dict[int, tuple[float, float, float, int]] = {}
        """Unseen event -> novelty, tone, share of unknown characters, nearest known template."""
        self._nats, self._prior, self._suspicious = np.empty(0), np.empty(0), np.empty(0, dtype=bool)
        self._ranks = np.empty(0)
        counted = rarity.nats(lexicon.n_known)
        self._take(counted, judgement.line.known(counted), counted >= judgement.line.nats)

    @property
    def never(self) -> float:
        """The surprise of an event that came in none of the units, before its meaning is looked at."""
        return float(-np.log(0.5 / (self.rarity.units + 1.0)))

    def nats(self) -> Floats:
        """Give the surprise `[len(lexicon)]` of all events so far; new texts are read on the way."""
        first, end = len(self._nats), len(self.lexicon)
        if first < end:
            last_read = min(end, max(first, self.lexicon.n_known + MOST_READ))
            self._read(range(first, last_read), True)
            self._read(range(last_read, end), False)
        return self._nats

    def suspicious(self) -> Bools:
        """Say which events `[len(lexicon)]` may be to blame for a row: unseen, as rare as an alarm, or answered for."""
        self.nats()
        return self._suspicious

    def ranks(self) -> Floats:
        """Say which event `[len(lexicon)]` of a row is its cause: as `nats`, but what is still to be answered for
        comes right after what alarms."""
        self.nats()
        return self._ranks

    def suspects(self, events: Sequence[int]) -> str:
        """Write down some suspicious events of one row, likeliest first."""
        ids = self.lexicon.ids
        odds = {event: self._prior[event] + self.judgement.beliefs.moved(ids[event]) for event in events}
        ordered = sorted(odds, key=lambda event: (-odds[event], ids[event]))
        return written([(ids[event], float(self._prior[event])) for event in ordered])

    def _read(self, events: range, closely: bool) -> None:
        """Take up unseen events, and keep what was read for the reasons."""
        if not len(events):
            return
        readings = self.meaning.read([self.lexicon.said(event) for event in events], closely)
        for place, event in enumerate(events):
            self.readings[event] = (
                float(readings.novelty[place]),
                float(readings.tone[place]),
                float(readings.unknown[place]),
                int(readings.nearest[place]),
            )
        nats = meaning_nats(readings)
        counted = self.never + nats
        prior = self.judgement.unseen(counted, nats / MEANING_NATS + 0.5 if self.meaning.severity else None)
        self._take(counted, prior, np.ones(len(events), dtype=bool))

    def _take(self, counted: Floats, prior: Floats, suspicious: Bools) -> None:
        """Put answers of people in place of what was counted, for the events that come next."""
        judgement, first = self.judgement, len(self._nats)
        nats, ranks, line = counted.copy(), counted.copy(), judgement.line.nats
        if judgement.tells_events:
            suspicious = suspicious.copy()
            for place in range(len(nats)):
                key = self.lexicon.ids[first + place]
                suspicious[place] |= judgement.knows(key)
                if suspicious[place]:
                    nats[place] = judgement.score(key, float(prior[place]), float(counted[place]))
                    quiet = nats[place] < line and not judgement.settled(key)
                    ranks[place] = line - 1e-6 * (line - nats[place]) if quiet else nats[place]
        self._nats = np.concatenate([self._nats, nats])
        self._ranks = np.concatenate([self._ranks, ranks])
        self._prior = np.concatenate([self._prior, prior])
        self._suspicious = np.concatenate([self._suspicious, suspicious])

    def why(self, event: int) -> str:
        """Say why an event is surprising."""
        text = self.lexicon.texts[event]
        if before := self.judgement.before(self.lexicon.ids[event]):
            return f"{before}: {text}"
        if event not in self.readings:
            times = int(self.rarity.counts[event]) if event < len(self.rarity.counts) else 0
            return f"rare: in {times:,} of {int(self.rarity.units):,} before: {text}"
        words = self.meaning.words(text) if self.readings[event][1] > TROUBLE else []
        trouble = f"; sounds like trouble ({', '.join(words)})" if words else ""
        unknown = self.readings[event][2]
        foreign = f"; {unknown:.0%} of it in characters never seen" if unknown >= FOREIGN else ""
        return f"never seen: {text}{trouble}{foreign}"

    def explain(self, event: int) -> dict[str, Any]:
        """Say all that is known of an event."""
        nats = float(self.nats()[event])
        novelty, tone, unknown, nearest = self.readings.get(event, (0.0, 0.0, 0.0, event))
        known = event not in self.readings
        return {
            "item": self.lexicon.ids[event],
            "template": self.lexicon.texts[event],
            "known": known,
            "seen_in": int(self.rarity.counts[event]) if known and event < len(self.rarity.counts) else 0,
            "of": int(self.rarity.units),
            "nats": nats,
            "novelty": novelty,
            "tone": tone,
            "unknown_characters": unknown,
            "tone_words": [] if known else self.meaning.words(self.lexicon.texts[event]),
            "nearest": self.lexicon.texts[nearest] if nearest >= 0 else "",
            "nearest_lines": self._neighbours(event),
            "words": [] if known else self.meaning.word_shares(self.lexicon.texts[event]),
            "why": self.why(event),
        }

    def _neighbours(self, event: int) -> list[dict[str, Any]]:
        """Give the nearest known templates with their texts."""
        near = self.meaning.neighbours(self.lexicon.texts[event])
        return [{**one, "template": self.lexicon.texts[one["template"]]} for one in near]

    def nearest(self, events: Ints) -> list[str]:
        """Give the text of the known template next to each event; a known one is its own."""
        texts = self.lexicon.texts
        found = []
        for event in events.tolist():
            place = self.readings[event][3] if event in self.readings else event
            found.append(texts[place] if place >= 0 else "")
        return found
