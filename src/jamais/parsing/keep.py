"""Which numbers are a small closed set, so that a template keeps them as words?

A number is kept by what stands round it, never by its value alone, and this must show in the line without
digits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

# S: what may stand between a name and its value; B: the start of a word.
_S = r"[\"']?\s?[=:]?\s?[\"'(\[]?"
_B = r"(?<![A-Za-z0-9])"
_EXIT = rf"(?i){_B}(?:exit(?:ed|s|ing)?(?: with)?|return(?:ed|s)?)(?: non-zero)?(?: exit)?"
_EXIT += r"[ _-]?(?:code|status|value)"
_LEAVE = rf"(?i){_B}(?:exit(?:ed|s|ing)?(?: with)? |exit[=:(]\s?)"
_RESULT = rf"(?i){_B}(?:rc|ret|retval|errno|err|error|code|(?:err(?:or)?|result)[ _-]?code)\"?\s?[=:]\s?\"?"
_ERROR = rf"(?i){_B}(?:errno|err(?:or)?[ _-]?code|error|signal|sig)[ (\[]{{1,2}}"
_STATUS = rf"(?i){_B}(?:[a-z]+[_-])?(?:status|response)(?:[_ -]?code)?{_S}"
_LETTERS = rf"(?i){_B}(?:code|error|err|errno)[=: (\[]{{1,2}}"
_VENDOR = rf"{_B}(?:ORA|TNS|HY|AH|ERR|WRN|MSG)-?"
_YES = (
    rf"(?i){_B}(?:ok|success|succeeded|enabled|disabled|active|alive|healthy|connected|ready|valid|up|online|failed"
    r"|is_[a-z_]+|has_[a-z_]+)\"?\s?[=:]\s?\"?"
)
_YES_HINTS: tuple[str, ...] = (
    "ok",
    "succe",
    "abled",
    "active",
    "alive",
    "healthy",
    "connected",
    "ready",
    "valid",
    "up",
    "online",
)
_YES_HINTS += ("failed", "is_", "has_")
_NO_MORE = r"(?![0-9A-Za-z]|[.,:]\d)"

# (what, one of these must be in the line in small letters, before the number, the number, after it, after it
# when the digits are gone). Where the second group of three fits a line, the last must fit it without digits.
_CONTEXTS: tuple[tuple[str, tuple[str, ...], str, str, str, str], ...] = (
    ("status line", ("http/",), r"HTTP/\d?(?:\.\d?)?\"? ", r"[1-5]\d\d", _NO_MORE, "(?![A-Za-z])"),
    ("access log", ('" ',), r"\" ", r"[1-5]\d\d", r"(?= (?:\d+|-)(?: |$))", r"(?= -?(?: |$))"),
    ("http", ("http",), rf"{_B}HTTP[ :]\s?", r"[1-5]\d\d", _NO_MORE, "(?![A-Za-z])"),
    ("status", ("status", "response"), _STATUS, r"[1-9]\d\d", _NO_MORE, "(?![a-z])"),
    ("exit code", ("code", "status", "value"), _EXIT + _S, r"-?\d{1,3}", _NO_MORE, "(?:-|(?![a-z]))"),
    ("exit", ("exit",), _LEAVE, r"-?\d{1,3}", _NO_MORE, "(?:-|(?![a-z]))"),
    ("result", ("rc", "ret", "err", "code"), _RESULT, r"-?\d{1,5}", _NO_MORE, "(?:-|(?![a-z]))"),
    ("error", ("err", "sig"), _ERROR, r"-?\d{1,5}", _NO_MORE, "(?:-|(?![a-z]))"),
    ("system error", (": ",), r"\(", r"\d{1,3}", r"(?=: [A-Z])", r"(?=: [A-Z])"),
    ("sqlstate", ("sqlstate",), r"SQLSTATE[=:( \[]{1,2}", r"[0-9A-Z]{5}", r"(?![0-9A-Za-z])", ""),
    (
        "letters",
        ("code", "err"),
        _LETTERS,
        r"[A-Z]{1,4}-?\d{2,5}",
        r"(?![0-9a-z])",
        "(?<=[a-z=: (\\[-])(?![a-z])",
    ),
    (
        "vendor",
        ("ora", "tns", "hy", "ah", "err", "wrn", "msg"),
        _VENDOR,
        r"\d{3,6}",
        _NO_MORE,
        "(?![A-Za-z])",
    ),
    ("yes or no", _YES_HINTS, _YES, r"[01]", _NO_MORE, "(?![a-z])"),
)

_HIDDEN = {ord(str(d)): 0xE000 + d for d in range(10)}
SHOWN = {0xE000 + d: str(d) for d in range(10)}
"""Translation table: a kept digit, hidden from every rule about digits, back to the digit."""


@dataclass(frozen=True)
class Context:
    """One place where a number stays a word, as regexes on text, on bytes, and on bytes without digits."""

    hints: tuple[str, ...]
    raw_hints: tuple[bytes, ...]
    text: re.Pattern[str]
    raw: re.Pattern[bytes]
    bare: re.Pattern[bytes]
    number: bytes
    digits: str

    def finders(self, bare: bytes, raw: bytes) -> list[re.Pattern[bytes]]:
        """Return regexes that find this context's numbers in lines like these; literal ones are faster."""
        possible = len(self.bare.findall(bare))
        found = list(self.raw.finditer(raw))
        if not self.number or len(found) != possible:
            return [self.raw] if found or possible else []
        return [re.compile(_literal(m[0][: m.start(1) - m.start()]) + self.number) for m in found]


