"""Which known template do these words follow, and when does a place in it turn into a variable?

A group holds the templates of one context and one number of words. A template is a row of words in which
some places are open. Words that fit no row are a new row. A place opens only on evidence: when enough
distinct words were seen there while the rest was equal; a decisive word (`failed`, `refused`) never goes
into an open place. So two lines that say different things stay two templates, and what opens depends on the
order of *new* rows alone, not on batches.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from jamais.parsing.settings import ParsingSettings
from jamais.parsing.words import is_decisive, looks_made_up

ANY = "<*>"
Rows = NDArray[np.int32]
OPEN = 0
_ANY_NUMBER = 1
_MADE_UP_FROM = 1 << 27  # word numbers from here on are names of things (`Thunderbird_A`)
_DECISIVE_FROM = 1 << 28  # and from here on decisive words


class Group:
    """The templates of one context and one length."""

    def __init__(self, length: int, settings: ParsingSettings) -> None:
        self.length = length
        self.settings = settings
        self.rows: Rows = np.zeros((4, length), np.int32)
        self.templates: list[int] = []
        self._exact: dict[bytes, int] = {}
        self._open: dict[bytes, NDArray[np.bool_]] = {}

    def find(self, row: Rows) -> int:
        """Return the template that `row` [length] follows, or -1."""
        found = self._exact.get(row.tobytes(), -1)
        if found >= 0 or not self._open:
            return found
        decisive = row >= _DECISIVE_FROM
        for opened in self._open.values():
            if not (decisive & opened).any():
                found = self._exact.get(np.where(opened, OPEN, row).astype(np.int32).tobytes(), -1)
                if found >= 0:
                    return found
        return -1

    def add(self, row: Rows, template: int) -> list[tuple[int, int]]:
        """Add a new row and open places where it completes the evidence; return (gone, survivor) pairs."""
        self.restore(row, template)
        return self._settle(len(self.templates) - 1)

    def take(self, row: Rows, template: int) -> list[tuple[int, int]]:
        """Open the places of a template that are open in `row` (of another parser); return as `add` does."""
        if template not in self.templates:
            self.restore(row, template)
        at = self.templates.index(template)
        at, gone = self._merge(np.array([at]), (self.rows[at] != row) | (row == OPEN) | (self.rows[at] == OPEN))
        return gone + self._settle(at)

    def restore(self, row: Rows, template: int) -> None:
        """Append a row and look for no evidence."""
        n = len(self.templates)
        if n == len(self.rows):
            self.rows = np.concatenate([self.rows, np.zeros_like(self.rows)])
        self.rows[n] = row
        self.templates.append(template)
        self._index(n)

    def _settle(self, at: int) -> list[tuple[int, int]]:
        gone: list[tuple[int, int]] = []
        while (merged := self._evidence(at)) is not None:
            members, opened = merged
            at, pairs = self._merge(members, opened)
            gone += pairs
        return gone

    def nearest(self, row: Rows) -> tuple[int, float]:
        """Return the template that shares most words with `row` and the share, or (-1, 0)."""
        if not self.templates:
            return -1, 0.0
        same = (self.known == row).sum(1)
        best = int(same.argmax())
        return self.templates[best], float(same[best]) / max(self.length, 1)

    def force(self, row: Rows) -> int:
        """Open places of the likest template until `row` follows it; return that template."""
        known = self.known
        best = int(((known == row) | (known == OPEN)).sum(1).argmax())
        opened = (known[best] == OPEN) | (known[best] != row)
        del self._exact[known[best].tobytes()]
        self.rows[best] = np.where(opened, OPEN, row)
        self._index(best)
        return self.templates[best]

    @property
    def known(self) -> Rows:
        """The rows in use, [n templates, length]."""
        return self.rows[: len(self.templates)]

    def _index(self, at: int) -> None:
        row = self.rows[at]
        self._exact[row.tobytes()] = self.templates[at]
        opened = row == OPEN
        if opened.any():
            self._open.setdefault(opened.tobytes(), opened)
            self._open = dict(sorted(self._open.items(), key=lambda item: (int(item[1].sum()), item[0])))

    def _evidence(self, at: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]] | None:
        """Return the rows that become one with row `at`, and the places that open, or None."""
        known = self.known
        row = known[at]
        differ = (known != row) & (known != OPEN) & (row != OPEN)
        decisive = (differ & ((known >= _DECISIVE_FROM) | (row >= _DECISIVE_FROM))).any(1)
        distance = differ.sum(1)
        near = ~decisive & (distance <= (1 - self.settings.similarity) * self.length)
        near[at] = True
        candidates = np.flatnonzero(near & (distance > 0))
        seen: set[bytes] = set()
        for candidate in candidates[np.argsort(distance[candidates], kind="stable")]:
            places = differ[candidate]
            if places.tobytes() in seen:
                continue
            seen.add(places.tobytes())
            members = np.flatnonzero(near & ~(differ & ~places).any(1))
            if self._varied(known[members], places):
                opened = places | (known[members] == OPEN).any(0)
                if self._still_says_something(row, opened):
                    return members, opened
        return None

    def _varied(self, rows: Rows, places: NDArray[np.bool_]) -> bool:
        """Say whether enough distinct values were seen at every one of `places`."""
        for place in np.flatnonzero(places):
            values = np.unique(rows[:, place])
            values = values[values != OPEN]
            # A variable once seen at this place (a path, a number) speaks for two more words.
            weight = len(values) + 2 * int(_ANY_NUMBER in values)
            made_up = bool(((values == _ANY_NUMBER) | ((values >= _MADE_UP_FROM) & (values < _DECISIVE_FROM))).all())
            if weight < (self.settings.names_to_vary if made_up else self.settings.values_to_vary):
                return False
        return True

    def _still_says_something(self, row: Rows, opened: NDArray[np.bool_]) -> bool:
        """Say whether enough constant words are left: more if the first, as a rule a verb or name, opens."""
        words = row != _ANY_NUMBER
        left = int((words & ~opened).sum())
        first = int(words.argmax())
        return left >= max(2 if opened[first] else 1, self.settings.similarity * int(words.sum()))

    def _merge(self, members: NDArray[np.int64], opened: NDArray[np.bool_]) -> tuple[int, list[tuple[int, int]]]:
        """Make one row of `members`; return its place and (gone, survivor) template pairs."""
        first = min(members, key=lambda m: self.templates[m])
        survivor = self.templates[first]
        pattern = np.where(opened, OPEN, self.rows[first]).astype(np.int32)
        # Rows that the pattern covers anyway come along, save those that a decisive word keeps apart.
        known = self.known
        covered = ((known == pattern) | opened).all(1) & ~((known >= _DECISIVE_FROM) & opened).any(1)
        covered[members] = True
        pairs = [(self.templates[m], survivor) for m in np.flatnonzero(covered) if self.templates[m] != survivor]
        keep = np.flatnonzero(~covered)
        rows, templates = known[keep].copy(), [self.templates[k] for k in keep]
        self.rows = np.zeros((max(4, 2 * len(keep)), self.length), np.int32)
        self.templates, self._exact, self._open = [], {}, {}
        # In order of age, so that a restored group goes on as this one would.
        for template, row in sorted(
            [*zip(templates, rows, strict=True), (survivor, pattern)], key=lambda pair: pair[0]
        ):
            self.restore(row, template)
        return self.templates.index(survivor), pairs


class Tree:
    """All groups, and the numbers of words."""

    def __init__(self, settings: ParsingSettings) -> None:
        self.settings = settings
        self.groups: dict[tuple[str, int], Group] = {}
        self._numbers: dict[str, int] = {ANY: _ANY_NUMBER}

    def number(self, words: Sequence[str], *, grow: bool) -> Rows:
        """Return the numbers of `words` [n]; an unknown word is new if `grow`, else equals nothing."""
        known = self._numbers
        row = np.empty(len(words), np.int32)
        for i, word in enumerate(words):
            number = known.get(word)
            if number is None:
                number = self._new(word) if grow else (-2 if not is_decisive(word) else (1 << 31) - 1)
            row[i] = number
        return row

    def find(self, context: str, words: Sequence[str]) -> int:
        """Return the template that `words` follow, or -1; change nothing."""
        group = self.groups.get((context, len(words)))
        return -1 if group is None else group.find(self.number(words, grow=False))

    def group(self, context: str, length: int) -> Group:
        """Return the group of this context and length, a new one if needed."""
        key = (context, length)
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group(length, self.settings)
        return group

    def pattern(self, row: Rows, words: dict[int, str]) -> str:
        """Return a row as text, an open place as `*`."""
        return " ".join("*" if number == OPEN else words[int(number)] for number in row)

    def spelled(self) -> dict[int, str]:
        """Return number -> word."""
        return {number: word for word, number in self._numbers.items()}

    def from_pattern(self, text: str) -> Rows:
        """Return the row of a text made by `pattern`."""
        words = text.split(" ") if text else []
        row = self.number(words, grow=True)
        row[[i for i, word in enumerate(words) if word == "*"]] = OPEN
        return row

    def _new(self, word: str) -> int:
        start = _DECISIVE_FROM if is_decisive(word) else _MADE_UP_FROM if looks_made_up(word) else 2
        self._numbers[word] = number = start + len(self._numbers)
        return number
