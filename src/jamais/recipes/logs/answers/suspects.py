"""What in a row may be to blame for it? Keys with the log-odds that each began with, as text in one column.

Alarm records hold this text, so an answer that comes hours later needs nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

MOST_NAMED = 8


def written(suspects: Sequence[tuple[str, float]]) -> str:
    """Write suspects, the first eight of them: "1f0c:+1.25 77ab:-0.40"."""
    return " ".join(f"{key}:{prior:+.2f}" for key, prior in suspects[:MOST_NAMED])


def read(text: str | None) -> dict[str, float]:
    """Read what `written` wrote; what is no number counts as even odds."""
    found = {}
    for word in (text or "").split():
        key, _, prior = word.rpartition(":")
        if key:
            found[key] = _number(prior)
    return found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
