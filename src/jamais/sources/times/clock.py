"""What moment is a written time, when year or zone may be missing?

Every stamp arrives as three numbers: a date key (year * 10000 + month * 100 + day, year 0 = not written,
`EPOCH_DAY` = the micros are already UTC, `ANY_DAY` = no date at all), microseconds of that day, and the zone in
minutes (`LOCAL` = not written). The clock keeps what is needed to go on: the last day seen (so that December is
followed by January of the next year) and the last moment (so that the hour that happens twice is read right).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from jamais.types import NO_TIME, Ints

EPOCH_DAY = -1
ANY_DAY = -2
BAD_DAY = -3
LOCAL = 1 << 20
"""Zone of a stamp that names none (no zone is a million minutes away)."""

DAY_MICROS = 86_400_000_000
_EPOCH = date(1970, 1, 1)
_BACK_DAYS = 60
"""A year-less date may lie this far before the last one (a late straggler) before it means next year."""
_NO_DAY = -(1 << 40)
_QUARTER = 900_000_000
"""Zone changes fall on quarters of an hour, so one look-up per quarter is enough."""


class Clock:
    """Turn written times into microseconds since 1970 UTC, in reading order."""

    def __init__(self, timezone: str, reference: float) -> None:
        """`reference`: seconds since 1970 when the log was last written; it anchors the first missing year."""
        self._zone = ZoneInfo(timezone)
        self._utc = timezone in ("UTC", "Etc/UTC", "GMT")
        self._reference = reference
        self._year_day = _NO_DAY  # last day (since 1970) given to a year-less stamp
        self._bare_day = 0  # day of the last stamp without any date
        self._bare_micros = -1
        self._last = NO_TIME
        self._known: dict[int, int] = {}
        self._quarters: dict[int, tuple[int, int]] = {}
        self.met: set[str] = set()
        """What was missing in stamps so far: zone, year, date."""

    def restart(self, reference: float) -> None:
        """Begin another file: its own last change anchors its years."""
        self._reference = reference
        self._year_day = _NO_DAY
        self._bare_day, self._bare_micros = 0, -1

    def resolve(self, keys: NDArray[np.int32], micros: Ints, zones: NDArray[np.int32]) -> Ints:
        """Give the moments of stamps: [n], [n], [n] -> [n]; `NO_TIME` where the date does not exist."""
        if not len(keys):
            return np.zeros(0, np.int64)
        days = self._days(keys, micros)
        time = np.where(days == _NO_DAY, NO_TIME, days * DAY_MICROS + micros)
        written = (zones != LOCAL) & (time != NO_TIME)
        if written.all():
            time -= zones.astype(np.int64) * 60_000_000
        else:
            if written.any():
                time[written] -= zones[written].astype(np.int64) * 60_000_000
            local = ~written & (time != NO_TIME) & (keys != EPOCH_DAY)
            if local.any():
                self.met.add("zone")
                if not self._utc:
                    time[local] = self._from_local(time[local])
        sure = time[time != NO_TIME]
        if len(sure):
            self._last = int(sure[-1])
        return time

    def _days(self, keys: NDArray[np.int32], micros: Ints) -> Ints:
        """Look up each run of equal date keys once: a log stays on one day for many lines."""
        edges = np.flatnonzero(keys[1:] != keys[:-1]) + 1
        starts = np.concatenate([[0], edges])
        lengths = np.diff(np.concatenate([starts, [len(keys)]]))
        if ANY_DAY in keys[starts]:
            return self._bare_days(keys, micros)
        found = [self._day(int(keys[at])) for at in starts]
        return np.repeat(np.array(found, np.int64), lengths)

    def _bare_days(self, keys: NDArray[np.int32], micros: Ints) -> Ints:
        self.met.add("date")
        out = np.empty(len(keys), np.int64)
        for i, (key, now) in enumerate(zip(keys.tolist(), micros.tolist(), strict=True)):
            if key != ANY_DAY:
                out[i] = self._day(key)
                continue
            # half a day back is midnight passed; less is disorder
            if self._bare_micros - now > DAY_MICROS // 2:
                self._bare_day += 1
            self._bare_micros = now
            out[i] = self._bare_day
        return out

    def _day(self, key: int) -> int:
        if key == EPOCH_DAY:
            return 0
        if key < 0:
            return _NO_DAY
        if key < 10000:
            return self._year_less(key)
        day = self._known.get(key)
        if day is None:
            if len(self._known) > 10000:
                self._known.clear()
            day = self._known[key] = _day_number(key // 10000, key // 100 % 100, key % 100)
        return day

    def _year_less(self, key: int) -> int:
        self.met.add("year")
        month, day = key // 100, key % 100
        if self._year_day == _NO_DAY:
            limit = int(self._reference // 86400) + 1
            near = datetime.fromtimestamp(self._reference, UTC).year + 1
            choices = [_day_number(year, month, day) for year in range(near, near - 9, -1)]
            found = next((one for one in choices if one != _NO_DAY and one <= limit), _NO_DAY)
        else:
            year = (_EPOCH + timedelta(self._year_day)).year
            found = _NO_DAY
            for candidate in (
                year - 1,
                year,
                year + 1,
                year + 2,
                year + 3,
                year + 4,
            ):  # 29 February may need four
                one = _day_number(candidate, month, day)
                if one != _NO_DAY and one >= self._year_day - _BACK_DAYS:
                    found = one
                    break
        if found != _NO_DAY:
            self._year_day = found
        return found

    def _from_local(self, local: Ints) -> Ints:
        quarters = local // _QUARTER
        edges = np.flatnonzero(quarters[1:] != quarters[:-1]) + 1
        starts = np.concatenate([[0], edges])
        lengths = np.diff(np.concatenate([starts, [len(local)]]))
        offsets = np.empty(len(starts), np.int64)
        last = self._last
        for at, start in enumerate(starts.tolist()):
            first, second = self._offsets(int(quarters[start]))
            moment = int(local[start])
            # the hour that comes twice: take its second coming if the first would go back in time
            back = last != NO_TIME and moment - first < last - _QUARTER
            offsets[at] = second if first != second and back and moment - second >= last - _QUARTER else first
            last = moment - int(offsets[at])
        return local - np.repeat(offsets, lengths)

    def _offsets(self, quarter: int) -> tuple[int, int]:
        known = self._quarters.get(quarter)
        if known is None:
            if len(self._quarters) > 100_000:
                self._quarters.clear()
            try:
                wall = datetime(1970, 1, 1) + timedelta(seconds=quarter * 900)
                both = [self._zone.utcoffset(wall.replace(fold=fold)) for fold in (0, 1)]
            except OverflowError:
                both = [timedelta(0), timedelta(0)]
            known = tuple(int((one or timedelta(0)).total_seconds()) * 1_000_000 for one in both)  # type: ignore[assignment]
            assert known is not None
            if known[0] < known[1]:  # a gap: this wall time never happened, the offset before it is as good as any
                known = (known[0], known[0])
            self._quarters[quarter] = known
        return known

    def state_dict(self) -> dict[str, Any]:
        return {
            "reference": self._reference,
            "year_day": self._year_day,
            "bare_day": self._bare_day,
            "bare_micros": self._bare_micros,
            "last": self._last,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._reference = float(state["reference"])
        self._year_day = int(state["year_day"])
        self._bare_day = int(state["bare_day"])
        self._bare_micros = int(state["bare_micros"])
        self._last = int(state["last"])


def _day_number(year: int, month: int, day: int) -> int:
    try:
        return (date(year, month, day) - _EPOCH).days
    except ValueError:
        return _NO_DAY
