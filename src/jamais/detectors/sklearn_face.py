"""How does a detector look to scikit-learn?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jamais.errors import MissingExtraError

if TYPE_CHECKING:
    from jamais.detectors.detector import Detector


def estimator(detector: Detector) -> Any:
    """Give an unfitted estimator with the settings of `detector`."""
    raise MissingExtraError(f"{detector.name}.as_sklearn()", "sklearn")
