"""What of a line is its identity, and what only varies?

The identity never depends on digits, except those of kept numbers (`keep.py`): so the line without digits,
which costs nothing to make for megabytes at once, is a key to it (`memo.py`). Hex and random ids go too,
with their letters: a line that has `b1234567` where another has `b` is the one place where the key may err.
"""

from __future__ import annotations

import re

from jamais.parsing.keep import SHOWN, Keep
from jamais.parsing.secrets import SECRET, hide_secrets
from jamais.parsing.settings import ParsingSettings
from jamais.parsing.words import RANDOM, is_named, is_random, is_variable

ANY = "<*>"

# Ids of hex digits: their letters are noise as much as their digits. The memo cuts them out of whole
# chunks, so what this expression takes, text or bytes, must mean nothing wherever it stands.
HEX_DIGITS = r"(?:[0-9a-f]{8,}(?:-[0-9a-f]{4,})*|[0-9A-F]{8,}(?:-[0-9A-F]{4,})*|0[xX][0-9a-fA-F]+)"
HEX_ID = rf"(?<![0-9A-Za-z]){HEX_DIGITS}(?![0-9A-Za-z])"
_HEX_ID = re.compile(HEX_ID)
_ADDRESS = re.compile(
    r"(?<![0-9A-Za-z:])(?:[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4,}[0-9A-Fa-f]{2}"  # MAC, WWN
    r"|(?:[0-9a-f]{1,4}:){3,7}(?::|[0-9a-f]{1,4}|(?::[0-9a-f]{1,4})+)"  # IPv6
    r"|[0-9a-f]{0,4}::(?=[0-9a-f:]*\d)[0-9a-f]{1,4}(?::[0-9a-f]{1,4})*)(?![0-9A-Za-z:])"
)
_NUMBER = re.compile(r"(?:(?<![0-9A-Za-z)\]])[-+])?\d+(?:[.,:/x_-]+\d+)*(?:[eE][-+]\d+)?%?")
_REPEATED = re.compile(r"<\*>(?:[.,:/-]?<\*>)+")
_NO_DIGITS = {ord(str(d)): None for d in range(10)}
# Private signs: a kept digit is U+E000…E009, then these two, then the user's masks.
_ANY, _SECRET, _FIRST_MASK = "\ue020", "\ue021", 0xE030
_WIDE = "\u3000-\u3002\u3008-\u3011\uff08\uff09\uff0c\uff1a\uff1b\u201c\u201d"  # Chinese and Japanese punctuation
# A word, and whether it is the name of what follows it (`user=`, `"user": `).
_WORD = re.compile(rf"([^\s()\[\]{{}}<>,;\"'|={_WIDE}]+)(=|[\"']:\s?[\"']?)?")
# What is left where a number was: nothing, or its signs, between a space or opening and a space or closing.
_GAP = re.compile(
    r"(?:^|(?<=[\s=(\[{<])|(?<=\":))[-+.,:/%#*]*(?=[\s)\]}>,;]|$)|(?<=\")[-+.%]*(?=\")|(?<=')[-+.%]*(?=')"
)
# "(18.4 KB)", "[123]", "()": an aside without a word is no part of the sentence.
_ASIDE = re.compile(rf"[(\[{{<]\s*{_ANY}(?:\s*(?:[KMGT]i?B|B|[munµ]?s|secs?))?\s*[)\]}}>]")
_LETTER = re.compile("[A-Za-z\u0080-\U0010ffff]")
_EDGES = "-_+.:/%#*!?$&~`\\^"
_INNER = re.compile(r"[-_.:+/]{2,}")
_CACHED_WORDS = 50_000


class Masks:
    """Turn a line into its identity and into what people see of it."""

    def __init__(self, settings: ParsingSettings = ParsingSettings()) -> None:  # noqa: B008 - frozen
        self.settings = settings
        self.keep = Keep(settings.keep)
        self._user = [(re.compile(pattern), name) for name, pattern in settings.masks]
        self._signs = {**SHOWN, ord(_ANY): ANY, ord(_SECRET): SECRET}
        self._signs.update({_FIRST_MASK + i: f"<{name}>" for i, (_, name) in enumerate(self._user)})
        self._finished: dict[str, str] = {}

    def shown(self, text: str) -> str:
        """Return `text` for people: variables as `<*>`, the user's as `<name>`, secrets hidden."""
        text = self._marked(text)
        text = _ADDRESS.sub(ANY, _HEX_ID.sub(ANY, text))
        text = RANDOM.sub(lambda found: ANY if is_random(found[0]) else found[0], text)
        text = _NUMBER.sub(ANY, text)
        return _REPEATED.sub(ANY, text).translate(self._signs).strip()

    def normal(self, text: str) -> str:
        """Return the identity form: words one blank apart, `<*>` for what varies, no digits but kept ones."""
        return " ".join(self.words(text))

    def words(self, text: str) -> list[str]:
        """Return the words of the identity form, at most `max_words`; a run of one word counts once."""
        text = self._marked(text.rstrip())
        if not text:
            return []
        if ":" in text:
            text = _ADDRESS.sub("", text)
        text = RANDOM.sub(_id_sign, _HEX_ID.sub("", text))
        bare = text.translate(_NO_DIGITS)
        if not _LETTER.search(bare):
            signs = "".join(bare.split()).strip("-+.,:/%#*")[:16]
            return [signs.replace("*", "×")] if signs else [ANY]  # "*" is the tree's open place
        bare = _ASIDE.sub(" ", _GAP.sub(f" {_ANY} ", bare))
        words: list[str] = []
        key = last = before = ""
        for found in _WORD.finditer(bare):
            word, is_key = found.groups()
            if (key and is_variable(word, key)) or is_named(before, last):
                word = ANY
            else:
                word = self._finished.get(word) or self._finish(word)
            key = found[1] if is_key else ""
            if word and word != last:
                words.append(word)
                before, last = last, word
        return words[: self.settings.max_words]

    def _finish(self, word: str) -> str:
        if is_variable(word):
            done = ANY
        else:
            done = _INNER.sub(lambda run: run[0][-1], word).strip(_EDGES).translate(self._signs)
        if len(self._finished) >= _CACHED_WORDS:
            self._finished.clear()
        self._finished[word] = done
        return done

    def _marked(self, text: str) -> str:
        """Hide secrets, then the user's variables, then kept numbers, behind private signs."""
        text = hide_secrets(text).replace(SECRET, _SECRET)
        for index, (pattern, _) in enumerate(self._user):
            text = pattern.sub(chr(_FIRST_MASK + index), text)
        return self.keep.hide(text)


def _id_sign(found: re.Match[str]) -> str:
    return _ANY if is_random(found[0]) else found[0]
