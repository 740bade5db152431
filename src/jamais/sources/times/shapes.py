"""Which shapes of time stamp do logs write, and where in a line is one?"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ZONE = (
    rb"(?P<z>Z| ?(?:UTC|GMT|CEST|CET|EEST|EET|WEST|WET|BST|MSK|JST|EDT|EST|CDT|CST|MDT|MST|PDT|PST)\b"
    rb"| ?[+-]\d\d:?\d\d(?!\d)|[+-]\d\d(?!\d))?"
)
_HMS = rb"(?P<H>\d\d):(?P<M>\d\d):(?P<S>\d\d)"
_FRACTION = rb"(?:[.,](?P<f>\d{1,9}))?"
_MONTH = rb"(?P<b>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_WEEKDAY = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_FREE = rb"(?<![\w.:/-])"

FULL, EPOCH, YEARLESS, TIME_ONLY = 0, 1, 2, 3
"""How much a shape knows; a smaller number is preferred where both stand in the same lines."""


@dataclass(frozen=True)
class Shape:
    """One way to write a time. Groups: Y y m b d H h M S f ms z ap, or e e3 e6 e9 for an epoch."""

    name: str
    knows: int
    regex: re.Pattern[bytes]


def _shape(name: str, knows: int, pattern: bytes) -> Shape:
    return Shape(name, knows, re.compile(pattern))


SHAPES = (
    _shape("iso", FULL, rb"(?<!\d)(?P<Y>\d{4})-(?P<m>\d\d)-(?P<d>\d\d)[T ]" + _HMS + _FRACTION + _ZONE),
    _shape("slash", FULL, rb"(?<!\d)(?P<Y>\d{4})/(?P<m>\d\d)/(?P<d>\d\d)[T ]" + _HMS + _FRACTION + _ZONE),
    _shape(
        "dotted",
        FULL,
        rb"(?<!\d)(?P<Y>\d{4})-(?P<m>\d\d)-(?P<d>\d\d)-(?P<H>\d\d)\.(?P<M>\d\d)\.(?P<S>\d\d)\.(?P<f>\d{1,9})",
    ),
    _shape("clf", FULL, rb"(?P<d>\d\d)/" + _MONTH + rb"/(?P<Y>\d{4}):" + _HMS + _FRACTION + _ZONE),
    _shape(
        "day_month_year",
        FULL,
        _FREE + rb"(?P<d>[ \d]?\d)[ -]" + _MONTH + rb"[ -](?P<Y>\d{4}) " + _HMS + _FRACTION + _ZONE,
    ),
    _shape(
        "asctime",
        FULL,
        _WEEKDAY + b" " + _MONTH + rb" (?P<d>[ \d]\d|\d) " + _HMS + _FRACTION + _ZONE + rb" (?P<Y>\d{4})(?!\d)",
    ),
    _shape(
        "month_day_year",
        FULL,
        _MONTH + rb" (?P<d>[ \d]\d|\d),? (?P<Y>\d{4}),? (?P<H>\d\d?):(?P<M>\d\d):(?P<S>\d\d)"
        rb"(?: (?P<ap>[AP]M))?" + _ZONE,
    ),
    _shape(
        "compact_colons",
        FULL,
        _FREE + rb"(?P<Y>(?:19|20)\d\d)(?P<m>[01]\d)(?P<d>[0-3]\d)[T -]"
        rb"(?P<H>\d\d?):(?P<M>\d\d?):(?P<S>\d\d?)(?::(?P<ms>\d{1,3})(?!\d)|[.,](?P<f>\d{1,9}))?" + _ZONE,
    ),
    _shape(
        "compact",
        FULL,
        _FREE
        + rb"(?P<Y>(?:19|20)\d\d)(?P<m>[01]\d)(?P<d>[0-3]\d)[T -](?P<H>\d\d)(?P<M>\d\d)(?P<S>\d\d)(?!\d)"
        + _FRACTION
        + _ZONE,
    ),
    _shape(
        "short_year",
        FULL,
        rb"(?<!\S)(?P<y>\d\d)(?P<m>[01]\d)(?P<d>[0-3]\d) (?P<H>\d\d)(?P<M>[0-5]\d)(?P<S>[0-6]\d)(?=\s|$)",
    ),
    _shape(
        "short_year_colons",
        FULL,
        rb"(?<!\S)(?P<y>\d\d)(?P<m>[01]\d)(?P<d>[0-3]\d) (?P<H>[ \d]\d):(?P<M>\d\d):(?P<S>\d\d)",
    ),
    _shape("short_slash", FULL, _FREE + rb"(?P<y>\d\d)/(?P<m>[01]\d)/(?P<d>[0-3]\d) " + _HMS + _FRACTION),
    _shape(
        "american",
        FULL,
        _FREE
        + rb"(?P<m>\d\d?)/(?P<d>\d\d?)/(?P<Y>\d{4}),? (?P<H>\d\d?):(?P<M>\d\d):(?P<S>\d\d)"
        + _FRACTION
        + rb"(?: (?P<ap>[AP]M))?",
    ),
    _shape("european", FULL, _FREE + rb"(?P<d>\d\d)\.(?P<m>\d\d)\.(?P<Y>\d{4}) " + _HMS + _FRACTION),
    _shape(
        "epoch",
        EPOCH,
        rb"(?<![\w.:/#=-])(?:(?P<e>1\d{9})(?:\.(?P<f>\d{1,9}))?|(?P<e3>1\d{12})|(?P<e6>1\d{15})|(?P<e9>1\d{18}))"
        rb"(?![\w.:/%-])",
    ),
    _shape("klog", YEARLESS, rb"(?<=\b[IWEF])(?P<m>[01]\d)(?P<d>[0-3]\d) " + _HMS + rb"\.(?P<f>\d{6})"),
    _shape("bsd", YEARLESS, rb"(?<!\w)" + _MONTH + rb" (?P<d>[ \d]\d|\d) " + _HMS + _FRACTION),
    _shape("month_dash_day", YEARLESS, rb"(?<![\w-])(?P<m>[01]\d)-(?P<d>[0-3]\d) " + _HMS + _FRACTION),
    _shape("month_dot_day", YEARLESS, rb"(?<=\[)(?P<m>[01]\d)\.(?P<d>[0-3]\d) " + _HMS + _FRACTION),
    _shape("time_only", TIME_ONLY, rb"(?<![\d:.,/T-])" + _HMS + _FRACTION + rb"(?![\d:])"),
)

BY_NAME = {shape.name: shape for shape in SHAPES}

ZONES = {
    b"Z": 0, b"UTC": 0, b"GMT": 0, b"WET": 0, b"WEST": 60, b"BST": 60, b"CET": 60, b"CEST": 120, b"EET": 120,
    b"EEST": 180, b"MSK": 180, b"JST": 540, b"EST": -300, b"EDT": -240, b"CST": -360, b"CDT": -300, b"MST": -420,
    b"MDT": -360, b"PST": -480, b"PDT": -420,
}  # fmt: skip
"""Minutes east of Greenwich of the zone names that logs print."""


def zone_minutes(text: bytes) -> int:
    """Read a zone as written ("Z", " UTC", "+02:00", "-0500", "+02") as minutes east of Greenwich."""
    text = text.strip()
    if text in ZONES:
        return ZONES[text]
    digits = text[1:].replace(b":", b"").ljust(4, b"0")
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    return -minutes if text[:1] == b"-" else minutes
