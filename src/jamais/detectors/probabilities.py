"""How would PyOD turn scores into probabilities and confidence?"""

from __future__ import annotations

import math

import numpy as np

from jamais.detectors.training import Training
from jamais.errors import SettingsError
from jamais.types import Floats

_METHODS = ("conformal", "linear", "unify")


def probabilities(scores: Floats, training: Training, method: str) -> Floats:
    """Map scores [n] to [0, 1]: `linear` between the training extremes, or `unify` by the normal distribution.

    One far row among those fitted squeezes `linear` for all others; prefer `conformal`.
    """
    if method == "linear":
        width = training.highest - training.lowest
        return np.clip((scores - training.lowest) / (width if width > 0 else 1.0), 0.0, 1.0)
    if method == "unify":
        z = (scores - training.mean) / ((training.spread if training.spread > 0 else 1.0) * math.sqrt(2.0))
        return np.clip(np.array([math.erf(one) for one in z.tolist()], dtype=np.float64), 0.0, 1.0)
    raise SettingsError(f"probabilities are made by {', '.join(_METHODS)}, got {method!r}")


def confidence(scores: Floats, threshold: float, training: Training, contamination: float) -> Floats:
    """Return the chance [n] that a verdict holds (Perini et al., "Quantifying the confidence of anomaly detectors",
    ECML-PKDD 2020), with the share of training rows below each score taken from their mean and spread.
    """
    n = training.n_rows
    spread = training.spread if training.spread > 0 else 1.0
    share = np.array([0.5 * math.erfc((training.mean - one) / (spread * math.sqrt(2.0))) for one in scores.tolist()])
    posterior = (1.0 + n * share) / (2.0 + n)  # of a training row scoring below this one
    wanted = n - max(1, int(n * contamination))
    sure = np.array([_binomial_above(n, wanted, p) for p in posterior.tolist()], dtype=np.float64)
    return np.where(scores > threshold, sure, 1.0 - sure)


def _binomial_above(n: int, k: int, p: float) -> float:
    """P(Binomial(n, p) > k) by the normal distribution with continuity correction."""
    deviation = math.sqrt(max(n * p * (1.0 - p), 1e-12))
    return 0.5 * math.erfc((k + 0.5 - n * p) / (deviation * math.sqrt(2.0)))
