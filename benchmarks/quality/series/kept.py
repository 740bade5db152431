"""What did TSB-AD's deep detectors say? Their kept scores (see benchmarks/quality/series_peers/deep.py)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).resolve().parents[2] / "results" / "peers"
METHODS = ("CNN", "OmniAnomaly", "USAD", "AnomalyTransformer")


def kept(method: str, data: str, name: str, folder: Path = FOLDER) -> tuple[NDArray[np.float64], float, float] | None:
    """Return scores [m] of one series and the CPU seconds of fit and score, or None where none were kept."""
    path = folder / f"{method}-{data}.npz"
    if not path.exists():
        return None
    with np.load(path) as scores:
        if name not in scores.files:
            return None
        seconds = json.loads(str(scores["about"]))["cpu_seconds"][name]
        return -scores[name].astype(np.float64), seconds["fit"], seconds["score"]
