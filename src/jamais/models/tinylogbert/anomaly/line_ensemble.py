"""What do all methods say of a line together, when one of them judges the line itself and not its features?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jamais.detectors.calibration.conformal import Calibration
from jamais.detectors.detector import Detector
from jamais.detectors.ensemble import Ensemble
from jamais.detectors.ensemble.weights import agreement, mixtures, strays, without_labels
from jamais.models.tinylogbert.anomaly.masked_loss import MaskedLoss
from jamais.types import Floats, Vectors


class LineEnsemble(Ensemble):
    """The ensemble of these very detectors, under these names; it follows them and is saved with them.

    Weights without labels come from rows that an ensemble makes. No line has such features, so `MaskedLoss` is not
    asked about them: it counts as much as the others do on average, until labels say otherwise.
    """

    def __init__(
        self,
        detectors: Mapping[str, Detector],
        method: str = "fisher",
        contamination: float = 0.1,
        random_state: int = 0,
    ) -> None:
        members = list(detectors.values())
        super().__init__(members, method, contamination, members[0].memory, random_state)
        self.detectors = dict(detectors)

    def settings(self) -> dict[str, Any]:
        names = ("method", "contamination", "random_state")
        return {"detectors": list(self.detectors), **{name: getattr(self, name) for name in names}}

    def _weighed(self, kept_nats: Floats, calibrations: dict[str, Calibration]) -> tuple[Floats, Floats]:
        asked = np.array([not isinstance(one, MaskedLoss) for one in self.detectors.values()])
        rows = self.memory.calibration.rows
        beyond, mixed = (self._nats_of(made, asked, calibrations) for made in (strays(rows), mixtures(rows)))
        nats = np.concatenate([kept_nats[: len(beyond), asked], beyond])
        agreed = agreement(kept_nats)  # on normal lines alone, which is all that can be said of who is not asked
        agreed[asked] = agreement(nats)
        weights = np.empty(len(asked))
        weights[asked] = without_labels(agreed[asked], len(nats), mixed)
        weights[~asked] = weights[asked].mean()
        return agreed, weights / np.add.reduce(weights)

    def _nats_of(self, made: Vectors, asked: Any, calibrations: dict[str, Calibration]) -> Floats:
        members = zip(self.detectors.values(), calibrations.values(), asked, strict=True)
        return np.stack([cal.nats(one._scores(made)) for one, cal, is_asked in members if is_asked], axis=1)
