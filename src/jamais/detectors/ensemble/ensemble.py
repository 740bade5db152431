"""What do several detectors over one memory say together, as one estimator with one threshold?

Each member's score becomes a p-value by the member's own calibration, in nats; the nats are joined by weights, and
the joint score is calibrated once more. So members may be of any scale, and may depend on one another.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jamais.detectors.calibration.conformal import Calibration
from jamais.detectors.detector import Detector
from jamais.detectors.ensemble.combining import METHODS, combined
from jamais.detectors.ensemble.members import Wanted, described, keep_models, made
from jamais.detectors.ensemble.record import Labelled, performance
from jamais.detectors.ensemble.weights import agreement, from_labels, mixtures, strays, without_labels
from jamais.detectors.reasons import Reason
from jamais.errors import CorruptStateError, NotReadyError, SettingsError
from jamais.memory.feature_memory import FeatureMemory, RowMemory
from jamais.types import Floats, Ints, StateTree, Vectors

_LABELLED_ROWS = 500  # of those a person called normal, the newest


@dataclass(frozen=True)
class _Fusion:
    """All that turns the members' scores into one, for one state of memory and engines."""

    calibrations: dict[str, Calibration]
    """Of the members, without what may be abnormal: by these they speak (`_calm_calibration`)."""
    kept_nats: Floats
    """Of the calibration rows [n, m], each against all the others."""
    agreed: Floats
    weights: Floats
    labelled: Labelled | None


