"""What does jamais say about a series? One setting for all of them: the defaults."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from jamais.detectors.windows import BankSettings, ChannelScale, WindowBanks
from jamais.detectors.windows.described.grid import STEPS

Floats = NDArray[np.float64]
TRAINING_STEPS = 200  # of the encoder
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
        self._banks = _banks(train, network)
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


def settings() -> str:
    """Return the one setting, for the log of runs."""
    return repr(BankSettings())


def _banks(train: Floats, network: bool) -> WindowBanks:
    """Return banks that are not fitted yet; with a network, an encoder trained on the same scaled rows is one more."""
    if not network:
        return WindowBanks(seed=0)
    from jamais.learning.contrastive import train_patches
    from jamais.models.patches import PatchEncoder

    of = BankSettings()
    scaled = ChannelScale.of(train, of.floor, of.clip).steps(train) / STEPS
    encoder = PatchEncoder(channels=train.shape[1], seed=0)
    train_patches(encoder, scaled, steps=TRAINING_STEPS, seed=0)
    return WindowBanks(seed=0, encoder=encoder)
