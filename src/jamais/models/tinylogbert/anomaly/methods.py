"""What does a `TinyLogBERT` do with the features of lines? Remember the normal ones, and judge others by a method.

One memory of normal rows serves all methods. What is learned goes there first; detectors that were fitted follow it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jamais.detectors.detector import Detector
from jamais.errors import CorruptStateError, NotReadyError, SettingsError
from jamais.memory.feature_memory import FeatureMemory
from jamais.memory.incoming import checked_rows
from jamais.models.tinylogbert.anomaly.kinds import METHODS, made
from jamais.models.tinylogbert.anomaly.line_ensemble import LineEnsemble
from jamais.models.tinylogbert.anomaly.masked_loss import LineLosses
from jamais.types import Bools, Floats, Vectors

ENSEMBLE = "ensemble"
FIT_MEMORY_SIZE = 10_000
"""Rows; of width 256 they take 10 MB."""
CONTAMINATION = 0.01
"""Of the remembered lines above the threshold: they are normal but for a few."""


@dataclass(frozen=True)
class Verdict:
    """What the method in use says of lines."""

    scores: Floats
    """[n]; higher is more abnormal."""
    abnormal: Bools | None
    """[n]: the score exceeds the threshold; None before the first fit."""


class AnomalyMethods:
    """Five detectors and their ensemble over one memory of at most `fit_memory_size` rows."""

    def __init__(self, fit_memory_size: int = FIT_MEMORY_SIZE, contamination: float = CONTAMINATION) -> None:
        self.memory = FeatureMemory(fit_memory_size)
        self.losses = LineLosses()
        settings: dict[str, Any] = {"contamination": contamination}
        self.detectors = {name: made(name, settings, self.memory, self.losses) for name in METHODS}
        self.ensemble = LineEnsemble(self.detectors, **settings)
        self.method = METHODS[0]

    @property
    def active(self) -> Detector:
        """The detector of the method in use."""
        return self.ensemble if self.method == ENSEMBLE else self.detectors[self.method]

    @property
    def wants_losses(self) -> bool:
        """Whether judging a line takes its masked loss, too."""
        return len(self.memory) > 0 and self.method in (ENSEMBLE, "reconstruction")

    def use(self, method: str) -> None:
        """Judge by `method` from now on; what is remembered and fitted stays."""
        if method not in (*METHODS, ENSEMBLE):
            raise SettingsError(f"the detection methods are {', '.join((*METHODS, ENSEMBLE))}, got {method!r}")
        self.method = method

    def learn(self, rows: Vectors, losses: Floats, capacity: int) -> None:
        """Remember features [n, width] of normal lines, and their losses [n], among at most `capacity` rows."""
        if capacity != self.memory.capacity:
            _resize(self.memory, capacity)
        self.losses.keep(rows, losses, self.memory)
        self.memory.add(rows)
        self._followed()

    def learn_abnormal(self, rows: Vectors, losses: Floats) -> None:
        """Remember features [n, width] of typical abnormal lines, never as normal: they sharpen the boundary."""
        self.losses.keep(rows, losses, self.memory)
        self.memory.remember_abnormal(rows)
        self._followed()

    def adopt(self, features: Mapping[str, NDArray[Any]], width: int) -> None:
        """Remember the features [m, width] that another program kept, by the name of each file; every row once. Fit."""
        for name, part in features.items():
            if part.ndim != 2 or part.shape[1] != width:
                raise CorruptStateError(f"{name}: rows {list(part.shape)}, the model's features are {width} wide")
        rows = np.concatenate([checked_rows(part, width, name) for name, part in features.items()])
        _, first = np.unique(rows, axis=0, return_index=True)
        self.memory.add(rows[np.sort(first)], source="adopted")
        for detector in self.detectors.values():
            with suppress(NotReadyError):  # too few rows for this one, or without their lines
                detector.fit()

    def judge(self, rows: Vectors, losses: Floats | None) -> Verdict | None:
        """Score features [n, width]; None while too little is remembered. Changes nothing that is kept."""
        if losses is not None:
            self.losses.note(rows, losses)
        try:
            scores = self.active.decision_function(rows)
        except NotReadyError:
            return None
        try:
            return Verdict(scores, scores > self.threshold)
        except NotReadyError:
            return Verdict(scores, None)

    @property
    def threshold(self) -> float:
        """The score above which a line is abnormal; raise `NotReadyError` before the first fit.

        An ensemble that was not fitted itself, only its members, takes the place in its calibration that a share
        `contamination` of normal lines exceeds.
        """
        try:
            return self.active.threshold_
        except NotReadyError:
            if self.method != ENSEMBLE:
                raise
        for member in self.detectors.values():
            _ = member.threshold_  # raises for one that was not fitted
        return float(np.nextafter(self.ensemble.calibration().threshold(self.ensemble.contamination), -np.inf))

    def _followed(self) -> None:
        for detector in (*self.detectors.values(), self.ensemble):
            detector.follow()


def _resize(memory: FeatureMemory, capacity: int) -> None:
    """Let a memory keep at most `capacity` rows; when there are more, they melt together under new ids."""
    old = memory.normal
    if capacity >= len(old):
        old.capacity = capacity
        return
    smaller = FeatureMemory(capacity).normal
    smaller.load_state_dict({**smaller.state_dict(), "next_id": old.state_dict()["next_id"]})
    smaller.merge(old)
    smaller.changes = old.changes + 1  # no detector may take it for the memory that it knows
    memory.normal = smaller