class Ensemble(Detector):
    """Score rows by what several detectors over one memory say together.

    `detectors` are names (`knn`, `lof`, `iforest`, `cluster`, `reconstruction`: the default), detectors, or both; a
    detector over the same `memory` takes part itself, of others an unfitted copy does. `method` is `fisher` or
    `stouffer`. Weights need no labels, and follow them once `feedback` has brought both kinds.
    """

    def __init__(
        self,
        detectors: Iterable[Wanted] | None = None,
        method: str = "fisher",
        contamination: float = 0.1,
        memory: FeatureMemory | RowMemory | int | None = None,
        random_state: int = 0,
    ) -> None:
        super().__init__(contamination, memory)
        if method not in METHODS:
            raise SettingsError(f"Ensemble knows methods {', '.join(METHODS)}, got {method!r}")
        self.method = method
        self.random_state = int(random_state)
        common = {"contamination": self.contamination, "random_state": self.random_state}
        self.detectors = made(detectors, common, self.memory)
        """The members by name."""
        self.fewest_rows = max(one.fewest_rows for one in self.detectors.values())
        self.fewest_to_fit = max(one.fewest_to_fit for one in self.detectors.values())
        self._fused: tuple[tuple[int, ...], _Fusion] | None = None
        self._loaded_weights: tuple[tuple[int, ...], Floats] | None = None

    def settings(self) -> dict[str, Any]:
        names = ("method", "contamination", "random_state")
        return {"detectors": described(self.detectors), **{name: getattr(self, name) for name in names}}

    @property
    def weights(self) -> dict[str, float]:
        """How much each member counts; they add up to 1."""
        self._ready_to_fuse()
        return dict(zip(self.detectors, self._fusion().weights.tolist(), strict=True))

    def performance(self) -> dict[str, Any]:
        """Tell each member's record, as JSON values: weight, calibration, threshold, and how it did on labels."""
        self._ready_to_fuse()
        fusion = self._fusion()
        joint = combined(fusion.labelled.nats, fusion.weights, self.method) if fusion.labelled else None
        return {
            "method": self.method,
            "weights_from": "labels" if fusion.labelled else "normal rows",
            **performance(
                {name: one._calibrations()[1] for name, one in self.detectors.items()},
                self.calibration(),
                self._alarm_rate or self.contamination,
                dict(zip(self.detectors, zip(fusion.weights, fusion.agreed, strict=True), strict=True)),
                fusion.labelled,
                joint,
            ),
        }

    def explain(self, X: Any, n_nearest: int = 3, n_features: int = 5) -> list[Reason]:
        """Say of each row of `X` [n, width] what it is near to, which columns make it far, and what each member says.

        `details["members"]` gives each member's nats (-log p), weight and score.
        """
        found = super().explain(X, n_nearest, n_features)
        scores = self._member_scores(self._ready(X))
        nats = _nats(scores, self._fusion().calibrations)
        weights = self._fusion().weights.tolist()
        return [
            replace(
                reason,
                details={
                    "members": {
                        name: {"nats": float(nats[i, j]), "weight": weights[j], "score": float(scores[i, j])}
                        for j, name in enumerate(self.detectors)
                    }
                },
            )
            for i, reason in enumerate(found)
        ]

    def load_state_dict(self, tree: StateTree) -> None:
        """Become the ensemble of a state, but keep models given from outside to members of the same name."""
        before = self.detectors
        super().load_state_dict(tree)
        keep_models(self.detectors, before)

    # What a detector answers

    def _refit(self) -> None:
        self._follow()

    def _refit_whole(self, rows: Vectors, counts: Ints) -> None:
        for one in self.detectors.values():
            one._refit_whole(rows, counts)
        super()._refit_whole(rows, counts)

    def _follow(self) -> None:
        for one in self.detectors.values():
            one._up_to_date()

    def _revision(self) -> tuple[int, ...]:
        return (*super()._revision(), *(one._learned for one in self.detectors.values()))

    def _scores(self, rows: Vectors) -> Floats:
        fusion = self._fusion()
        return combined(self._heard(rows, fusion.calibrations), fusion.weights, self.method)

    def _unseen_scores(self, rows: Vectors) -> Floats:
        """Combine the members' unseen scores; a calibration row is compared with all the others."""
        fusion = self._fusion()
        if np.array_equal(rows, self.memory.calibration.rows):
            return combined(fusion.kept_nats, fusion.weights, self.method)
        return combined(self._unseen_nats(rows, fusion.calibrations), fusion.weights, self.method)

    def _training_scores(self, rows: Vectors) -> Floats:
        """Combine what the members have just scored, where that was each row as if not learned."""
        fusion = self._fusion()
        heard = [
            fusion.calibrations[name].nats_of_kept(_just_scored(one, rows)) for name, one in self.detectors.items()
        ]
        return combined(np.stack(heard, axis=1), fusion.weights, self.method)

    def _shares(self, rows: Vectors, nearest: Vectors) -> Floats:
        """Mix the members' shares, each as loud as its part in the score."""
        parts = self._heard(rows, self._fusion().calibrations) * self._fusion().weights
        mixed = np.zeros(rows.shape)
        for j, one in enumerate(self.detectors.values()):
            shares = one._shares(rows, nearest)
            totals = np.add.reduce(shares, axis=1)[:, None]
            mixed += parts[:, j : j + 1] * shares / np.where(totals > 0.0, totals, 1.0)
        return mixed

    def _engine_state(self) -> StateTree:
        return {
            "members": {name: _member_state(one) for name, one in self.detectors.items()},
            "weights": self._fusion().weights if len(self.memory.calibration) else None,
        }

    def _load_engine(self, tree: StateTree) -> None:
        if set(tree["members"]) != set(self.detectors):
            raise CorruptStateError(
                f"members: saved {', '.join(tree['members'])}, settings {', '.join(self.detectors)}"
            )
        for name, one in self.detectors.items():
            one._resume(tree["members"][name])
        if tree["weights"] is not None:
            self._loaded_weights = (self._revision(), _checked_weights(tree["weights"], len(self.detectors)))

    # How

    def _ready_to_fuse(self) -> None:
        self._need_fit()
        self._up_to_date()

    def _fusion(self) -> _Fusion:
        """Give calibrations and weights as they are now; made once per change of memory or engines."""
        now = self._revision()
        if self._fused is None or self._fused[0] != now:
            self._fused = (now, self._make_fusion(now))
        return self._fused[1]

    def _make_fusion(self, now: tuple[int, ...]) -> _Fusion:
        if not len(self.memory.calibration):
            raise NotReadyError("Ensemble has no calibration rows: call fit() or partial_fit() first")
        calibrations, kept = {}, []
        for name, one in self.detectors.items():
            scores = one._calibrations()[0]
            calibrations[name] = _calm_calibration(scores, self.contamination)
            kept.append(calibrations[name].nats_of_kept(scores))
        kept_nats = np.stack(kept, axis=1)
        agreed, weights = self._weighed(kept_nats, calibrations)
        labelled = self._labelled(calibrations)
        if self._loaded_weights is not None and self._loaded_weights[0] == now:
            weights = self._loaded_weights[1]
        elif labelled is not None:
            weights = from_labels(*labelled.beside(kept_nats), weights)
        return _Fusion(calibrations, kept_nats, agreed, weights, labelled)

    def _weighed(self, kept_nats: Floats, calibrations: dict[str, Calibration]) -> tuple[Floats, Floats]:
        """Give agreement and weights of the members [m] without a look at labels."""
        rows = self.memory.calibration.rows
        beyond = self._heard(strays(rows), calibrations)
        asked = np.concatenate([kept_nats[: len(beyond)], beyond])
        agreed = agreement(asked)
        return agreed, without_labels(agreed, len(asked), self._heard(mixtures(rows), calibrations))

    def _labelled(self, calibrations: dict[str, Calibration]) -> Labelled | None:
        """Give the nats of the rows that people called normal and abnormal, where both kinds are remembered."""
        named = np.array([source == "feedback" for source in self.memory.normal.sources], dtype=bool)
        normal = self.memory.rows[np.flatnonzero(named)[-_LABELLED_ROWS:]]
        abnormal = self.memory.abnormal.rows
        if not len(normal) or not len(abnormal):
            return None
        nats = np.concatenate([self._unseen_nats(normal, calibrations), self._heard(abnormal, calibrations)])
        return Labelled(nats, np.arange(len(nats)) >= len(normal))

    def _heard(self, rows: Vectors, calibrations: dict[str, Calibration]) -> Floats:
        """Give each member's nats [n, m] for `rows` [n, width]."""
        return _nats(self._member_scores(rows), calibrations)

    def _member_scores(self, rows: Vectors) -> Floats:
        return np.stack([one._scores(rows) for one in self.detectors.values()], axis=1)

    def _unseen_nats(self, rows: Vectors, calibrations: dict[str, Calibration]) -> Floats:
        members = self.detectors.items()
        return np.stack([calibrations[name].nats_of_kept(one._unseen_scores(rows)) for name, one in members], axis=1)


