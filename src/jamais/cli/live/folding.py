"""How does one cause that alarms all night not bury the one that alarms once?"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from jamais.cli.alarms import Record

FIRST_WAIT = 60.0
LONGEST_WAIT = 3600.0
MOST_CAUSES = 10_000


@dataclass
class Repeats:
    """What came of one cause since it was last told."""

    record: Record
    times: int
    since: float
    wait: float


class Folder:
    """Lets the first alarm of a cause through and counts the others, to be told at growing intervals.

    A cause that stayed quiet for a whole interval is forgotten: its next alarm is news again.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._causes: OrderedDict[str, Repeats] = OrderedDict()

    def is_news(self, record: Record) -> bool:
        """Take an alarm; say whether it is to be told now."""
        cause = str(record["cause"])
        known = self._causes.get(cause)
        if known is not None:
            known.times += 1
            known.record = record
            return False
        self._causes[cause] = Repeats(record, 0, self._clock(), FIRST_WAIT)
        if len(self._causes) > MOST_CAUSES:
            self._causes.popitem(last=False)
        return True

    def due(self, *, all_of_it: bool = False) -> Iterator[Repeats]:
        """Give the repeats that are to be told now (at the end: all of them), and start counting again."""
        now = self._clock()
        for cause, told in list(self._causes.items()):
            if now - told.since < told.wait and not all_of_it:
                continue
            if not told.times:
                del self._causes[cause]
                continue
            yield Repeats(told.record, told.times, now - told.since, told.wait)
            told.times, told.since, told.wait = 0, now, min(told.wait * 4, LONGEST_WAIT)
