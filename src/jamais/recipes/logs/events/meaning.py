"""What does an unseen line mean? How far it is from all known ones, and whether it sounds like trouble."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from jamais.errors import StateError
from jamais.memory.cover import CoverMemory
from jamais.models.tinylogbert.line_encoder import LineEncoder
from jamais.models.tone import Tone
from jamais.recipes.logs.events.novelty import Novelty
from jamais.types import NO_TIME, Floats, Ints, MemoryRows, StateTree, Vectors


@dataclass(frozen=True)
class Readings:
    """What was found out about some texts, row by row."""

    novelty: Floats
    """[n] share of known templates that are closer to another known one than this text is to any: 0..1."""
    tone: Floats
    """[n] share of known templates that sound less like trouble than this text: 0..1; all 0.5 without severity."""
    unknown: Floats
    """[n] share of the text's characters that no known template holds: another script, another language."""
    nearest: Ints
    """[n] the known template next to it, -1 if there is none."""


LEAST_SHARE = 0.15
"""Of a text's tone that a word must carry to be named."""


MOST_WORDS = 64
"""Words of a text that are left out one by one to explain it; each costs a reading of some 5 ms."""
NAMED_WORDS = 5
MOST_DRAWN_WAITING = 300
"""Texts in quarantine that a picture shows; the newest."""


class Said(NamedTuple):
    """What a template says: its level ("" if none) and its text."""

    level: str
    text: str


