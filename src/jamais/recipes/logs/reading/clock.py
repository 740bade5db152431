"""What time is it in the stream? The latest time seen, unless the clock was clearly wrong."""

from __future__ import annotations

import numpy as np

from jamais.types import NO_TIME, Ints

SET_BACK = 86_400_000_000
"""Microseconds. Records come out of order by seconds; one that is a day behind says that the clock was wrong."""


def latest_times(times: Ints, latest: int) -> Ints:
    """Give the time of the stream at each record `[n]`, from `latest` on; records without a time change nothing.

    It never goes back by less than a day. By more it does: else one stamp from the future would stop all clocks.
    """
    running = np.maximum.accumulate(np.r_[latest, times])[1:]
    behind = (times != NO_TIME) & (running - np.where(times == NO_TIME, running, times) > SET_BACK)
    if not behind.any():
        return running
    now = latest
    for i, time in enumerate(times.tolist()):
        if time > now or (time != NO_TIME and now - time > SET_BACK):
            now = time
        running[i] = now
    return running
