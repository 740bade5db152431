"""What does jamais say about a series? One setting for all of them: the defaults."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
ALARM_RATE = 0.001  # of normal rows: what counts as found, for HitRate
METHODS: dict[str, tuple[bool, bool]] = {  # name -> (with a network, with hindsight)
    "jamais causal": (False, False),
    "jamais offline": (False, True),
    "jamais causal + network": (True, False),
    "jamais offline + network": (True, True),
}


class Fitted:
    """Window banks fitted on the train part of one series; both modes share them."""

    def __init__(self, train: Floats, network: bool) -> None:
        began = time.process_time()
        self._banks = _banks(network)
        self._banks.fit(np.ascontiguousarray(train))
        self.seconds = time.process_time() - began

    def score(self, rows: Floats, *, hindsight: bool) -> tuple[Floats, NDArray[np.bool_], float]:
        """Return scores [m], alarms [m] at `ALARM_RATE`, and CPU seconds."""
        began = time.process_time()
        scores = np.asarray(self._banks.look(rows, hindsight=hindsight).score)
        seconds = time.process_time() - began
        alarms = self._banks.calibration(hindsight).p_value(scores)[0] <= ALARM_RATE
        return scores, alarms, seconds

    def shares(self, rows: Floats, at: NDArray[np.int64]) -> Floats:
        """Return how much each channel has to do with the windows that end at some rows: [k] -> [k, C]."""
        return np.asarray(self._banks.blame(rows, at).shares)


def ready(method: str) -> bool:
    """Say whether the method can run: the ones with a network need an encoder."""
    return not METHODS[method][0]


def settings() -> str:
    """Return the one setting, for the log of runs."""
    from jamais.detectors.windows import BankSettings

    return repr(BankSettings())


def _banks(network: bool) -> Any:
    from jamais.detectors.windows import WindowBanks

    if network:
        raise NotImplementedError("no encoder takes part yet")
    return WindowBanks(seed=0)
