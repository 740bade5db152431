"""How does a detector look to scikit-learn?

There, higher is more normal and -1 is an outlier, settings are checked by `fit`, and `contamination` is the share
of outliers among the very rows that were fitted: `fit_predict(X)` is `fit(X).predict(X)`. A row just learned has
itself among what is remembered, so `offset_` is not quite the detector's own `threshold_`, which comes from
scores of each row without itself. `set_alarm_rate` gives a threshold that holds for new rows.
"""

from __future__ import annotations

import copy
import inspect
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from jamais.errors import InputError, MissingExtraError, NotReadyError
from jamais.memory.cover import CoverMemory
from jamais.memory.feature_memory import CALIBRATION_ROWS, DEFAULT_CAPACITY, FeatureMemory
from jamais.types import Floats, Ints

if TYPE_CHECKING:
    from jamais.detectors.detector import Detector


def estimator(detector: Detector) -> Any:
    """Give an unfitted estimator with the settings of `detector` and a memory like its own, without the rows.

    Raise `MissingExtraError` where scikit-learn is not installed.
    """
    return estimator_class(type(detector))(**detector.settings(), memory=_like(detector.memory))


def fitted(detector: Detector) -> Any:
    """Give a fitted estimator that scores with `detector` itself, not with a copy: both learn together."""
    made = estimator(detector)
    made.detector_ = detector
    made.n_features_in_ = detector.n_features_in_
    made.offset_ = -detector.threshold_
    return made


@cache
def estimator_class(kind: type[Detector]) -> type[Any]:
    """Give the class of estimators whose parameters are those of a class of detectors; always the same one."""
    try:
        from sklearn.base import BaseEstimator, OutlierMixin
    except ImportError as missing:
        raise MissingExtraError(f"{kind.__name__}.as_sklearn()", "sklearn") from missing

    def keep_parameters(self: Any, *given: Any, **named: Any) -> None:
        bound = signature.bind(self, *given, **named)
        bound.apply_defaults()
        for name in list(signature.parameters)[1:]:
            setattr(self, name, bound.arguments[name])

    signature = inspect.signature(kind.__init__)
    keep_parameters.__signature__ = signature  # type: ignore[attr-defined]  # where scikit-learn looks for parameters
    name = f"{kind.__name__}Estimator"
    body = {"__init__": keep_parameters, "__module__": __name__, "__doc__": kind.__doc__, "_kind": kind}
    return type(name, (_Face, OutlierMixin, BaseEstimator), body)


class _Face:
    """All methods; scikit-learn's own come from the base classes that `estimator_class` adds."""

    _kind: type[Detector]

    def fit(self, X: Any, y: object = None) -> Any:
        """Learn the rows `X` [n, width] in place of all before; a share `contamination` of them are outliers."""
        rows = self._validated(X, reset=True)
        self.detector_ = self._fitted_detector(rows)
        self.offset_ = _offset(self.detector_, rows)
        return self

    def partial_fit(self, X: Any, y: object = None) -> Any:
        """Learn the rows `X` [n, width] as well, all as normal ones; the first call is `fit`.

        `offset_` stays, unless `set_alarm_rate` has chosen it: then it moves so that the rate holds.
        """
        if not hasattr(self, "detector_"):
            return self.fit(X)
        self.detector_.partial_fit(self._validated(X, reset=False))
        if self.detector_._alarm_rate is not None:
            self.offset_ = -self.detector_.threshold_
        return self

    def set_alarm_rate(self, rate: float) -> Any:
        """Move `offset_` so that a share `rate` of new normal rows are outliers, until the next `fit`; no refit."""
        self._checked()
        self.offset_ = -self.detector_.set_alarm_rate(rate).threshold_
        return self

    def score_samples(self, X: Any) -> Floats:
        """Return a score [n] for each row of `X` [n, width]; lower is more abnormal."""
        return -self._checked().decision_function(self._validated(X, reset=False))

    def decision_function(self, X: Any) -> Floats:
        """Return `score_samples(X) - offset_` [n]; below 0 are outliers."""
        return np.asarray(self.score_samples(X) - self.offset_)

    def predict(self, X: Any) -> Ints:
        """Return -1 [n] for outliers, else 1."""
        return np.where(self.decision_function(X) >= 0, 1, -1)

    def fit_predict(self, X: Any, y: object = None) -> Ints:
        """Fit on `X` and return its labels: what `fit(X).predict(X)` returns."""
        labels: Ints = self.fit(X).predict(X)
        return labels

    def p_value(self, X: Any) -> Floats:
        """Return how often normal rows score at least as abnormal, [n]."""
        return self._checked().p_value(self._validated(X, reset=False))

    def __reduce__(self) -> Any:
        # The class is made when asked for, so a pickle names the detector's class instead.
        return _blank, (self._kind,), self.__getstate__()

    def _fitted_detector(self, rows: Any) -> Detector:
        # A copy, so that neither a memory nor other detectors given as parameters are changed.
        detector = self._kind(**copy.deepcopy(self.get_params(deep=False)))  # type: ignore[attr-defined]
        try:
            return detector.fit(rows)
        except NotReadyError as too_few:
            raise InputError(f"{too_few}; got n_samples = {len(rows)}") from None

    def _checked(self) -> Detector:
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self)
        return self.detector_

    def _validated(self, X: Any, *, reset: bool) -> Any:
        from sklearn.utils.validation import validate_data

        if not reset:
            self._checked()
        return validate_data(self, X, reset=reset, ensure_min_samples=2 if reset else 1)


def _blank(kind: type[Detector]) -> Any:
    made = object.__new__(estimator_class(kind))
    for name, parameter in list(inspect.signature(kind.__init__).parameters.items())[1:]:
        setattr(made, name, parameter.default)  # a pickle of an older version may not know all of them
    return made


def _offset(detector: Detector, rows: Any) -> float:
    """Give the score, as scikit-learn turns it, below which a share `contamination` of fitted rows lies."""
    scores = detector.decision_function(rows)
    threshold = float(np.quantile(scores, 1.0 - detector.contamination))
    # Rows that all lie on themselves (one neighbour) say nothing about new ones.
    return -(threshold if threshold > scores.min() else detector.threshold_)


def _like(memory: FeatureMemory) -> Any:
    """Give what makes a memory with the same limits and no rows, in the simplest form that says it all."""
    normal, calibration = memory.normal, memory.calibration
    plain = (calibration.capacity, calibration.seed) == (CALIBRATION_ROWS, 0)
    if plain and type(normal) is CoverMemory and normal.radius == 0.0:
        return None if normal.capacity == DEFAULT_CAPACITY else normal.capacity
    empty = copy.deepcopy(memory)
    empty.clear()
    return empty
