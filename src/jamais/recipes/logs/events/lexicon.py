"""Which event is this record? Known templates first, then texts never seen, numbered beside the state."""

from __future__ import annotations

import re
from collections.abc import Callable, Container

from jamais.parsing.parser import TemplateParser
from jamais.recipes.logs.events.meaning import Said
from jamais.sources.records import Head, Records
from jamais.types import StateTree

OVERFLOW = "(one of too many texts never seen)"
MAX_UNSEEN = 100_000
_DIGITS = re.compile(r"\d+")


def context_of(head: Head) -> str:
    """Name where a record comes from: templates of different levels and sources never merge."""
    return f"{head.level}\x1f{_DIGITS.sub('<*>', head.source)}"


class Lexicon:
    """Events for one pass over data: `0 .. n_known - 1` are the parser's templates, the rest were never seen.

    Nothing here is saved, and the parser is only read: scoring twice gives the same events twice.
    """

    def __init__(self, parser: TemplateParser, answered: Container[str] = ()) -> None:
        """`answered`: items that a person has spoken of. They stay apart even where a template now covers them."""
        self.parser = parser
        self.answered = answered
        self.n_known = len(parser)
        self.ids = list(parser.ids)
        self.texts = list(parser.texts)
        self.contexts = list(parser.contexts)
        self._unseen: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.ids)

    def resolver(self, records: Records) -> Callable[[int], int]:
        """Give the function that finds the event of record `i` of this batch."""

        def event(i: int) -> int:
            head = records.head(i)
            return self.event(head.message, context_of(head))

        return event

    def event(self, message: str, context: str) -> int:
        known = self.parser.match(message, context)
        if known >= 0 and not (self.answered and self._apart(known, message, context)):
            return known
        if len(self._unseen) >= MAX_UNSEEN:
            message, context = OVERFLOW, ""
        identity, text = self.parser.identity(message, context)
        if identity not in self._unseen:
            self._unseen[identity] = len(self.ids)
            self.ids.append(identity)
            self.texts.append(text)
            self.contexts.append(context)
        return self._unseen[identity]

    def _apart(self, known: int, message: str, context: str) -> bool:
        """Say whether a person has spoken of this very text, which the known template covers by now."""
        identity = self.parser.identity(message, context)[0]
        return identity != self.ids[known] and identity in self.answered

    def state_dict(self) -> StateTree:
        """Give the texts that were numbered beside the known ones."""
        columns = (self.ids, self.texts, self.contexts)
        return {"unseen": [list(row) for row in zip(*(column[self.n_known :] for column in columns), strict=True)]}

    def load_state_dict(self, tree: StateTree) -> None:
        for identity, text, context in tree["unseen"]:
            self._unseen[identity] = len(self.ids)
            self.ids.append(identity)
            self.texts.append(text)
            self.contexts.append(context)

    def said(self, event: int) -> Said:
        """Give what an event says."""
        return said(self.contexts[event], self.texts[event])


def said(context: str, text: str) -> Said:
    """Give what a template says, its level being part of its context."""
    return Said(context.partition("\x1f")[0], text)
