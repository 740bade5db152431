"""Is an ensemble as good as promised on sets that come with scikit-learn?"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.metrics import average_precision_score, roc_auc_score

from jamais.detectors import Ensemble
from jamais.detectors.detector import Detector

KINDS = ("knn", "lof", "iforest", "cluster", "reconstruction")


class Noise(Detector):
    """Knows nothing: its score is a hash of the row's bytes."""

    def __init__(self, contamination: float = 0.1, memory: Any = None) -> None:
        super().__init__(contamination, memory)

    def settings(self) -> dict[str, Any]:
        return {"contamination": self.contamination}

    def _refit(self) -> None: ...

    def _scores(self, rows: Any) -> Any:
        return np.array([np.random.default_rng(list(row.tobytes())).normal() for row in rows])

    _unseen_scores = _scores


def sets() -> dict[str, tuple[Any, Any, Any]]:
    """Normal rows to fit, rows to judge, and which of these are abnormal."""
    digits, wine, cancer = load_digits(), load_wine(), load_breast_cancer()
    given = {"cancer": (cancer.data, cancer.target == 1)}
    given |= {f"wine without {c}": (wine.data, wine.target != c) for c in range(3)}
    given |= {f"digit {c}": (digits.data, digits.target == c) for c in (1, 3, 4, 8, 9)}
    rng = np.random.default_rng(0)
    loads = rng.normal(size=(3, 12))
    flat = np.concatenate([rng.normal(size=(700, 3)) @ loads + s * rng.normal(size=(700, 12)) for s in (0.2, 0.6)])
    given["subspace"] = (flat, np.arange(1400) < 700)
    centres, spreads = 4.0 * rng.normal(size=(8, 10)), np.exp(0.7 * rng.normal(size=8))
    cluster = rng.integers(0, 8, size=1400)
    wide = np.where(np.arange(1400) < 700, 1.0, 2.2)[:, None] * rng.normal(size=(1400, 10))
    given["clusters of unlike spread"] = (centres[cluster] + spreads[cluster][:, None] * wide, np.arange(1400) < 700)
    found = {}
    for name, (rows, normal) in given.items():
        inside, outside = rng.permutation(np.flatnonzero(normal)), rng.permutation(np.flatnonzero(~normal))
        n = int(0.6 * len(inside))
        asked = np.concatenate([inside[n:], outside[: max(10, n // 6)]])
        mean, spread = rows[inside[:n]].mean(axis=0), rows[inside[:n]].std(axis=0)
        scaled = ((rows - mean) / np.where(spread > 0.1, spread, 1.0)).astype(np.float32)
        found[name] = (scaled[inside[:n]], scaled[asked], ~normal[asked])
    return found


@cache
def quality() -> dict[str, Any]:
    """Mean AUROC and average precision over the sets, [2], of each member and of ensembles."""
    table: dict[str, list[Any]] = {}
    for known, asked, abnormal in sets().values():
        plain = Ensemble().fit(known)
        judges = {**plain.detectors, "fisher": plain, "stouffer": Ensemble(method="stouffer").fit(known)}
        judges["with noise"] = Ensemble([*KINDS, Noise()]).fit(known)
        for name, judge in judges.items():
            scores = judge.decision_function(asked)
            both = roc_auc_score(abnormal, scores), average_precision_score(abnormal, scores)
            table.setdefault(name, []).append(both)
    return {name: np.mean(values, axis=0) for name, values in table.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fisher", "stouffer", "with noise"])
def test_it_is_at_least_as_good_as_its_members_on_the_average_of_sets(name: str) -> None:
    found = quality()
    members = np.array([found[kind] for kind in KINDS])
    assert (found[name] >= members.mean(axis=0)).all()
    assert (found[name] >= np.median(members, axis=0) - 0.01).all()
    assert (found[name] >= members.max(axis=0) - 0.005).all()


@pytest.mark.slow
def test_a_noise_member_costs_nothing() -> None:
    found = quality()
    assert found["with noise"] == pytest.approx(found["fisher"], abs=0.005)
