"""How do the nats of several detectors become one score?"""

from __future__ import annotations

import numpy as np

from jamais.types import Floats

METHODS = ("fisher", "stouffer")
_CALM = 30.0  # nats: up to here, one in 10^13, a member's word counts in full
_MOST = 1e300  # nats of an infinite score, so that a weight of 0 makes them 0
_LEAST = 1e-4  # nats: a p-value of 1 would have an infinite normal deviate


def combined(nats: Floats, weights: Floats, method: str) -> Floats:
    """Join `nats` [n, m] by `weights` [m], which add up to 1, to scores [n]; each row by its own bits only.

    `fisher`: the weighted mean of nats (Fisher, 1925; Good, 1955, with weights). `stouffer`: the weighted sum of
    normal deviates over the norm of the weights (Stouffer, 1949; Lipták, 1958). Neither assumes independence
    here: the score is calibrated by its own distribution on normal rows.
    """
    calm = _calmed(nats)
    if method == "stouffer":
        spread = float(np.sqrt(np.add.reduce(weights * weights)))
        return np.asarray(np.add.reduce(_deviates(calm) * (weights / spread), axis=1), dtype=np.float64)
    return np.asarray(np.add.reduce(calm * weights, axis=1), dtype=np.float64)


def _calmed(nats: Floats) -> Floats:
    """Let nats beyond reason grow by their logarithm only, so that no member outshouts all others; order stays."""
    over = np.clip(nats - _CALM, 0.0, _MOST)
    return np.asarray(np.minimum(nats, _CALM) + np.log1p(over), dtype=np.float64)


# Wichura, "Algorithm AS 241", Applied Statistics 1988, PPND16: numerators and denominators, highest power first.
_CENTRE = (
    (2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
     1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080e0),
    (5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
     5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0),
)  # fmt: skip
_MIDDLE = (
    (7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258e0,
     3.64784832476320460504e0, 5.76949722146069140550e0, 4.63033784615654529590e0, 1.42343711074968357734e0),
    (1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
     6.89767334985100004550e-1, 1.67638483018380384940e0, 2.05319162663775882187e0, 1.0),
)  # fmt: skip
_FAR = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3, 2.65321895265761230930e-2,
     2.96560571828504891230e-1, 1.78482653991729133580e0, 5.46378491116411436990e0, 6.65790464350110377720e0),
    (2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5, 7.86869131145613259100e-4,
     1.48753612908506148525e-2, 1.36929880922735805310e-1, 5.99832206555887937690e-1, 1.0),
)  # fmt: skip


def _deviates(nats: Floats) -> Floats:
    """Return the normal deviate that is exceeded with probability exp(-nats), for nats up to some hundreds."""
    nats = np.maximum(nats, _LEAST)
    below = -np.expm1(-nats)  # 1 - p, exact where p is near 1
    above = np.exp(-nats)
    middle = 0.5 - above
    central = middle * _ratio(_CENTRE, 0.180625 - middle * middle)
    root = np.sqrt(np.where(above < 0.5, nats, -np.log(np.minimum(below, 0.5))))
    tail = np.where(root <= 5.0, _ratio(_MIDDLE, root - 1.6), _ratio(_FAR, root - 5.0))
    return np.asarray(np.where(np.abs(middle) <= 0.425, central, np.sign(middle) * tail), dtype=np.float64)


def _ratio(powers: tuple[tuple[float, ...], tuple[float, ...]], x: Floats) -> Floats:
    upper, lower = (np.zeros_like(x) for _ in powers)
    for above, below in zip(*powers, strict=True):
        upper, lower = upper * x + above, lower * x + below
    return np.asarray(upper / lower, dtype=np.float64)