def _nats(scores: Floats, calibrations: dict[str, Calibration]) -> Floats:
    return np.stack([cal.nats(scores[:, j]) for j, cal in enumerate(calibrations.values())], axis=1)


def _just_scored(one: Detector, rows: Vectors) -> Floats:
    """Give the unseen scores of `rows` [n, width], to which the member was fitted the moment before."""
    scores = None if one._training is None else one._training.scores
    kept_as_unseen = type(one)._training_scores is Detector._training_scores
    if kept_as_unseen and scores is not None and len(scores) == len(rows):  # else rows stood for several
        return scores
    return one._unseen_scores(rows)


def _calm_calibration(scores: Floats, contamination: float) -> Calibration:
    """Calibrate a member on its unseen scores [n] without the share that may be abnormal.

    Else abnormal rows among those learned would hush the member for all that are like them. It decides how loud a
    member speaks, not how often the ensemble alarms: that is calibrated on all rows.
    """
    return Calibration.of(scores[scores <= np.quantile(scores, 1.0 - contamination)])


def _member_state(one: Detector) -> StateTree:
    """Return a member's state without its settings and memory, which the ensemble holds."""
    training = None if one._training is None else one._training.tree()
    return {"training": training, "alarm_rate": one._alarm_rate, "engine": one._engine_state()}


def _checked_weights(saved: Any, n_members: int) -> Floats:
    weights = np.array(saved, dtype=np.float64)
    if weights.shape != (n_members,) or not (weights >= 0.0).all() or not abs(weights.sum() - 1.0) < 1e-6:
        raise CorruptStateError(f"ensemble.weights: wanted {n_members} shares of 1, got {weights.tolist()}")
    return weights
