"""How does a training loop stop where its state is whole, whoever asks: Ctrl-C, SIGTERM or a cancel token?"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from jamais.errors import Cancelled
from jamais.types import CancelToken

_SIGNALS: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether somebody has asked the loop to stop, and how it leaves then."""

    def __init__(self, cancel: CancelToken | None = None) -> None:
        self._cancel = cancel
        self._signal: int | None = None
        self._previous: dict[int, Any] = {}

    @property
    def asked(self) -> bool:
        """Whether to save and leave at this step boundary."""
        return self._signal is not None or (self._cancel is not None and self._cancel.cancelled)

    def leave(self, message: str = "training was cancelled") -> NoReturn:
        """Raise what fits: KeyboardInterrupt, SystemExit(143) after SIGTERM, Cancelled(message) after a token."""
        if self._signal is not None:
            number, self._signal = self._signal, None
            self._hand_on(number, None)
        raise Cancelled(message)

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Be the handler of a signal: the first sets the flag, the second does not wait."""
        if self._signal is not None:
            self._hand_on(number, frame)
        self._signal = number

    def _hand_on(self, number: int, frame: FrameType | None) -> NoReturn:
        previous = self._previous[number]
        if callable(previous):
            previous(number, frame)  # Python's own raises KeyboardInterrupt; a server's may only take note
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)


@contextmanager
def stop_at_step_boundary(cancel: CancelToken | None = None) -> Iterator[Stop]:
    """Turn the first Ctrl-C or SIGTERM into a flag that the loop looks at between two steps.

    A second signal stops at once. The handlers before are put back at the end, and a signal the loop did not see is
    handed on then. Signals that are ignored stay ignored; outside the main thread only `cancel` is looked at.
    """
    stop = Stop(cancel)
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                stop._previous[number] = signal.signal(number, stop.receive)
    try:
        yield stop
    finally:
        for number, previous in stop._previous.items():
            signal.signal(number, previous)
    if stop._signal is not None:
        stop.leave()
