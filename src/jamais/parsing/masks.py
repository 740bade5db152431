"""What of a line is its identity, and what only varies?

The identity never depends on digits, except those of kept numbers (`keep.py`): so the line without digits, which costs
nothing to make for megabytes at once, is a key to it (`memo.py`).
"""

from __future__ import annotations

import re

from jamais.parsing.keep import SHOWN, Keep
from jamais.parsing.secrets import SECRET, hide_secrets
from jamais.parsing.settings import ParsingSettings
from jamais.parsing.words import RANDOM, is_random, is_variable

ANY = "<*>"

# Ids of hex digits: their letters are noise as much as their digits. The memo cuts them out of whole chunks, so what
# this expression takes, text or bytes, must mean nothing wherever it stands.
HEX_ID = (
    r"(?<![0-9A-Za-z])(?:[0-9a-f]{8,}(?:-[0-9a-f]{4,})*|[0-9A-F]{8,}(?:-[0-9A-F]{4,})*|0[xX][0-9a-fA-F]+)(?![0-9A-Za-z])"
)
_HEX_ID = re.compile(HEX_ID)
_JOINED = re.compile(
    r"(?<![0-9A-Za-z:])(?:[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4,}[0-9A-Fa-f]{2}"  # MAC address, WWN
    r"|(?:[0-9a-f]{1,4}:){3,7}(?::|[0-9a-f]{1,4}|(?::[0-9a-f]{1,4})+)"  # IPv6
    r"|[0-9a-f]{0,4}::(?=[0-9a-f:]*\d)[0-9a-f]{1,4}(?::[0-9a-f]{1,4})*)(?![0-9A-Za-z:])"
)
_NUMBER = re.compile(r"(?:(?<![0-9A-Za-z)\]])[-+])?\d+(?:[.,:/x_-]+\d+)*(?:[eE][-+]\d+)?%?")
_REPEATED = re.compile(r"<\*>(?:[.,:/-]?<\*>)+")
_NO_DIGITS = {ord(str(d)): None for d in range(10)}
# Private signs: a kept digit is U+E000…E009, then these two, then the user's masks.
_ANY, _SECRET, _FIRST_MASK = "\ue020", "\ue021", 0xE030
_SPLIT = re.compile(
    r"[\"']?[=:]\s?[\"']+|=+|[\s()\[\]{}<>,;\"'|\u3000-\u3002\u3008-\u3011\uff08\uff09\uff0c\uff1a\uff1b\u201c\u201d]+|:(?=\s|$)"
)
_EDGES = "-_+.:/%#*!?$&~`\\^=:!?"
_INNER = re.compile(r"[-_.:+/]{2,}")
# What is left of a number with a unit: "5ms", "1.2 KB", "1h2m3.5s", "1e-05" are one and the same place.
_UNITS = frozenset(
    "e x ns us µs μs ms s m h d hm hms h.m.s hm.s m.s K k M G KB kB kb MB GB TB KiB MiB GiB TiB B".split()
)


class Masks:
    """Turn a line into its identity and into what people see of it."""

    def __init__(self, settings: ParsingSettings = ParsingSettings()) -> None:  # noqa: B008 - frozen
        self.settings = settings
        self.keep = Keep(settings.keep)
        self._user = [(re.compile(pattern), name) for name, pattern in settings.masks]
        self._signs = {**SHOWN, ord(_ANY): ANY, ord(_SECRET): SECRET}
        self._signs.update({_FIRST_MASK + i: f"<{name}>" for i, (_, name) in enumerate(self._user)})

    def shown(self, text: str) -> str:
        """Return `text` for people: variables as `<*>`, the user's as `<name>`, secrets hidden, kept numbers as is."""
        text = self._marked(text)
        text = _JOINED.sub(ANY, _HEX_ID.sub(ANY, text))
        text = RANDOM.sub(lambda found: ANY if is_random(found[0]) else found[0], text)
        text = _NUMBER.sub(ANY, text)
        return _REPEATED.sub(ANY, text).translate(self._signs).strip()

    def normal(self, text: str) -> str:
        """Return the identity form: words one blank apart, without digits save kept ones; `<*>` for paths and ids."""
        return " ".join(self.words(text))

    def words(self, text: str) -> list[str]:
        """Return the words of the identity form, at most `max_words`."""
        text = self._marked(text)
        text = _JOINED.sub("", _HEX_ID.sub("", text))
        text = RANDOM.sub(lambda found: _ANY if is_random(found[0]) else found[0], text)
        bare = text.translate(_NO_DIGITS)
        words: list[str] = []
        key = ""
        end = 0
        for found in _SPLIT.finditer(bare):
            word = bare[end : found.start()]
            end = found.end()
            if word:
                self._add(words, word, key)
            key = word if "=" in found[0] or ":" in found[0] else ""
        if end < len(bare):
            self._add(words, bare[end:], key)
        if words:
            return words[: self.settings.max_words]
        signs = _INNER.sub("", "".join(bare.split()).strip("-+.,:/%"))
        return [signs[:16].replace("*", "×")] if signs else []  # "*" is the tree's open place

    def _add(self, words: list[str], word: str, key: str) -> None:
        if is_variable(word, key):
            words.append(ANY)
            return
        word = _INNER.sub(lambda run: run[0][-1], word).strip(_EDGES)
        if word and word not in _UNITS:
            words.append(word.translate(self._signs))

    def _marked(self, text: str) -> str:
        """Hide secrets, then the user's variables, then kept numbers, behind private signs."""
        text = hide_secrets(text).replace(SECRET, _SECRET)
        for index, (pattern, _) in enumerate(self._user):
            text = pattern.sub(chr(_FIRST_MASK + index), text)
        return self.keep.hide(text)
