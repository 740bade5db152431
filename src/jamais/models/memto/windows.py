"""How does a trained MEMTO describe the windows of a series to window banks, as one encoder and one criterion?

The encoder: queries averaged over the window. The criterion: how far the last points of the window are from what was
rebuilt (ISD), and their queries from the nearest item (LSD). A bank remembers both for normal windows, so that what
MEMTO always rebuilds badly is no news.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jamais.detectors.windows.described.grid import NOTCHES, STEPS
from jamais.errors import ShapeMismatchError
from jamais.models.memto import scoring
from jamais.models.memto.model import MEMTO
from jamais.types import Floats, StateTree

if TYPE_CHECKING:
    from jamais.detectors.windows.described.trailing import Trailing

MOST = 8.0
"""Spreads from the mean at which MEMTO's inputs are cut: an outage must not drown what is beside it."""
LAST = 8
"""Points at the end of a window that the criterion looks at: it shall fall soon after an anomaly is over."""
_FAR = 64.0  # of the criterion: squared notches of it stay exact in float32
_AT_ONCE = 512  # windows that lie in memory together


class MEMTOWindows:
    """Describe windows of a series by a MEMTO that is trained.

        banks = WindowBanks(encoder=MEMTOWindows(model))

    Windows have `model.config.window` rows of channels in spreads from their mean. Missing values (NaN), and what lies
    before the first row, count as 0, the mean; values beyond +-8 as +-8. A description has the same bits alone and
    among others. Only windows that somebody will look at are described: each costs a pass through the network.
    """

    name = "memto"
    group = "learned"

    def __init__(self, model: MEMTO) -> None:
        self.model = model
        self.w: int = model.config.window
        """Rows of a window."""

    @property
    def width(self) -> int:
        """Numbers of a description: pooled queries, ISD, LSD."""
        return self.model.config.latent_dim + 2

    def of(self, trailing: Trailing) -> Floats:
        """Describe the windows that end at the rows asked about: [tail, width] in whole notches, 0 if not wanted.

        Raise `ShapeMismatchError` for other channels than the model's.
        """
        steps = trailing.steps
        if steps.shape[1] != self.model.n_features:
            raise ShapeMismatchError(f"the encoder wants {self.model.n_features} channels, got {steps.shape[1]}")
        rows = np.clip(np.nan_to_num(steps, nan=0.0) / STEPS, -MOST, MOST).astype(np.float32)
        rows = np.concatenate([np.zeros((self.w - 1, rows.shape[1]), dtype=np.float32), rows])
        described = np.zeros((len(steps) - trailing.first, self.width))
        for start in range(0, len(trailing.wanted), _AT_ONCE):
            ends = trailing.wanted[start : start + _AT_ONCE]
            windows = rows[ends[:, None] + np.arange(self.w)]
            queries, means = scoring.condensed(self.model, windows, LAST)
            criterion = np.minimum(np.sqrt(means), _FAR)
            described[ends - trailing.first] = np.rint(np.concatenate([queries, criterion], axis=1) * NOTCHES)
        return described

    def state_dict(self) -> StateTree:
        """Copy all that is needed to describe with the same bits; what the optimizer remembers is left out."""
        return {**self.model.to_state(), "optimizer": {}}

    def to_state(self) -> StateTree:
        """Copy the state, as `from_state` takes it."""
        return self.state_dict()

    @classmethod
    def from_state(cls, tree: StateTree) -> MEMTOWindows:
        """Make the encoder of a state; raise `CorruptStateError` naming what does not fit."""
        return cls(MEMTO.from_state(tree))
