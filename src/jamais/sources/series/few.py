"""How are a few rows read without what it costs to make a table of them? As the table would, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jamais.sources.series.choosing import Chosen
from jamais.sources.series.opened.delimited import MISSING
from jamais.types import Floats

MOST = 32
"""From here on a table is faster."""
_BLANKS = dict.fromkeys(MISSING, np.nan)


def few_lines(body: bytes, names: tuple[str, ...], separator: str, chosen: Chosen) -> tuple[list[str], Floats] | None:
    """Give stamps as they are written [n] ("" for none) and values [n, channels]; None: the table must say."""
    if b'"' in body or b"_" in body or not body.isascii():
        return None
    lines = [line.split(separator) for line in body.decode().split("\n")]
    if any(len(line) != len(names) for line in lines):
        return None
    place = {name: i for i, name in enumerate(names)}
    values = np.full((len(lines), len(chosen.columns)), np.nan)
    at = [(i, place[column]) for i, column in enumerate(chosen.columns) if column is not None]
    try:
        for row, line in enumerate(lines):
            for i, field in at:
                text = line[field]
                values[row, i] = _BLANKS[text] if text in _BLANKS else float(text)
    except ValueError:
        return None
    if chosen.time is None:
        return [""] * len(lines), values
    stamps = [line[place[chosen.time]].strip() for line in lines]
    if chosen.clock is not None:
        clocks = [line[place[chosen.clock]].strip() for line in lines]
        blank = any(one in MISSING for one in (*stamps, *clocks))
        return None if blank else ([f"{a} {b}" for a, b in zip(stamps, clocks, strict=True)], values)
    return ["" if one in MISSING else one for one in stamps], values


def few_records(records: Sequence[Mapping[str, Any]], chosen: Chosen) -> tuple[list[str], Floats] | None:
    """Give the same of mappings {name: number}."""
    if chosen.clock is not None:
        return None
    values = np.full((len(records), len(chosen.columns)), np.nan)
    stamps: list[str] = []
    for row, record in enumerate(records):
        for i, column in enumerate(chosen.columns):
            one = record.get(column) if column is not None else None
            if one is None:
                continue
            if type(one) not in (float, int):
                return None
            try:
                values[row, i] = one
            except OverflowError:
                return None
        stamp = record.get(chosen.time) if chosen.time is not None else None
        if stamp is not None and type(stamp) not in (str, int):
            return None
        stamps.append("" if stamp is None else str(stamp))
    return stamps, values
