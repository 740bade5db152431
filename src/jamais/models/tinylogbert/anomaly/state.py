"""How are memory, detectors and their ensemble kept, so that a loaded model judges with the same bits?

config                  the method in use and the fusion mode        detectors/detector_config.json
memory                  rows, counts, ids, calibration rows          detectors/<method>_features.npy: its rows
losses                  the masked loss of each of these rows
detectors.<method>      settings, threshold, engine                  detectors/<method>_params.json
ensemble                weights and record of each member            detectors/ensemble_performance.json
"""

from __future__ import annotations

from typing import Any

from jamais.detectors.detector import Detector
from jamais.errors import CorruptStateError, JamaisError, NotReadyError
from jamais.memory.feature_memory import FeatureMemory
from jamais.models.tinylogbert.anomaly.kinds import METHODS, made
from jamais.models.tinylogbert.anomaly.line_ensemble import LineEnsemble
from jamais.models.tinylogbert.anomaly.methods import AnomalyMethods
from jamais.types import StateTree

_WRONG = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, JamaisError)


def anomaly_state(methods: AnomalyMethods) -> StateTree:
    """Return all that is needed to go on exactly; nothing is refitted on the way back."""
    ensemble = methods.ensemble
    return {
        "config": {"detection_method": methods.method, "fusion_mode": ensemble.method},
        "memory": methods.memory.state_dict(),
        "losses": methods.losses.state_dict(methods.memory),
        "detectors": {name: _kept(one) for name, one in methods.detectors.items()},
        "ensemble": {
            "contamination": ensemble.contamination,
            "random_state": ensemble.random_state,
            "training": None if ensemble._training is None else ensemble._training.tree(),
            "alarm_rate": ensemble._alarm_rate,
            **_record(methods),
        },
    }


def anomaly_methods_of(tree: StateTree, width: int) -> AnomalyMethods:
    """Make the methods of a state over rows of `width`; raise `CorruptStateError` naming the part that does not fit."""
    loaded = AnomalyMethods()
    where = "memory"
    try:
        loaded.memory = FeatureMemory()
        loaded.memory.load_state_dict(tree["memory"])
        if loaded.memory.width not in (None, width):
            raise CorruptStateError(f"rows of width {loaded.memory.width}, the model's are {width} wide")
        where = "losses"
        loaded.losses.load_state_dict(tree["losses"], loaded.memory)
        for name in METHODS:
            where = f"detectors.{name}"
            saved = tree["detectors"][name]
            loaded.detectors[name] = made(name, saved["settings"], loaded.memory, loaded.losses)
        where = "ensemble"
        _resume(loaded, tree)
        where = "config.detection_method"
        loaded.use(tree["config"]["detection_method"])
    except _WRONG as error:
        raise CorruptStateError(f"anomaly.{where}: {error}: load another version") from None
    return loaded


def _resume(loaded: AnomalyMethods, tree: StateTree) -> None:
    saved = tree["ensemble"]
    settings = {name: saved[name] for name in ("contamination", "random_state")}
    loaded.ensemble = LineEnsemble(loaded.detectors, method=tree["config"]["fusion_mode"], **settings)
    members: dict[str, Any] = tree["detectors"]
    if not loaded.ensemble._is_ready():  # else it resumes its members with itself
        for name, one in loaded.detectors.items():
            one._resume(members[name])
    loaded.ensemble._resume({**saved, "engine": {"members": members, "weights": saved["weights"]}})


def _kept(one: Detector) -> StateTree:
    one._up_to_date()
    return {
        "settings": one.settings(),
        "training": None if one._training is None else one._training.tree(),
        "alarm_rate": one._alarm_rate,
        "engine": one._engine_state() if one._is_ready() else {},
    }


def _record(methods: AnomalyMethods) -> StateTree:
    """Tell how each member has done, once all are fitted."""
    try:
        for member in methods.detectors.values():
            _ = member.threshold_
        weights = methods.ensemble.weights
        return {"weights": [weights[name] for name in methods.detectors], "performance": methods.ensemble.performance()}
    except NotReadyError:
        return {"weights": None, "performance": None}
