"""What else do users of PyOD type? Probabilities, confidence, abstention and settings, under PyOD's names."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, Self

import numpy as np

from jamais.detectors.calibration.conformal import Calibration
from jamais.detectors.training import Training
from jamais.errors import SettingsError
from jamais.memory.feature_memory import FeatureMemory
from jamais.types import Floats, Ints

_METHODS = ("conformal", "linear", "unify")
_TINY = 1e-300


class _PyODFace:
    """The part of a detector that only answers, from its scores and its threshold."""

    contamination: float
    memory: FeatureMemory
    _alarm_rate: float | None

    @property
    def decision_scores_(self) -> Floats:
        """Scores [n] of the rows given to `fit`; not saved (score the rows again after loading)."""
        return self._fitted().scores_of_fit(self.name).copy()

    @property
    def labels_(self) -> Ints:
        """1 [n] for rows given to `fit` that score above the threshold, else 0."""
        return (self.decision_scores_ > self.threshold_).astype(np.int64)

    def fit_predict(self, X: Any, y: object = None) -> Ints:
        """Fit on `X` and return `labels_`."""
        self.fit(X)
        return self.labels_

    def predict_proba(self, X: Any, method: str = "conformal", return_confidence: bool = False) -> Any:
        """Return [n, 2]: how normal and how abnormal, adding up to 1; with the verdicts' confidence [n] if asked.

        `conformal` (1 - p-value), or PyOD's `linear` and `unify` (Kriegel et al., SDM 2011).
        """
        scores = self.decision_function(X)
        if method == "conformal":
            abnormal = 1.0 - self.calibration().p_value(scores)[0]
        else:
            abnormal = probabilities(scores, self._fitted(), method)
        both = np.stack([1.0 - abnormal, abnormal], axis=1)
        return (both, 1.0 - self._doubt(scores)) if return_confidence else both

    def predict_confidence(self, X: Any) -> Floats:
        """Return how sure [n] each verdict is: the chance that it is the same on rows fitted anew (Perini, 2020)."""
        return 1.0 - self._doubt(self.decision_function(X))

    def predict_with_rejection(self, X: Any, T: float = 32) -> Ints:
        """Return what `predict` does, but -2 [n] where it is in doubt whether rows fitted anew would say so.

        In doubt: the chance of either verdict is at least exp(-`T`).

        Perini and Davis, "Unsupervised anomaly detection with rejection", NeurIPS 2023.
        """
        scores = self.decision_function(X)
        doubt = self._doubt(scores)
        unsure = np.minimum(doubt, 1.0 - doubt) >= math.exp(-T)
        return np.where(unsure, -2, (scores > self.threshold_).astype(np.int64))

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the settings by name, as scikit-learn and PyOD do."""
        return self.settings()

    def set_params(self, **params: Any) -> Self:
        """Change settings by name; what is remembered stays, the threshold goes: `fit()` makes one from the memory."""
        if params:
            strange = sorted(set(params) - set(self.settings()))
            if strange:
                raise SettingsError(f"{self.name} has no setting {strange[0]!r}, but {', '.join(self.settings())}")
            kind: type[Any] = type(self)
            self.__dict__.update(kind(**{**self.settings(), **params}, memory=self.memory).__dict__)
        return self

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{name}={value!r}' for name, value in self.settings().items())})"

    def _doubt(self, scores: Floats) -> Floats:
        rate = self.contamination if self._alarm_rate is None else self._alarm_rate
        return doubt_of(scores, self.threshold_, self._fitted(), rate)

    @property
    @abstractmethod
    def name(self) -> str: ...

    @property
    @abstractmethod
    def threshold_(self) -> float: ...

    @abstractmethod
    def settings(self) -> dict[str, Any]: ...

    @abstractmethod
    def fit(self, X: Any = None, y: object = None, *, force: bool = False) -> Any: ...

    @abstractmethod
    def decision_function(self, X: Any) -> Floats: ...

    @abstractmethod
    def calibration(self) -> Calibration: ...

    @abstractmethod
    def _fitted(self) -> Training: ...


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


def doubt_of(scores: Floats, threshold: float, training: Training, rate: float) -> Floats:
    """Return the chance [n] that the verdict on each score turns on rows fitted anew.

    Perini et al., "Quantifying the confidence of anomaly detectors in their example-wise predictions", ECML-PKDD
    2020: a training row scores below with probability p, and n rows leave more than n (1 - `rate`) below.
    """
    n = training.n_rows
    above = n - max(1, int(n * rate))
    p = (1.0 + training.n_at_most(scores)) / (2.0 + n)
    distinct, places = np.unique(p, return_inverse=True)
    more, not_more = _binomial_tails(n, above, distinct)
    return np.where(scores > threshold, not_more[places], more[places])


def _binomial_tails(n: int, k: int, p: Floats) -> tuple[Floats, Floats]:
    """Return P(B > k) and P(B <= k) [m] of a binomial B(n, p), 0 <= k < n: both to full relative precision."""
    a, b = k + 1.0, float(n - k)
    front = math.lgamma(n + 1.0) - math.lgamma(a) - math.lgamma(b) + a * np.log(p) + b * np.log1p(-p)
    low = p < (a + 1.0) / (a + b + 2.0)
    x = np.where(low, p, 1.0 - p)
    first, second = np.where(low, a, b), np.where(low, b, a)
    small = np.minimum(np.exp(front) * _fraction(first, second, x) / first, 1.0)
    return np.where(low, small, 1.0 - small), np.where(low, 1.0 - small, small)


def _fraction(a: Floats, b: Floats, x: Floats) -> Floats:
    """Evaluate the continued fraction of the incomplete beta function, [m] (DLMF 8.17.22, by Lentz's method)."""
    c = np.ones_like(x)
    d = 1.0 / _away(1.0 - (a + b) * x / (a + 1.0))
    value = d
    for m in range(1, 10_000):  # some √n steps are enough; it leaves the loop long before
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / _away(1.0 + step * d)
            c = _away(1.0 + step / c)
            value = value * (c * d)
        if (np.abs(c * d - 1.0) < 1e-15).all():
            break
    return np.asarray(value, dtype=np.float64)


def _away(values: Floats) -> Floats:
    """Keep values [m] from 0, by which Lentz's method divides."""
    return np.where(np.abs(values) < _TINY, _TINY, values)