class Meaning:
    """The feature memory of known templates, its encoder and the tone prior."""

    def __init__(
        self, encoder: LineEncoder, memory: CoverMemory, severity: bool, n_neighbors: int = 1, method: str = "knn"
    ) -> None:
        self.encoder = encoder
        self.memory = memory
        self.severity = severity
        self.novelty = Novelty(memory, method, n_neighbors)
        self.owners: dict[int, int] = {}
        """Exemplar id -> the template it stands for."""
        self.distances: Floats = np.empty(0)
        """Sorted: how far each known template is from the other ones."""
        self.tones: Floats = np.empty(0)
        """Sorted: how the known templates sound."""

    def remember(self, said: Sequence[Said], counts: Ints, templates: Ints, time: int) -> None:
        """Take the vectors of known `templates: [n]` with what they say and their `counts` into the memory."""
        if not said:
            return
        vectors = self._vectors(said)
        times = np.full(len(said), time)
        ids = self.memory.add(vectors, counts=counts, times=times, digest=self.encoder.digest)
        for exemplar, template in zip(ids.tolist(), templates.tolist(), strict=True):
            self.owners.setdefault(exemplar, template)
        alive = set(self.memory.ids.tolist())
        self.owners = {exemplar: template for exemplar, template in self.owners.items() if exemplar in alive}
        self.distances = np.sort(self.novelty.unseen())
        if self.severity:
            self.tones = np.sort(np.concatenate([self.tones, _tones(said)]))

    def known(self, said: Sequence[Said]) -> Readings:
        """Look at all known templates, by number, as if each had been unknown and all the others known.

        Their vectors are remembered, not computed again; a template that melted into another is as near as can be.
        """
        n = len(said)
        novelty, nearest = np.zeros(n), np.arange(n)
        for exemplar, distance in zip(self.memory.ids.tolist(), self.novelty.unseen(), strict=True):
            template = self.owners.get(exemplar, -1)
            if 0 <= template < n:
                novelty[template] = _quantile(self.distances, distance)
        return Readings(novelty, self._tone(said), np.zeros(n), nearest)

    def read(self, said: Sequence[Said], closely: bool = True) -> Readings:
        """Look at texts that match no known template; not `closely`: take them for as far away as can be."""
        n = len(said)
        if not n:
            return Readings(np.empty(0), np.empty(0), np.empty(0), np.empty(0, dtype=np.int64))
        unknown = self.encoder.unknown_share([one.text for one in said])
        if not len(self.memory) or not closely:
            return Readings(np.ones(n), self._tone(said), unknown, np.full(n, -1, dtype=np.int64))
        vectors = self._vectors(said)
        novelty = _quantile(self.distances, self.novelty.scores(vectors))
        ids = self.novelty.nearest(vectors, 1)[1]
        return Readings(novelty, self._tone(said), unknown, self._owners_of(ids[:, 0]))

    def tune(self, said: Sequence[Said]) -> None:
        """Learn anew how all known templates sound: the table of tones is not the one they were read with."""
        self.tones = np.sort(_tones(said))

    def _vectors(self, said: Sequence[Said]) -> Vectors:
        return self.encoder.encode([one.text for one in said])

    def _tone(self, said: Sequence[Said]) -> Floats:
        if not self.severity or not len(self.tones):
            return np.full(len(said), 0.5)
        return _quantile(self.tones, _tones(said))

    def neighbours(self, text: str, n: int = 3) -> list[dict[str, Any]]:
        """Name the known templates nearest to a text, with cosine distance, count and last time."""
        if not len(self.memory):
            return []
        distances, ids = self.novelty.nearest(self.encoder.encode([text]), n)
        slots = np.searchsorted(self.memory.ids, ids[0])
        counts, last = self.memory.counts[slots].tolist(), self.memory.last_seen[slots].tolist()
        owners = self._owners_of(ids[0]).tolist()
        return [
            {"template": owner, "distance": distance, "count": count, "last_seen": None if time == NO_TIME else time}
            for owner, distance, count, time in zip(owners, distances[0].tolist(), counts, last, strict=True)
            if owner >= 0
        ]

    def word_shares(self, text: str) -> list[tuple[str, float]]:
        """Say which words of a text make it far from the known ones: how much nearer it is without each, in shares."""
        words = text.split()[:MOST_WORDS]
        if not len(self.memory) or len(words) < 2:
            return [(word, 1.0) for word in words]
        without = [" ".join(words[:place] + words[place + 1 :]) for place in range(len(words))]
        far = self.novelty.nearest(self.encoder.encode([" ".join(words), *without]), 1)[0][:, 0]
        gains = np.maximum(far[0] - far[1:], 0.0)
        whole = float(gains.sum())
        shares = [(word, gain / whole) for word, gain in zip(words, gains.tolist(), strict=True)] if whole > 0 else []
        return sorted(shares, key=lambda pair: -pair[1])[:NAMED_WORDS]

    def words(self, text: str) -> list[str]:
        """Name the words that carry the tone of a text, most troubling first."""
        if not self.severity:
            return []
        return [word for word, share in Tone.shipped().words(text) if share > LEAST_SHARE and len(word) > 3]

    def map_rows(self, texts: Sequence[str], abnormal: Sequence[bool], waiting: Sequence[str]) -> MemoryRows:
        """Give the remembered vectors with what each says, and vectors of `waiting` texts, to be drawn.

        `texts` and `abnormal` are those of all templates, by number; of many that wait, the newest are read.
        """
        owners = self._owners_of(self.memory.ids).tolist()
        held = list(waiting)[-MOST_DRAWN_WAITING:]
        vectors = [self.memory.rows, self.encoder.encode(held)] if held else [self.memory.rows]
        kinds = ["abnormal" if owner >= 0 and abnormal[owner] else "normal" for owner in owners]
        return MemoryRows(
            np.concatenate(vectors),
            np.array([0] * len(owners) + [-1] * len(held), dtype=np.int64),
            (*kinds, *["waiting"] * len(held)),
            (*(texts[owner] if owner >= 0 else "" for owner in owners), *held),
        )

    def _owners_of(self, ids: Ints) -> Ints:
        return np.array([self.owners.get(exemplar, -1) for exemplar in ids.tolist()], dtype=np.int64)

    def reconcile(self, n_templates: int) -> None:
        """Let go of exemplars that the memory no longer has; raise StateError for vectors of another encoder."""
        if self.memory.encoder_digest not in ("", self.encoder.digest):
            raise StateError(
                f"the memory was made with encoder {self.memory.encoder_digest[:12]}, this one is "
                f"{self.encoder.digest[:12]}: roll back both, or the whole"
            )
        alive = set(self.memory.ids.tolist())
        self.owners = {
            exemplar: template
            for exemplar, template in self.owners.items()
            if exemplar in alive and template < n_templates
        }
        self.distances = np.sort(self.novelty.unseen())

    def copy(self) -> Meaning:
        """Copy the memory; the encoder is shared, as nothing changes it."""
        memory = CoverMemory()
        memory.load_state_dict(copy.deepcopy(self.memory.state_dict()))
        new = Meaning(self.encoder, memory, self.severity, self.novelty.n_neighbors, self.novelty.method)
        new.owners, new.distances, new.tones = dict(self.owners), self.distances, self.tones
        return new

    def state_dict(self) -> StateTree:
        return {
            "encoder": self.encoder.state_dict(),
            "memory": self.memory.state_dict(),
            "exemplars": np.array(list(self.owners), dtype=np.int64),
            "templates": np.array(list(self.owners.values()), dtype=np.int64),
            "distances": self.distances,
            "tones": self.tones,
            "tone_digest": Tone.shipped().digest if self.severity else None,
        }

    @classmethod
    def from_state(cls, tree: StateTree, severity: bool, n_neighbors: int, method: str) -> Meaning:
        memory = CoverMemory()
        memory.load_state_dict(tree["memory"])
        meaning = cls(LineEncoder.from_state(tree["encoder"]), memory, severity, n_neighbors, method)
        meaning.owners = dict(zip(tree["exemplars"].tolist(), tree["templates"].tolist(), strict=True))
        meaning.distances = np.asarray(tree["distances"], dtype=np.float64)
        meaning.tones = np.asarray(tree["tones"], dtype=np.float64)
        return meaning


def _tones(said: Sequence[Said]) -> Floats:
    """The level counts as a word: an ERROR sounds like one."""
    return Tone.shipped().score([f"{one.level} {one.text}" for one in said])


def _quantile(among: Floats, values: Floats) -> Floats:
    """Give the share of the sorted `among` that lies at or below each value, 0..1."""
    return np.searchsorted(among, values, side="right") / (len(among) + 1.0)
