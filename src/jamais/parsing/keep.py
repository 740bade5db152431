"""Which numbers are a small closed set, so that a template keeps them as words?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_B = r"(?<![A-Za-z0-9])"
_SEP = r"[\"']?\s?[=:]?\s?[\"'(\[]?"

# (what, the raw line with group 1 = the number, the same line without digits). A number is kept by what stands round
# it, and this must show in the line without digits: the second regex fits wherever the first one can.
_CONTEXTS: tuple[tuple[str, str, str], ...] = (
    ("access log", r"\" ([1-5]\d\d)(?= (?:\d+|-)(?: |$))", r"\" (?= -?(?: |$))"),
    ("http status line", r"HTTP/\d(?:\.\d)?\"? ([1-5]\d\d)(?!\d)", r"HTTP/\.?\"? "),
    ("http status", rf"{_B}HTTP[ :]\s?([1-5]\d\d)(?!\d)", rf"{_B}HTTP[ :]"),
    (
        "status",
        rf"(?i){_B}(?:[a-z]+[_-])?(?:status|response)(?:[_ -]?code)?{_SEP}([1-9]\d\d)(?![\d.]*\d)",
        rf"(?i){_B}(?:[a-z]+[_-])?(?:status|response)(?:[_ -]?code)?{_SEP}(?![a-z])",
    ),
    (
        "exit code",
        rf"(?i){_B}(?:exit(?:ed|s|ing)?(?: with)?|return(?:ed|s)?)(?: non-zero)?(?: exit)?[ _-]?(?:code|status|value)"
        rf"{_SEP}(-?\d{{1,3}})(?![\d.]*\d)",
        rf"(?i){_B}(?:exit(?:ed|s|ing)?(?: with)?|return(?:ed|s)?)(?: non-zero)?(?: exit)?[ _-]?(?:code|status|value)"
        rf"{_SEP}(?:-|(?![a-z]))",
    ),
    (
        "exit",
        rf"(?i){_B}(?:exit(?:ed|s|ing)?(?: with)? |exit[=:(])\s?(-?\d{{1,3}})(?![\d.]*\d)",
        rf"(?i){_B}(?:exit(?:ed|s|ing)?(?: with)? |exit[=:(])\s?(?:-|(?![a-z]))",
    ),
    (
        "result",
        rf"(?i){_B}(?:rc|ret|retval|errno|err|error|code|err(?:or)?[ _-]?code|result[ _-]?code)\"?\s?[=:]\s?\"?"
        r"(-?\d{1,5})(?![\d.]*\d)",
        rf"(?i){_B}(?:rc|ret|retval|errno|err|error|code|err(?:or)?[ _-]?code|result[ _-]?code)\"?\s?[=:]\s?\"?"
        r"(?:-|(?![a-z]))",
    ),
    (
        "error code",
        rf"(?i){_B}(?:errno|err(?:or)?[ _-]?code|error|signal|sig)[ (\[]{{1,2}}(-?\d{{1,5}})(?![\d.]*\d)",
        rf"(?i){_B}(?:errno|err(?:or)?[ _-]?code|error|signal|sig)[ (\[]{{1,2}}(?:-|(?![a-z]))",
    ),
    ("system error", r"\((\d{1,3}): (?=[A-Z])", r"\(: (?=[A-Z])"),
    ("sqlstate", r"SQLSTATE[=:( \[]{1,2}([0-9A-Z]{5})(?![0-9A-Z])", r"SQLSTATE[=:( \[]{1,2}"),
    (
        "letter code",
        rf"(?i){_B}(?:code|error|err|errno)[=: (\[]{{1,2}}([A-Z]{{1,4}}-?\d{{2,5}})(?![0-9a-z])",
        rf"(?i){_B}(?:code|error|err|errno)[=: (\[]{{1,2}}[A-Z]{{1,4}}-?(?![a-z])",
    ),
    ("vendor code", rf"{_B}(?:ORA|TNS|MY|HY|AH|CVE|ERR|WRN|MSG)-?(\d{{3,6}})(?!\d)", rf"{_B}(?:ORA|TNS|MY|HY|AH|CVE|ERR|WRN|MSG)-?(?![A-Za-z])"),
    (
        "yes or no",
        rf"(?i){_B}(?:ok|success|succeeded|enabled|disabled|active|alive|healthy|connected|ready|valid|up|online|failed"
        rf"|is_[a-z_]+|has_[a-z_]+)\"?\s?[=:]\s?\"?([01])(?![\d.]*\d)",
        rf"(?i){_B}(?:ok|success|succeeded|enabled|disabled|active|alive|healthy|connected|ready|valid|up|online|failed"
        rf"|is_[a-z_]+|has_[a-z_]+)\"?\s?[=:]\s?\"?(?![a-z])",
    ),
)

_DIGIT = re.compile(r"\d")
_HIDDEN = {ord(str(d)): 0xE000 + d for d in range(10)}
SHOWN = {0xE000 + d: str(d) for d in range(10)}
"""Translation table: a kept digit, hidden from every rule about digits, back to the digit."""


@dataclass(frozen=True)
class Context:
    """One place where a number stays a word, as regexes on text, on bytes, and on bytes without digits."""

    text: re.Pattern[str]
    raw: re.Pattern[bytes]
    bare: re.Pattern[bytes]


class Keep:
    """Find the numbers that stay words: by what stands round them, never by their value alone."""

    def __init__(self, extra: Sequence[str] = ()) -> None:
        self.contexts = [_context(raw, bare) for _, raw, bare in _CONTEXTS]
        self.contexts += [_context(pattern, _without_digits(pattern)) for pattern in extra]

    def hide(self, text: str) -> str:
        """Return `text` with the digits of kept numbers in a private alphabet (back with `SHOWN`)."""
        for context in self.contexts:
            text = context.text.sub(_hidden, text)
        return text

    def at(self, bare: bytes, raw: bytes) -> tuple[re.Pattern[bytes], ...]:
        """Return the byte regexes that can find kept numbers in lines like this one (`bare`: without digits)."""
        return tuple(c.raw for c in self.contexts if c.bare.search(bare) or c.raw.search(raw))


def _context(raw: str, bare: str) -> Context:
    return Context(re.compile(raw, re.ASCII), re.compile(raw.encode()), re.compile(bare.encode()))


def _hidden(found: re.Match[str]) -> str:
    start, end = found.start(1) - found.start(), found.end(1) - found.start()
    whole = found[0]
    return whole[:start] + whole[start:end].translate(_HIDDEN) + whole[end:]


def _without_digits(pattern: str) -> str:
    """Return the user's regex as it can still fit once the digits are gone."""
    return re.sub(r"(?:\\d|\[0-9\])(?:[+*?]|\{[^}]*\})?", r"\\d*", pattern)
