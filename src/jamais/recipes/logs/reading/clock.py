"""What time is it in the stream? The latest time seen, unless a stamp is clearly wrong."""

from __future__ import annotations

import numpy as np

from jamais.types import NO_TIME, Ints

DAY = 86_400_000_000
"""Microseconds."""


class StreamClock:
    """Follows the times of records: it goes on with the latest, and believes a jump only when it is told twice.

    A stamp more than `jump` microseconds from the time of the stream changes nothing by itself. If the next record
    agrees with it, to within `jump`, the stream has gone on or its clock was set: one wrong stamp stops no clock and
    leaves no hours of silence behind. What is decided depends on the past alone, so pieces are judged like the whole.
    """

    def __init__(self, jump: int = DAY) -> None:
        self.jump = jump
        self.latest = NO_TIME
        self.doubted = NO_TIME
        """The stamp before, if it was not believed."""

    def follow(self, times: Ints) -> Ints:
        """Give the time of the stream at each record `[n]`; records without a time change nothing."""
        known = np.where(times == NO_TIME, self.latest, times)
        running = np.maximum.accumulate(np.r_[self.latest, known])
        steady = self.latest != NO_TIME and self.doubted == NO_TIME
        if steady and not (np.diff(running) > self.jump).any() and not (running[1:] - known > self.jump).any():
            self.latest = int(running[-1])
            return running[1:]
        return np.array([self._step(time) for time in times.tolist()], dtype=np.int64)

    def _step(self, time: int) -> int:
        if time == NO_TIME:
            return self.latest
        near = self.latest == NO_TIME or abs(time - self.latest) <= self.jump
        if near:
            self.latest, self.doubted = max(self.latest, time), NO_TIME
        elif self.doubted != NO_TIME and abs(time - self.doubted) <= self.jump:
            self.latest, self.doubted = max(time, self.doubted), NO_TIME
        else:
            self.doubted = time
        return self.latest

    def state(self) -> list[int]:
        return [self.latest, self.doubted]

    def restore(self, state: list[int]) -> None:
        self.latest, self.doubted = int(state[0]), int(state[1])
