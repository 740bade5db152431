"""What do all detectors share? One life over a feature memory: fit, learn more, forget, score, p-value, save.

A detector is this life plus three answers of its own: how it derives its engine from the memory, how it scores
rows, and how it would have scored a remembered row that had not been learned. The last makes p-values valid.

Here is the line that decides "this is abnormal": `Detector.predict`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from numbers import Real
from threading import RLock
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from jamais.detectors.calibration.conformal import Calibration
from jamais.detectors.probabilities import _PyODFace
from jamais.detectors.reasons import Reason, reasons
from jamais.detectors.sharpening import lifted
from jamais.detectors.ties import not_below_their_repeats
from jamais.detectors.training import Training
from jamais.errors import CorruptStateError, InputError, JamaisError, NotReadyError, SettingsError
from jamais.memory.feature_memory import FeatureMemory, RowMemory
from jamais.memory.incoming import checked_rows, checked_whole
from jamais.types import Bools, Floats, Ints, StateTree, Vectors


class Detector(_PyODFace, ABC):
    """Score rows against a memory of normal rows, in PyOD's convention: higher is more abnormal.

    `contamination` is the share of the rows given to `fit` that lie above `threshold_`. `memory` is a capacity in
    rows, a memory with a policy of its own (`CoverMemory`, …), or a `FeatureMemory`, which may be shared.
    """

    fewest_rows = 1
    """Rows that must be remembered before anything can be scored."""
    fewest_to_fit = 2
    """Rows that `fit` wants: each is scored against all the others."""

    def __init__(self, contamination: float, memory: FeatureMemory | RowMemory | int | None) -> None:
        if not (isinstance(contamination, Real) and 0.0 < contamination <= 0.5):
            raise SettingsError(f"{self.name} wants 0 < contamination <= 0.5, got {contamination!r}")
        self.contamination = float(contamination)
        self.memory = _as_memory(memory)
        self._training: Training | None = None
        self._alarm_rate: float | None = None
        self._lock: Any = RLock()  # held while the engine follows the memory; threads may score together
        self._followed: int = -1  # `memory.changes` that the engine knows of
        self._learned: int = 0  # goes up when the engine changes without the memory
        self._calibrated: tuple[tuple[int, ...], Floats, Calibration, Calibration] | None = None

    # What a detector answers itself

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return the arguments it was made with, `contamination` included and `memory` left out, as JSON values."""

    @abstractmethod
    def _refit(self) -> None:
        """Derive the engine from `self.memory` from scratch."""

    def _follow(self) -> None:
        """Bring the engine up to a memory that has changed; the default derives it anew."""
        self._refit()

    @abstractmethod
    def _scores(self, rows: Vectors) -> Floats:
        """Score rows [n, width] -> [n], each by its own bits only; change nothing."""

    @abstractmethod
    def _unseen_scores(self, rows: Vectors) -> Floats:
        """Score remembered rows [n, width] -> [n] as if each had not been learned."""

    def _training_scores(self, rows: Vectors) -> Floats:
        """Score the rows [n, width] that were just fitted -> [n]; the default is `_unseen_scores`."""
        return self._unseen_scores(rows)

    def _shares(self, rows: Vectors, nearest: Vectors) -> Floats:
        """Share of each column in the score of each row, [n, width]; the default looks at the nearest remembered."""
        squares = np.subtract(rows, nearest, dtype=np.float64) ** 2
        return np.asarray(squares, dtype=np.float64)

    def _engine_state(self) -> StateTree:
        """Return what cannot be derived from the memory again, bit for bit."""
        return {}

    def _load_engine(self, tree: StateTree) -> None:
        """Take over what `_engine_state` gave; the default derives the engine from the memory."""
        self._refit()

    # The life

    def fit(self, X: Any = None, y: object = None, *, force: bool = False) -> Self:
        """Forget everything and learn the rows `X` [n, width] as normal; set `decision_scores_` and `threshold_`.

        Without `X`, derive everything anew from the rows remembered (`memory_features`): only if they have
        changed since, unless `force`. `y` is ignored, as in PyOD. Raise `NotReadyError` on too few rows.
        """
        if X is None:
            if force or self._training is None or self._followed != self.memory.changes:
                self._need(int(self.memory.counts.sum()), self.fewest_to_fit)
                self.memory.draw_calibration()
                self._refit_whole(self.memory.rows, self.memory.counts)
            return self
        rows = checked_rows(X, None, self.name)
        self._need(len(rows), self.fewest_to_fit)
        with self._as_before_on_failure():
            self.memory.clear()
            self.memory.add(rows)
            self._refit_whole(rows, np.ones(len(rows), dtype=np.int64))
        return self

    def partial_fit(
        self,
        X: Any,
        y: object = None,
        *,
        trust: str = "normal",
        counts: Ints | None = None,
        times: Ints | None = None,
        source: str = "",
    ) -> Self:
        """Learn the rows `X` [n, width] as well; a threshold from `contamination` stays as `fit` set it.

        `trust="normal"`: you vouch for the rows, all are learned. `trust="unknown"`: rows that look normal refresh
        counts and dates of what is remembered, the others wait in `memory.quarantine`; being seen often never
        releases them, only `memory.release(ids)` does. `counts` [n] and `times` [n] (microseconds) go beside them.
        """
        rows = checked_rows(X, self.memory.width, self.name)
        counts, times = (
            None if given is None else checked_whole(given, len(rows), f"{self.name}, {name}")
            for name, given in (("counts", counts), ("times", times))
        )
        if counts is not None and trust == "unknown":
            raise InputError("counts go with trust='normal' only: give each row of unknown trust by itself")
        if trust == "normal":
            self.memory.add(rows, counts, times, source=source)
        elif trust == "unknown":
            self._take_unknown(rows, times, source)
        else:
            raise SettingsError(f"trust is 'normal' or 'unknown', got {trust!r}")
        self._up_to_date()
        return self

    def feedback(self, X: Any, labels: Sequence[int | None] | NDArray[Any]) -> Self:
        """Take a person's answers on rows `X` [n, width]: 0 is learned as normal, 1 is remembered as abnormal."""
        rows = checked_rows(X, self.memory.width, self.name)
        if len(labels) != len(rows) or not all(one is None or (np.ndim(one) == 0 and one in (0, 1)) for one in labels):
            raise InputError(f"{len(rows)} rows, {len(labels)} labels {labels!s:.60}: give 0, 1 or None for each row")
        normal, abnormal = (np.array([one is not None and one == wanted for one in labels], bool) for wanted in (0, 1))
        if normal.any():
            self.memory.add(rows[normal], source="feedback")
        if abnormal.any():
            self.memory.remember_abnormal(rows[abnormal], source="feedback")
        self._up_to_date()
        return self

    def forget(self, ids: Any) -> int:
        """Drop remembered rows by id; return how many there were."""
        n_gone = self.memory.forget(checked_whole(ids, None, f"{self.name}, ids"))
        self._up_to_date()
        return n_gone

    def follow(self) -> Self:
        """Bring a fitted engine up to a memory that others have changed; one never fitted is made when it is needed."""
        if self._training is None:
            self._followed = -1
        else:
            self._up_to_date()
        return self

    def decision_function(self, X: Any) -> Floats:
        """Return a score [n] for each row of `X` [n, width]; higher is more abnormal, a row's own bits only."""
        rows = self._ready(X)
        return self._sharpened(self._scores(rows), rows)

    def unseen_scores(self, X: Any) -> Floats:
        """Score remembered rows `X` [n, width] -> [n] as if each had not been learned and all the others had."""
        return self._unseen_scores(self._ready(X))

    def predict(self, X: Any, return_confidence: bool = False) -> Any:
        """Return 1 [n] for rows whose score exceeds `threshold_`, else 0; with their confidence [n] if asked."""
        scores = self.decision_function(X)
        abnormal = (scores > self.threshold_).astype(np.int64)
        return (abnormal, 1.0 - self._doubt(scores)) if return_confidence else abnormal

    def p_value(self, X: Any) -> Floats:
        """Return how often normal rows score at least as high, [n]; P(p <= a) <= a on rows like those learned."""
        return self.calibration().p_value(self.decision_function(X))[0]

    def p_extrapolated(self, X: Any) -> Bools:
        """Say [n] which p-values lie beyond all calibration rows and come from the fitted tail."""
        return self.calibration().p_value(self.decision_function(X))[1]

    def set_alarm_rate(self, rate: float) -> Self:
        """Put `threshold_` where a share `rate` of normal rows lies above it, until the next `fit`; no refit.

        The threshold moves as more is learned, so that the rate holds.
        """
        if not (isinstance(rate, Real) and 0.0 < rate < 1.0):
            raise SettingsError(f"the alarm rate is a share between 0 and 1, for example 0.001, got {rate}")
        self.calibration()
        self._alarm_rate = float(rate)
        return self

    def explain(self, X: Any, n_nearest: int = 3, n_features: int = 5) -> list[Reason]:
        """Say of each row of `X` [n, width] what it is near to, and which columns make it far."""
        rows = self._ready(X)
        if n_nearest < 1 or n_features < 0:
            raise SettingsError(f"explain wants n_nearest >= 1 and n_features >= 0, got {n_nearest}, {n_features}")
        scores = self.decision_function(rows)
        p_values = self.calibration().p_value(scores)[0]
        return reasons(self.memory, rows, scores, p_values, self.threshold_, self._shares, n_nearest, n_features)

    def calibration(self) -> Calibration:
        """Give the calibration of scores as they are now: that of the sampled rows, each as if not learned."""
        return self._calibrations()[2]

    def as_sklearn(self) -> Any:
        """Give an unfitted estimator of scikit-learn with the same settings; it needs scikit-learn installed."""
        from jamais.detectors.sklearn_face import estimator

        return estimator(self)

    # What was found

    @property
    def name(self) -> str:
        """The name of the class."""
        return type(self).__name__

    @property
    def memory_features(self) -> Vectors | None:
        """The normal rows remembered [m, width], read-only; None before the first."""
        return self.memory.rows if len(self.memory) else None

    @property
    def n_features_in_(self) -> int:
        """Width of the rows."""
        self._need_fit()
        return int(self.memory.width or 0)

    @property
    def threshold_(self) -> float:
        """The score above which rows are abnormal."""
        if self._alarm_rate is None:
            return self._fitted().threshold
        return math.nextafter(self.calibration().threshold(self._alarm_rate), -math.inf)

    def state_dict(self) -> StateTree:
        """Return all that is needed to go on exactly; `decision_scores_` are left out, they grow with the data."""
        self._up_to_date()
        return {
            "settings": self.settings(),
            "memory": self.memory.state_dict(),
            "training": None if self._training is None else self._training.tree(),
            "alarm_rate": self._alarm_rate,
            "engine": self._engine_state() if self._is_ready() else {},
        }

    def load_state_dict(self, tree: StateTree) -> None:
        """Become the detector of a state, settings included; raise `CorruptStateError` and change nothing."""
        try:
            loaded = type(self)(**tree["settings"])
            loaded.memory.load_state_dict(tree["memory"])
            loaded._resume(tree)
        except CorruptStateError:
            raise
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, JamaisError) as error:
            raise CorruptStateError(f"not the state of a {self.name} ({error}): load another version") from None
        self.__dict__.update(loaded.__dict__)

    # How

    def _resume(self, tree: StateTree) -> None:
        """Take over from a state all but settings and memory."""
        self._training = None if tree["training"] is None else Training.of_tree(tree["training"])
        self._alarm_rate = None if tree["alarm_rate"] is None else float(tree["alarm_rate"])
        if self._is_ready():
            self._load_engine(tree["engine"])
            self._followed = self.memory.changes

    def _refit_whole(self, rows: Vectors, counts: Ints) -> None:
        """Derive all anew, where `rows` [m, width] were given `counts` [m] times: millions of repeats cost nothing."""
        self._refit()
        self._followed = self.memory.changes
        self._learned += 1
        self._alarm_rate = None
        self._training = Training.of(np.repeat(self._training_scores(rows), counts), self.contamination)

    def _take_unknown(self, rows: Vectors, times: Ints | None, source: str) -> None:
        """Let rows that look normal refresh what is remembered; put the others into quarantine."""
        looks_normal = self.predict(rows) == 0
        self.memory.refresh(rows[looks_normal], None if times is None else times[looks_normal])
        self.memory.detain(rows[~looks_normal], None if times is None else times[~looks_normal], source=source)

    @contextmanager
    def _as_before_on_failure(self) -> Iterator[None]:
        """Bring back memory, engine and threshold, bit for bit, should what follows fail half-way."""
        whole = self._is_ready() and self._followed == self.memory.changes
        own, engine = dict(self.__dict__), self._engine_state() if whole else None
        parts: list[Any] = [self.memory.normal, self.memory.calibration, self.memory.abnormal, self.memory.quarantine]
        before = [part.state_dict() for part in parts]
        try:
            yield
        except BaseException:  # the user's patience included
            for part, tree in zip(parts, before, strict=True):
                part.load_state_dict(tree)
            self.__dict__.update(own, _calibrated=None)
            if engine is not None:
                self._load_engine(engine)
            self._followed = -1 if engine is None else self.memory.changes
            raise

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=RLock())

    def _up_to_date(self) -> None:
        """Let the engine follow the memory if that has changed, here or by another that shares it."""
        if self._followed == self.memory.changes:
            return
        with self._lock:
            now, followed = self.memory.changes, self._followed
            if followed != now:
                self._followed = -1  # so it is should the engine fail half-way: then it is derived anew
                if self._is_ready():
                    (self._refit if followed < 0 else self._follow)()
                    self._followed = now

    def _ready(self, X: Any) -> Vectors:
        """Check the rows, and that there is something to score them against."""
        self._need_fit()
        rows = checked_rows(X, self.memory.width, self.name)
        self._up_to_date()
        return rows

    def _is_ready(self) -> bool:
        return len(self.memory) > 0 and int(self.memory.counts.sum()) >= self.fewest_rows

    def _need(self, n_rows: int, fewest: int) -> None:
        if n_rows < fewest:
            raise NotReadyError(f"{self.name} needs {fewest} remembered rows, has {n_rows}: call fit() with more rows")

    def _need_fit(self) -> None:
        self._need(int(self.memory.counts.sum()), self.fewest_rows)

    def _fitted(self) -> Training:
        if self._training is None:
            raise NotReadyError(f"{self.name} has no threshold yet: call fit() first")
        return self._training

    def _revision(self) -> tuple[int, ...]:
        """Tell apart any two moments between which a score may have changed."""
        return self.memory.changes, self._learned

    def _calibrations(self) -> tuple[Floats, Calibration, Calibration]:
        """Give the unseen scores of the calibration rows, and their calibrations before and after sharpening.

        Made once per change.
        """
        self._need_fit()
        self._up_to_date()
        now = self._revision()
        if self._calibrated is None or self._calibrated[0] != now:
            rows = self.memory.calibration.rows
            if not len(rows):
                raise NotReadyError(f"{self.name} has no calibration rows: call fit() or partial_fit() first")
            scores = not_below_their_repeats(self._unseen_scores(rows), rows, self.memory, self._scores)
            plain = sharp = Calibration.of(scores)
            if len(self.memory.abnormal):
                sharp = Calibration.of(lifted(scores, rows, self.memory, plain, own=True))
            self._calibrated = (now, scores, plain, sharp)
        return self._calibrated[1:]

    def _sharpened(self, scores: Floats, rows: Vectors) -> Floats:
        if not len(self.memory.abnormal) or not len(rows):
            return scores
        return lifted(scores, rows, self.memory, self._calibrations()[1])


def _as_memory(memory: FeatureMemory | RowMemory | int | None) -> FeatureMemory:
    if isinstance(memory, FeatureMemory):
        return memory
    if isinstance(memory, bool | float | str | list | tuple):
        raise SettingsError(f"memory is a number of rows, a memory with a policy or a FeatureMemory, got {memory!r}")
    return FeatureMemory() if memory is None else FeatureMemory(memory)
