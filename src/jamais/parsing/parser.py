"""Which template does a message follow, and what is that template's lasting name?"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np

from jamais.errors import CorruptStateError
from jamais.parsing.masks import Masks
from jamais.parsing.settings import ParsingSettings
from jamais.parsing.tree import Tree
from jamais.types import Ints, StateTree

_REST = "rest"  # the id of the template of all that a full parser could not tell apart
_NO_DIGITS = {ord(str(d)): None for d in range(10)}


class TemplateParser:
    """Give every message the dense index of its template; an index once given stays valid for ever.

    When a place of several templates turns out to be a variable they become one: the oldest survives, the
    others point to it. Fold counts by index with `np.bincount(parser.canonical(), weights=counts)`.
    """

    def __init__(self, settings: ParsingSettings = ParsingSettings()) -> None:  # noqa: B008 - frozen
        self.settings = settings
        self.masks = Masks(settings)
        self.ids: list[str] = []
        self.texts: list[str] = []
        self.contexts: list[str] = []
        self._alias: list[int] = []
        self._index: dict[str, int] = {}
        self._tree = Tree(settings)

    def __len__(self) -> int:
        return len(self.ids)

    def learn(self, message: str, context: str = "") -> int:
        """Return the index of the template that `message` follows, a new one if none does."""
        words, context = self.masks.words(message), context.translate(_NO_DIGITS)
        found = self._find(context, words)
        if found >= 0:
            return found
        if len(self.ids) >= self.settings.max_templates:
            return self._squeeze(context, words)
        row = self._tree.number(words, grow=True)
        group = self._tree.group(context, len(words))
        index = self._born(_id(context, words), self.masks.shown(message), context)
        self._fold(group.add(row, index))
        return self._alias[index]

    def match(self, message: str, context: str = "") -> int:
        """Return the index of the known template that `message` follows, else -1; change nothing."""
        return self._find(context.translate(_NO_DIGITS), self.masks.words(message))

    def identity(self, message: str, context: str = "") -> tuple[str, str]:
        """Return (id, shown text) that `message` would be born with: a name for lines no template fits."""
        return _id(context.translate(_NO_DIGITS), self.masks.words(message)), self.masks.shown(message)

    def nearest(self, message: str, context: str = "") -> tuple[int, float]:
        """Return the known template of equal length that shares most words, and the share; else (-1, 0)."""
        words = self.masks.words(message)
        group = self._tree.groups.get((context.translate(_NO_DIGITS), len(words)))
        return (-1, 0.0) if group is None else group.nearest(self._tree.number(words, grow=False))

    def canonical(self) -> Ints:
        """Return, for every index ever given, the index of the surviving template, [len(self)]."""
        return np.array(self._alias, np.int64)

    def patterns(self) -> list[str]:
        """Return every surviving template's identity words with `*` at open places; "" for the others."""
        patterns = [""] * len(self.ids)
        words = self._tree.spelled()
        for group in self._tree.groups.values():
            for row, template in zip(group.known, group.templates, strict=True):
                patterns[template] = self._tree.pattern(row, words)
        return patterns

    def merge(self, other: TemplateParser) -> list[int]:
        """Take over another parser's templates; return, for each of its indices, the index here."""
        patterns = other.patterns()
        survivors = other.canonical()
        mine: list[int] = []
        for index, (name, pattern) in enumerate(zip(other.ids, patterns, strict=True)):
            context = other.contexts[index]
            if name == _REST and name not in self._index:
                self._born(name, other.texts[index], context)
            if int(survivors[index]) != index or name == _REST:
                mine.append(self._index.get(name, -1))
                continue
            row = self._tree.from_pattern(pattern)
            group = self._tree.group(context, len(row))
            found = self._index.get(name, group.find(row))
            if found < 0 or (row == 0).any():
                found = self._born(name, other.texts[index], context) if found < 0 else found
                self._fold(group.take(row, self._alias[found]))
            mine.append(found)
        for index in np.flatnonzero(survivors != np.arange(len(survivors))).tolist():
            mine[index] = mine[int(survivors[index])]
            self._index.setdefault(other.ids[index], mine[index])
        return [self._alias[index] for index in mine]

    def state_dict(self) -> StateTree:
        """Return all that is needed to go on exactly."""
        return {
            "ids": list(self.ids),
            "texts": list(self.texts),
            "contexts": list(self.contexts),
            "patterns": self.patterns(),
            "alias": self.canonical(),
        }

    def load_state_dict(self, tree: StateTree) -> None:
        """Go on from `tree`. Raises `CorruptStateError` if its parts do not fit together."""
        ids, texts, contexts, patterns = (list(tree[k]) for k in ("ids", "texts", "contexts", "patterns"))
        alias = np.asarray(tree["alias"], np.int64)
        if not len(ids) == len(texts) == len(contexts) == len(patterns) == len(alias):
            raise CorruptStateError("parser: ids, texts, contexts, patterns and alias differ in length")
        if len(alias) and (alias.min() < 0 or (alias[alias] != alias).any()):
            raise CorruptStateError("parser.alias points to a template that does not survive")
        self.ids, self.texts, self.contexts, self._alias = ids, texts, contexts, alias.tolist()
        self._index = {name: i for i, name in enumerate(ids)}
        self._tree = Tree(self.settings)
        for index in np.flatnonzero(alias == np.arange(len(alias))).tolist():
            if ids[index] == _REST:
                continue
            row = self._tree.from_pattern(patterns[index])
            self._tree.group(contexts[index], len(row)).restore(row, index)

    def _find(self, context: str, words: list[str]) -> int:
        found = self._tree.find(context, words)
        if found < 0 and (context, len(words)) not in self._tree.groups:
            return self._index.get(_REST, -1)
        return found

    def _squeeze(self, context: str, words: list[str]) -> int:
        """Find a home in a full parser: the likest template opens up; what is like none goes to the rest."""
        group = self._tree.groups.get((context, len(words)))
        if group is not None and group.templates:
            return group.force(self._tree.number(words, grow=False))
        return self._index[_REST] if _REST in self._index else self._born(_REST, "<anything>", "")

    def _born(self, name: str, text: str, context: str) -> int:
        index = len(self.ids)
        self.ids.append(name)
        self.texts.append(text)
        self.contexts.append(context)
        self._alias.append(index)
        self._index.setdefault(name, index)
        return index

    def _fold(self, pairs: list[tuple[int, int]]) -> None:
        if pairs:
            survivor_of = dict(pairs)
            for index, target in enumerate(self._alias):
                while target in survivor_of:
                    target = survivor_of[target]
                self._alias[index] = target


def _id(context: str, words: list[str]) -> str:
    return blake2b(f"{context}\0{' '.join(words)}".encode(), digest_size=8).hexdigest()
