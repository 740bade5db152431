"""How bad does a line say it is, in one spelling?"""

from __future__ import annotations

_SAME = {
    "TRACE": "TRACE VERBOSE FINEST FINER SILLY",
    "DEBUG": "DEBUG FINE CONFIG DBG DEBUG1 DEBUG2 DEBUG3 DEBUG4 DEBUG5",
    "INFO": "INFO INFORMATION INFORMATIONAL INF",
    "NOTICE": "NOTICE",
    "WARNING": "WARNING WARN WRN",
    "ERROR": "ERROR ERR SEVERE FAILURE",
    "CRITICAL": "CRITICAL CRIT ALERT",
    "FATAL": "FATAL PANIC EMERG EMERGENCY FTL",
    "LOG": "LOG",
}
CANONICAL = {word: level for level, words in _SAME.items() for word in words.split()}
"""Upper-case word -> level."""

POSTGRES_MORE = ("DETAIL", "HINT", "STATEMENT", "CONTEXT", "QUERY")
"""PostgreSQL's further lines: they look like levels but continue the record above."""

LETTERS = {
    "V": "TRACE", "T": "TRACE", "D": "DEBUG", "I": "INFO", "N": "NOTICE", "W": "WARNING", "E": "ERROR",
    "C": "CRITICAL", "F": "FATAL", "A": "FATAL",
}  # fmt: skip

SYSLOG = ("FATAL", "CRITICAL", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG")
"""Level of the syslog severities 0 to 7."""

_NUMBERS = {10: "TRACE", 20: "DEBUG", 30: "INFO", 40: "WARNING", 50: "ERROR", 60: "FATAL"}


def canonical(word: object) -> str:
    """Spell a level as we do: "warn" -> "WARNING", 3 -> "ERROR" (syslog), 30 -> "INFO" (pino); "" if it is none."""
    if isinstance(word, bool) or word is None:
        return ""
    if isinstance(word, int | float):
        return _numbered(int(word)) if abs(word) < 1000 else ""
    text = str(word).strip().strip("[]<>():").upper()
    if text.isascii() and text.isdigit() and len(text) < 4:
        return _numbered(int(text))
    return CANONICAL.get(text) or LETTERS.get(text) or text[:20]


def _numbered(number: int) -> str:
    if 0 <= number < 8:
        return SYSLOG[number]
    return _NUMBERS.get(number // 10 * 10, "")
