"""How is a saved log watcher shown in a folder, so that other programs find what they know in it?

config.json  model.safetensors  vocab.txt  tokenizer.json  tokenizer_config.json    the encoder, as a TinyLogBERT
detectors/knn_features.npy  detectors/knn_params.json                               the memory of normal vectors
detectors/detector_config.json  detectors/ensemble_performance.json                 what is asked of it, and known
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

from jamais.detectors.calibration import Calibration
from jamais.models.tinylogbert.shown import encoder_arrangement
from jamais.persistence.faces.arrangement import Arrangement
from jamais.types import StateTree

_ENCODER, _MEMORY = "/meaning/encoder", "/meaning/memory"


def arrangement(tree: StateTree) -> Arrangement:
    """Say which files show which parts of a `LogRecipe`'s state."""
    encoder = encoder_arrangement(tree["meaning"]["encoder"], _ENCODER)
    return replace(
        encoder,
        arrays={"detectors/knn_features.npy": f"{_MEMORY}/rows"},
        parts={"detectors/knn_params.json": _MEMORY},
        derived={
            **encoder.derived,
            "detectors/detector_config.json": _text(_asked(tree)),
            "detectors/ensemble_performance.json": _text(_known(tree)),
        },
    )


def _asked(tree: StateTree) -> dict[str, Any]:
    """What the detector was set to."""
    settings = tree["settings"]
    return {
        "method": settings["method"],
        "n_neighbors": settings["memory"]["n_neighbors"],
        "metric": "cosine",
        "memory_capacity": settings["memory"]["capacity"],
        "alarm_rate": tree["alarm_rate"],
    }


def _known(tree: StateTree) -> dict[str, Any]:
    """What is known of how well it does: the calibration on normal rows, and nothing that needs labels."""
    calibration, rate = Calibration(), tree["alarm_rate"]
    calibration.load_state_dict(tree["calibration"])
    rows = calibration.n_rows
    member = {
        "weight": 1.0,
        "scores": _rows(tree["settings"]),
        "calibration_rows": rows,
        "alarm_rate": rate,
        "threshold": _finite(calibration.threshold(rate)) if rows else None,
        "threshold_is_extrapolated": rate < calibration.finest_rate,
    }
    return {"members": {tree["settings"]["method"]: member}, "evaluated_on_labels": None}


def _rows(settings: dict[str, Any]) -> str:
    return "sessions" if settings["group_by"] else "windows" if settings["window"] else "lines"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _text(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
