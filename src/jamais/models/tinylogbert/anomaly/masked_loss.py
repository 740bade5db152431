"""How badly does the network guess the pieces of a line? The reconstruction method of a `TinyLogBERT`.

The loss cannot be computed from a line's features, only from its pieces: so it is kept beside the features, under
their exact bits, from the moment the line was seen.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Any

import numpy as np

from jamais.detectors.detector import Detector
from jamais.errors import CorruptStateError, InputError, NotReadyError
from jamais.memory.feature_memory import FeatureMemory, RowMemory
from jamais.memory.nearest import NearestRows
from jamais.types import Floats, StateTree, Vectors

_RECENT = 8_192  # lines judged last whose losses are at hand; no state
_PARTS = ("normal", "calibration", "abnormal", "quarantine")
_SPARE = 4_096


class MaskedLoss(Detector):
    """Score lines by `losses`, the mean cross-entropy of their hidden pieces; what is remembered calibrates it.

    Rows are features; a row is scored if its line went through the model lately, or is remembered. Remembered rows
    that came without their line (`partial_fit` with features) borrow the loss of the nearest that came with it.
    """

    def __init__(
        self,
        contamination: float = 0.1,
        memory: FeatureMemory | RowMemory | int | None = None,
        losses: LineLosses | None = None,
    ) -> None:
        super().__init__(contamination, memory)
        self.losses = LineLosses() if losses is None else losses
        self._known: tuple[tuple[int, int], Floats] | None = None

    def settings(self) -> dict[str, Any]:
        return {"contamination": self.contamination}

    def _refit(self) -> None:
        """Nothing to derive: the network is what was learned."""

    def _scores(self, rows: Vectors) -> Floats:
        losses = self.losses.at_hand(rows)
        unknown = np.flatnonzero(np.isnan(losses))
        if len(unknown):
            named = {row.tobytes() for row in self.memory.abnormal.rows}
            strange = sum(row.tobytes() not in named for row in rows[unknown])
            if strange:
                raise InputError(
                    f"the reconstruction of {strange} of {len(rows)} rows is not known, as it takes the pieces of the "
                    "line: judge the lines with model(**inputs) first, or read its anomaly_scores"
                )
            losses[unknown] = self._borrowed(rows[unknown])
        return losses

    def _unseen_scores(self, rows: Vectors) -> Floats:
        losses = self.losses.of(rows)
        unknown = np.isnan(losses)
        if unknown.any():
            losses[unknown] = self._borrowed(rows[unknown])
        return losses

    def _borrowed(self, rows: Vectors) -> Floats:
        """Give each of `rows` [n, width] the loss of the nearest remembered row that came with its line."""
        now = (self.memory.changes, self.losses.changes)
        if self._known is None or self._known[0] != now:
            self._known = (now, self.losses.of(self.memory.rows))
        losses = self._known[1]
        known = np.flatnonzero(~np.isnan(losses))
        if not len(known):
            raise NotReadyError(
                "no remembered row came with its line: call model(**inputs, training_phase=True, update_memory=True)"
            )
        return losses[known[NearestRows(self.memory.rows[known]).nearest(rows, 1)[1][:, 0]]]


class LineLosses:
    """Remember the loss of each line under the bits of its features."""

    def __init__(self) -> None:
        self._kept: dict[bytes, float] = {}
        self._recent: OrderedDict[bytes, float] = OrderedDict()
        self.changes = 0
        """Goes up when losses are kept. Not state."""

    def of(self, rows: Vectors) -> Floats:
        """Give the losses [n] that are kept of remembered rows [n, width]; NaN for rows that came without a line."""
        return np.array([self._kept.get(_key(row), np.nan) for row in rows], dtype=np.float64)

    def at_hand(self, rows: Vectors) -> Floats:
        """Give the losses [n] of rows [n, width], be they kept or of lines judged lately; NaN for others."""
        losses = self.of(rows)
        for row in np.flatnonzero(np.isnan(losses)):
            losses[row] = self._recent.get(_key(rows[row]), np.nan)
        return losses

    def note(self, rows: Vectors, losses: Floats) -> None:
        """Have the losses of lines at hand that were just looked at."""
        for row, loss in zip(rows, losses.tolist(), strict=True):
            self._recent[_key(row)] = loss
        while len(self._recent) > max(_RECENT, len(rows)):
            self._recent.popitem(last=False)

    def keep(self, rows: Vectors, losses: Floats, memory: FeatureMemory) -> None:
        """Keep the losses of lines that are being remembered, as long as `memory` does."""
        self._kept.update(zip(map(_key, rows), losses.tolist(), strict=True))
        self.changes += 1
        parts = [getattr(memory, name).rows for name in _PARTS]
        if len(self._kept) > 2 * sum(map(len, parts)) + len(rows) + _SPARE:
            still = {_key(row) for part in parts for row in part} | {_key(row) for row in rows}
            self._kept = {key: loss for key, loss in self._kept.items() if key in still}

    def state_dict(self, memory: FeatureMemory) -> StateTree:
        """Return the losses of the rows of `memory`, part by part; NaN where none is known."""
        return {name: self.of(getattr(memory, name).rows) for name in _PARTS}

    def load_state_dict(self, tree: StateTree, memory: FeatureMemory) -> None:
        """Take over what `state_dict` gave for the same memory; raise `CorruptStateError` for what does not fit."""
        kept: dict[bytes, float] = {}
        for name in _PARTS:
            rows, losses = getattr(memory, name).rows, tree[name]
            fits = isinstance(losses, np.ndarray) and losses.dtype == np.float64 and losses.shape == (len(rows),)
            if not fits or (losses < 0).any() or np.isinf(losses).any():
                raise CorruptStateError(f"anomaly.losses.{name}: no loss for each of {len(rows)} rows")
            known = ~np.isnan(losses)
            kept.update(zip(map(_key, rows[known]), losses[known].tolist(), strict=True))
        self._kept, self._recent = kept, OrderedDict()
        self.changes += 1


def _key(row: Vectors) -> bytes:
    return hashlib.blake2b(row.tobytes(), digest_size=16).digest()
