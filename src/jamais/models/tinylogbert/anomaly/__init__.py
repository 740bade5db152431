"""Which lines are abnormal? The detectors of a `TinyLogBERT` over one memory of normal features."""

from jamais.models.tinylogbert.anomaly.kinds import METHODS
from jamais.models.tinylogbert.anomaly.masked_loss import LineLosses, MaskedLoss
from jamais.models.tinylogbert.anomaly.methods import CONTAMINATION, FIT_MEMORY_SIZE, AnomalyMethods, Verdict
from jamais.models.tinylogbert.anomaly.state import anomaly_methods_of, anomaly_state

__all__ = [
    "CONTAMINATION",
    "FIT_MEMORY_SIZE",
    "METHODS",
    "AnomalyMethods",
    "LineLosses",
    "MaskedLoss",
    "Verdict",
    "anomaly_methods_of",
    "anomaly_state",
]
