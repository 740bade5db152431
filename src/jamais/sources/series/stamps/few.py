"""How are a few stamps in the usual forms read at once?"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

from jamais.types import NO_TIME

_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,6}))?)?(?:(Z)|([+-])(\d\d):?(\d\d))?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)


def few_moments(stamps: list[str], form: str | None, factor: float | None) -> tuple[list[int], list[bool]] | None:
    """Give microseconds and whether they are UTC of stamps in the usual form; None where one is not."""
    out: list[int] = []
    is_utc: list[bool] = []
    for text in stamps:
        moment: tuple[int, bool] | None = (NO_TIME, True)
        if text:
            moment = _iso(text) if form == "iso" else _whole(text, factor)
        if moment is None:
            return None
        out.append(moment[0])
        is_utc.append(moment[1])
    return out, is_utc


def _iso(text: str) -> tuple[int, bool] | None:
    match = _ISO.fullmatch(text)
    if match is None or not text.isascii():
        return None
    year, month, day, hour, minute, second, fraction, zulu, sign, hours, minutes = match.groups()
    try:
        zone = UTC
        if sign:
            zone = timezone((1 if sign == "+" else -1) * timedelta(hours=int(hours), minutes=int(minutes)))
        moment = datetime(
            int(year), int(month), int(day), int(hour), int(minute), int(second or 0),
            int((fraction or "").ljust(6, "0")), zone,
        )  # fmt: skip
    except ValueError:
        return None
    return (moment - _EPOCH) // _MICRO, bool(zulu or sign)


def _whole(text: str, factor: float | None) -> tuple[int, bool] | None:
    if factor is None or factor < 1 or not (text.isascii() and text.isdigit()) or len(text) > 18:
        return None
    micros = int(text) * int(factor)
    return (micros, True) if micros < 200_000_000_000_000_000 else None
