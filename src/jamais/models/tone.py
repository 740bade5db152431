"""How much does a text sound like trouble?

A linear table of words, word pairs and character n-grams, distilled from a sentence encoder (`dev/tone`,
`docs/decisions/004-tone-prior.md`). With the distinct words u_1..u_n of a text,

    score = offset + (sum of value(u_i) + sum of value(pair), over the distinct neighbouring pairs) / sqrt(n),

in units of the spread over the messages of ordinary programs; 0 lies half-way between sentences that report
failure and sentences that report success. It is a prior about English words and says nothing about novelty.
A text without a known word scores exactly 0. Chinese is heard through a short hand-written list only.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
import zipfile
import zlib
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from jamais.errors import CorruptStateError

NO_FAULT = "nofault"  # what a denied fault ("no errors found") is read as
_MANY = "errors|failures|faults|problems|issues|warnings|exceptions|conflicts|losses|corruptions|crashes|timeouts"
_ONE = "error|failure|fault|problem|issue|warning|exception|conflict|loss|corruption|crash|timeout"
_FAULTS, _FAULT = f"(?:{_MANY})", f"(?:{_MANY}|{_ONE})"
_KIND = r"(?:(?:any|more|further|other|new|known|fatal|critical|major|serious|uncorrectable|packet|data)\s+)?"
# A bare 0 is often a unit ("fan 0 failure"), so it denies only plurals, and not right after a name.
_DENIED = re.compile(
    rf"\b(?:no|without|zero)\s+{_KIND}{_FAULT}\b"
    rf"|(?:^|[,;(\[]|\b(?:with|found|detected|reported|had|and))\s*0\s+{_KIND}{_FAULTS}\b"
    rf"|(?:^|[,;(\[])\s*0\s+\w+\s+(?:lost|dropped|failed)\b"
    rf"|\b{_FAULTS}\s*[:=]\s*0(?=\s*(?:$|[,;)\]|])|\s+\w+\s*[:=])"
    rf"|\brecover(?:ed|y)\s+from\s+(?:(?:an?|the|previous|earlier|last)\s+)*{_FAULT}\b"
    r"|\b(?:succeeded|successful|completed|ok)\s+after\s+(?:\w+\s+){0,2}?(?:retry|retries|attempts?|failures?)\b",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(r"<[^<>]{1,16}>|\[\*\]")
_LETTERS = re.compile(r"[^\W\d_]+")
_PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")  # camelCase, HTTPServer
_ARRAYS = {"words": np.uint8, "values": np.int16, "grams": np.int8, "scales": np.float64}


class Tone:
    """Score texts with a table of word values."""

    def __init__(self, values: dict[str, float], grams: NDArray[np.float64], offset: float) -> None:
        self.values = dict(values)
        self.grams = grams.copy()
        self.offset = offset
        self.foreign = sorted(word for word in values if not word.isascii())
        told = "".join(f"{word}\t{value!r}\n" for word, value in sorted(self.values.items()))
        self._digest = hashlib.sha256(f"{told}{offset!r}".encode() + self.grams.tobytes()).hexdigest()

    @classmethod
    def shipped(cls) -> Tone:
        """Return the table that comes with the package; it is read once."""
        return _shipped()

    @classmethod
    def from_bytes(cls, data: bytes) -> Tone:
        """Read a packed table; raise CorruptStateError if it is not one."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as table:
                found = {name: table[name] for name in _ARRAYS}
            if any(found[name].dtype != kind or found[name].ndim != 1 for name, kind in _ARRAYS.items()):
                raise ValueError("an array has the wrong type or shape")
            words = found["words"].tobytes().decode().split("\n")
            offset, word_step, gram_step = (float(scale) for scale in found["scales"])
            values = dict(zip(words, (found["values"] * word_step).tolist(), strict=True))
            if not len(found["grams"]) or not np.isfinite(found["scales"]).all():
                raise ValueError("it has no n-grams, or its scales are not finite")
        except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
            wanted = ", ".join(_ARRAYS)
            raise CorruptStateError(f"tone table: {error}; it should hold {wanted}: reinstall jamais") from error
        return cls(values, found["grams"] * gram_step, offset)

    @property
    def digest(self) -> str:
        """The sha256 of the table, to be stored with whatever used it."""
        return self._digest

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return one number per text, higher = sounds more like trouble: n texts -> [n]."""
        return np.array([self._score(text) for text in texts], dtype=np.float64)

    def words(self, text: str, top: int = 3) -> list[tuple[str, float]]:
        """Return the words and pairs that carry the tone, most troubling first; all sum to the score."""
        terms, n_words = self._terms(text)
        shares = [(term, value / math.sqrt(n_words)) for term, value in terms]
        told = [(t, share + (0.0 if " " in t else self.offset / n_words)) for t, share in shares]
        return sorted(told, key=lambda item: (-item[1], item[0]))[:top]

    def _score(self, text: str) -> float:
        terms, n_words = self._terms(text)
        if not terms:
            return 0.0
        return self.offset + math.fsum(value for _, value in terms) / math.sqrt(n_words)

    def _terms(self, text: str) -> tuple[list[tuple[str, float]], int]:
        """Return (word or pair, value) in order of appearance and the number of distinct words."""
        spoken = tokens(text)
        singles = list(dict.fromkeys(spoken))
        if not text.isascii():
            singles += [word for word in self.foreign if word in text]
        if not any(word in self.values for word in singles):
            return [], 0
        terms = [(w, self.values[w] if w in self.values else self._from_grams(w)) for w in singles]
        pairs = dict.fromkeys(f"{left} {right}" for left, right in pairwise(spoken))
        terms += [(pair, self.values[pair]) for pair in pairs if pair in self.values]
        return terms, len(singles)

    def _from_grams(self, word: str) -> float:
        slots = gram_slots(word, len(self.grams))
        return float(math.fsum(self.grams[slots]) / math.sqrt(len(slots)))


def tokens(text: str) -> list[str]:
    """Return the lower-cased English-letter words of a text, without placeholders, digits and punctuation."""
    plain = _DENIED.sub(f" {NO_FAULT} ", _PLACEHOLDER.sub(" ", text))
    runs = (run for run in _LETTERS.findall(plain) if run.isascii())
    return [part.lower() for run in runs for part in _PARTS.findall(run) if len(part) > 1]


def gram_slots(word: str, n_slots: int) -> list[int]:
    """Return the table slots of the character 3- to 5-grams of a word with its borders."""
    framed = f" {word} "
    grams = (framed[i : i + size] for size in (3, 4, 5) for i in range(len(framed) - size + 1))
    return [zlib.crc32(gram.encode()) % n_slots for gram in grams]


@lru_cache(maxsize=1)
def _shipped() -> Tone:
    return Tone.from_bytes(resources.files("jamais").joinpath("assets", "tone.npz").read_bytes())
