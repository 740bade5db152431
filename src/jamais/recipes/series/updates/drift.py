"""Has normal moved in a series, and which channels differ?

The windows of neighbouring rows overlap, so that their p-values rise and fall together, while the test wants rows that
exceed independently: it looks at one row in so many as a window is long.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from jamais.learning.drift import ExceedanceTest, whole_pass
from jamais.types import DriftReport

if TYPE_CHECKING:
    from jamais.recipes.series.recipe import SeriesRecipe

NAMED = 5
"""Channels that are told."""
WORTH = 0.05
"""Share of what alarms from which on a channel is told."""
_WANTED = {"row", "p_value", "abnormal", "channels", "shares"}


class Drifting:
    """Follows the verdicts of one pass, frame by frame, in the order of the rows; memory stays bounded."""

    def __init__(self, recipe: SeriesRecipe) -> None:
        self.stride = recipe.banks.past + 1
        """One row of so many is looked at."""
        rows = recipe.banks.calibration(recipe.settings.hindsight).n_rows
        self.test = ExceedanceTest(recipe.settings.drift, max(1, rows // self.stride))
        self._rows = 0
        self._shares: dict[str, float] = {}
        self._n_alarms = 0

    def push(self, frame: pl.DataFrame) -> None:
        """Take more verdicts."""
        at = np.arange(-self._rows % self.stride, len(frame), self.stride)
        self._rows += len(frame)
        self.test.push(frame["p_value"].to_numpy()[at])
        alarms = frame.filter("abnormal")
        self._n_alarms += len(alarms)
        for names, shares in zip(alarms["channels"].to_list(), alarms["shares"].to_list(), strict=True):
            for name, share in zip(names, shares, strict=True):
                self._shares[name] = self._shares.get(name, 0.0) + share

    def report(self) -> DriftReport:
        """Say what was found so far; each row that was looked at stands for those up to the next."""
        found = self.test.report(self._channels())
        times = self._rows / max(1, found.rows)
        whole = replace(
            found,
            rows=self._rows,
            exceedances=round(found.exceedances * times),
            expected=found.expected * times,
        )
        if found.since is None or found.noticed is None:
            return whole
        since = found.since * self.stride
        noticed = min((found.noticed + 1) * self.stride, self._rows) - 1
        rows, share = noticed - since + 1, found.exceedances_noticed / (found.noticed - found.since + 1)
        return replace(whole, since=since, noticed=noticed, exceedances_noticed=round(share * rows))

    def _channels(self) -> list[str]:
        ranked = sorted(self._shares.items(), key=lambda one: (-one[1], one[0]))[:NAMED]
        whole = max(1, self._n_alarms)
        return [
            f"differs: {name}, {share / whole:.0%} of what alarms" for name, share in ranked if share >= WORTH * whole
        ]


def drift_in(recipe: SeriesRecipe, verdicts: pl.DataFrame) -> DriftReport:
    """Test all rows of one `score`; raises InputError when some are missing, such as the normal ones."""
    return whole_pass(Drifting(recipe), verdicts, _WANTED)
