"""How well has each detector done so far, as values that go into a JSON file?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from jamais.detectors.calibration.conformal import Calibration
from jamais.types import Bools, Floats


@dataclass(frozen=True)
class Labelled:
    """Nats [n, m] of rows that a person has judged, and which of them are abnormal [n]."""

    nats: Floats
    abnormal: Bools

    def beside(self, normal_nats: Floats) -> tuple[Floats, Bools]:
        """Put these rows beside rows known to be normal [k, m]: nats [n + k, m], and which are abnormal."""
        more = np.zeros(len(normal_nats), dtype=bool)
        return np.concatenate([self.nats, normal_nats]), np.concatenate([self.abnormal, more])


def performance(
    calibrations: Mapping[str, Calibration],
    joint: Calibration,
    alarm_rate: float,
    heard: Mapping[str, tuple[float, float]],
    labelled: Labelled | None,
    joint_scores: Floats | None,
) -> dict[str, Any]:
    """Tell thresholds at `alarm_rate`, `heard` weight and agreement, and the quality on labels, by member."""
    columns = None if labelled is None else labelled.nats.T
    members = {
        name: {
            "weight": float(heard[name][0]),
            "agreement": float(heard[name][1]),
            **_calibrated(calibration, alarm_rate),
            **_judged(None if columns is None else columns[j], labelled),
        }
        for j, (name, calibration) in enumerate(calibrations.items())
    }
    counts = None
    if labelled is not None:
        counts = {"normal": int((~labelled.abnormal).sum()), "abnormal": int(labelled.abnormal.sum())}
    ensemble = {**_calibrated(joint, alarm_rate), **_judged(joint_scores, labelled)}
    return {"members": members, "ensemble": ensemble, "evaluated_on_labels": counts}


def auroc(scores: Floats, abnormal: Bools) -> float:
    """Return how often an abnormal row scores higher than a normal one, ties counting half."""
    values, places = np.unique(scores, return_inverse=True)
    bad = np.bincount(places, abnormal, minlength=len(values))
    good = np.bincount(places, ~abnormal, minlength=len(values))
    won = bad * (np.cumsum(good) - good / 2.0)
    return float(won.sum() / (bad.sum() * good.sum()))


def average_precision(scores: Floats, abnormal: Bools) -> float:
    """Return the precision at each recall, averaged; ties enter together."""
    values, places = np.unique(-scores, return_inverse=True)
    bad = np.bincount(places, abnormal, minlength=len(values))
    found, alarms = np.cumsum(bad), np.cumsum(np.bincount(places, minlength=len(values)))
    return float((bad * found / alarms).sum() / bad.sum())


def _calibrated(calibration: Calibration, alarm_rate: float) -> dict[str, Any]:
    threshold = calibration.threshold(alarm_rate)
    return {
        "calibration_rows": calibration.n_rows,
        "alarm_rate": alarm_rate,
        "threshold": threshold if math.isfinite(threshold) else None,
        "threshold_is_extrapolated": alarm_rate < calibration.finest_rate,
    }


def _judged(scores: Floats | None, labelled: Labelled | None) -> dict[str, float | None]:
    if scores is None or labelled is None:
        return {"auroc": None, "average_precision": None}
    abnormal = labelled.abnormal
    return {"auroc": auroc(scores, abnormal), "average_precision": average_precision(scores, abnormal)}