class Keep:
    """Find the numbers that stay words."""

    def __init__(self, extra: Sequence[str] = ()) -> None:
        self.contexts = [_built_in(*parts) for _, *parts in _CONTEXTS]  # type: ignore[arg-type]
        self.contexts += [_context(("",), pattern, _without_digits(pattern)) for pattern in extra]

    def hide(self, text: str) -> str:
        """Return `text` with the digits of kept numbers in a private alphabet (back with `SHOWN`)."""
        small = text.lower()
        for context in self.contexts:
            if any(hint in small for hint in context.hints):
                text = context.text.sub(_hidden, text)
        return text

    def at(self, bare: bytes, raw: bytes) -> tuple[re.Pattern[bytes], ...]:
        """Return byte regexes that find all kept numbers in lines that are `bare` without digits."""
        small = raw.lower()
        found: dict[bytes, re.Pattern[bytes]] = {}
        seen: set[tuple[str, tuple[tuple[int, int], ...]]] = set()
        for context in self.contexts:
            if any(hint in small for hint in context.raw_hints):
                where = (context.digits, tuple(m.span(1) for m in context.raw.finditer(raw)))
                if where[1] and where in seen:  # a wider context reads the same numbers
                    continue
                seen.add(where)
                found.update((pattern.pattern, pattern) for pattern in context.finders(bare, raw))
        return tuple(found.values())


def _built_in(hints: tuple[str, ...], before: str, number: str, after: str, bare_after: str) -> Context:
    letters = "[A-Za-z]{0,5}-?" if "A-Z" in number else ""
    finder = f"({number}){after}" if not before.startswith("(?i)") else f"(?i:({number}){after})"
    return _context(hints, f"{before}({number}){after}", f"{before}{letters}{bare_after}", finder, number)


def _context(hints: tuple[str, ...], raw: str, bare: str, number: str = "", digits: str = "") -> Context:
    return Context(
        hints=hints,
        raw_hints=tuple(hint.encode() for hint in hints),
        text=re.compile(raw, re.ASCII),
        raw=re.compile(raw.encode()),
        bare=re.compile(bare.encode()),
        number=number.encode(),
        digits=digits,
    )


def _literal(text: bytes) -> bytes:
    return b"[0-9]*".join(re.escape(part) for part in re.split(rb"[0-9]+", text))


def _hidden(found: re.Match[str]) -> str:
    start, end = found.start(1) - found.start(), found.end(1) - found.start()
    whole = found[0]
    return whole[:start] + whole[start:end].translate(_HIDDEN) + whole[end:]


def _without_digits(pattern: str) -> str:
    """Return the user's regex as it can still fit once the digits are gone."""
    return re.sub(r"(?:\\d|\[0-9\])(?:[+*?]|\{[^}]*\})?", r"\\d*", pattern)
