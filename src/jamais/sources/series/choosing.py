"""Which columns are the stamps, the channels, the names and the values?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from jamais.errors import InputError
from jamais.sources.series.settings import SeriesReading

NUMBER, STAMP, CLOCK, TEXT, EMPTY, OTHER = "number", "stamp", "clock", "text", "empty", "other"
"""What a column holds, as far as one has looked; a clock shows the time of a day that stands in another column."""
TIME_NAMES = (
    "time", "timestamp", "datetime", "ts", "date", "@timestamp", "_time", "time_stamp", "date_time", "ds", "epoch",
)  # fmt: skip
INDEX_NAMES = ("", "index", "unnamed: 0", "__index_level_0__")
NAME_NAMES = (
    "metric", "name", "channel", "variable", "series", "metric_name", "sensor", "tag", "key", "signal", "parameter",
    "item", "__name__", "_field", "field", "measurement",
)  # fmt: skip
VALUE_NAMES = ("value", "val", "values", "_value", "reading")
LABEL_NAMES = (
    "label", "labels", "is_anomaly", "anomaly", "anomalies", "is_abnormal", "abnormal", "outlier", "is_outlier",
    "changepoint",
)  # fmt: skip
_SHOWN = 5
_UNNAMED = re.compile(r"channel \d+")


@dataclass(frozen=True)
class Chosen:
    """Where in a table stamps and values are."""

    channels: tuple[str, ...]
    """Long layout: those that were fitted, empty where all are wanted."""
    columns: tuple[str | None, ...]
    """Wide layout: the column of each channel; None: it is not there."""
    time: str | None
    name: str | None = None
    value: str | None = None
    clock: str | None = None
    """The time of the day, where `time` holds dates alone."""
    said: list[str] = field(default_factory=list)

    @property
    def is_long(self) -> bool:
        return self.name is not None

    @property
    def numbers(self) -> list[str]:
        """Columns to read as numbers."""
        return [self.value] if self.value is not None else [one for one in self.columns if one is not None]

    @property
    def wanted(self) -> list[str]:
        """All columns to read."""
        return [one for one in (self.time, self.clock, self.name) if one is not None] + self.numbers


def choose(kinds: Mapping[str, str], options: SeriesReading, channels: tuple[str, ...] | None, whose: str) -> Chosen:
    """Choose among columns of these kinds; raises InputError naming what there is."""
    time = time_column(kinds, options, channels or (), whose)
    if time is None or kinds[time] != CLOCK or options.time_column is not None:
        return _chosen(kinds, time, options, channels, whose)
    clock = time
    kinds = {one: kind for one, kind in kinds.items() if one != clock}
    return replace(
        _chosen(kinds, time_column(kinds, options, channels or (), whose), options, channels, whose), clock=clock
    )


def time_column(
    kinds: Mapping[str, str], options: SeriesReading, channels: Sequence[str] = (), whose: str = "table"
) -> str | None:
    """Name the column of stamps; None where there is none."""
    if options.time_column is not None:
        if options.time_column and options.time_column not in kinds:
            raise InputError(
                f"{whose} has no column {options.time_column!r} of stamps, it has {listed(kinds)}: set "
                "reading.time_column"
            )
        return options.time_column or None
    free = [one for one in kinds if one not in channels and one not in options.columns]
    by_name = {one.strip().lower(): one for one in reversed(free)}
    for name in TIME_NAMES:
        if name in by_name:
            return by_name[name]
    return next((one for one in free if kinds[one] == STAMP), None)


def unnamed(width: int) -> tuple[str, ...]:
    """Name the channels of what has no names."""
    return tuple(f"channel {i}" for i in range(width))


def are_unnamed(channels: Iterable[str]) -> bool:
    """Say whether these are names that we gave."""
    return all(_UNNAMED.fullmatch(one) for one in channels)


def listed(names: Iterable[str]) -> str:
    """Name the first few."""
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _chosen(
    kinds: Mapping[str, str], time: str | None, options: SeriesReading, channels: tuple[str, ...] | None, whose: str
) -> Chosen:
    names = list(kinds)
    long = _long_columns(names, options, time, channels, whose)
    if long is not None:
        name, value = long
        left = [one for one in names if one not in (time, name, value)]
        return Chosen(channels or options.columns, (), time, name, value, said=_left_out(left, kinds))
    rest = [one for one in names if one != time]
    if channels is not None:
        return _matched(rest, channels, time, whose, kinds)
    chosen = list(options.columns) or [one for one in rest if kinds[one] in (NUMBER, EMPTY) and not _is_label(one)]
    if not options.columns and len(chosen) > 1:
        chosen = [one for one in chosen if not _is_row_number(one)]
    missing = [one for one in chosen if one not in kinds]
    if missing:
        raise InputError(f"{whose} has no column {listed(missing)}, it has {listed(names)}: set reading.columns")
    texts = [one for one in chosen if kinds[one] not in (NUMBER, EMPTY)]
    if texts:
        raise InputError(f"{whose}: column {listed(texts)} holds no numbers: leave it out of reading.columns")
    if not chosen:
        raise InputError(f"{whose} has no column of numbers, it has {listed(names) or 'nothing'}: set reading.columns")
    return Chosen(tuple(chosen), tuple(chosen), time, said=_left_out([n for n in rest if n not in chosen], kinds))


def _long_columns(
    names: list[str], options: SeriesReading, time: str | None, channels: tuple[str, ...] | None, whose: str
) -> tuple[str, str] | None:
    """Name the columns of names and of values of the long layout; None for the wide one."""
    asked = options.layout == "long" or options.name_column is not None or options.value_column is not None
    if options.layout == "wide" or (not asked and channels is not None and _has_any(names, channels)):
        return None
    given = (options.name_column, options.value_column)
    missing = [one for one in given if one is not None and one not in names]
    if missing:
        raise InputError(f"{whose} has no column {listed(missing)}, it has {listed(names)}")
    free = {one.strip().lower(): one for one in reversed(names) if one != time}
    name = given[0] or next((free[one] for one in NAME_NAMES if one in free and free[one] != given[1]), None)
    value = given[1] or next((free[one] for one in VALUE_NAMES if one in free and free[one] != name), None)
    if name is not None and value is not None and time is not None:
        return name, value
    if not asked:
        return None
    what = "stamps" if time is None else "names" if name is None else "values"
    setting = {"stamps": "time_column", "names": "name_column", "values": "value_column"}[what]
    raise InputError(f"{whose}: no column of {what} for the long layout among {listed(names)}: set reading.{setting}")


def _matched(
    rest: list[str], channels: tuple[str, ...], time: str | None, whose: str, kinds: Mapping[str, str]
) -> Chosen:
    """Find the fitted channels by name, or by their order where either side has no names."""
    there = set(rest)
    if not _has_any(rest, channels):
        wide = [one for one in rest if not _is_label(one) and kinds[one] != TEXT]
        if len(wide) == len(channels) and (are_unnamed(channels) or are_unnamed(wide)):
            return Chosen(channels, tuple(wide), time, said=["channels were taken by their order"])
        raise InputError(
            f"{whose} has none of the channels that were fitted ({listed(channels)}), it has {listed(rest) or 'none'}: "
            "name its columns like them"
        )
    missing = [one for one in channels if one not in there]
    fresh = [one for one in rest if one not in channels]
    said = [f"channels that are not there, so missing: {listed(missing)}"] if missing else []
    said += _left_out(fresh, kinds, "new columns, not looked at")
    return Chosen(channels, tuple(one if one in there else None for one in channels), time, said=said)


def _left_out(left: list[str], kinds: Mapping[str, str], otherwise: str = "columns left out") -> list[str]:
    labels = [one for one in left if _is_label(one)]
    texts = [one for one in left if one not in labels and kinds[one] not in (NUMBER, EMPTY)]
    others = [one for one in left if one not in labels and one not in texts]
    said = [f"labels left out: {listed(labels)}"] if labels else []
    said += [f"columns left out, they hold no numbers: {listed(texts)}"] if texts else []
    return said + ([f"{otherwise}: {listed(others)}"] if others else [])


def _is_label(name: str) -> bool:
    return name.strip().lower() in LABEL_NAMES


def _is_row_number(name: str) -> bool:
    return name.strip().lower() in INDEX_NAMES


def _has_any(names: Iterable[str], channels: Iterable[str]) -> bool:
    known = set(channels)
    return any(one in known for one in names)
