"""How well do scores and verdicts agree with labels? Arrays in, numbers out.

Series, where stretches count rather than rows, have figures of their own in `jamais.evaluation.series`.
"""

from jamais.evaluation.clustering import OldNew, ari, clustering_accuracy, label_shift, nmi, old_new_accuracy
from jamais.evaluation.ranking import (
    AlarmQuality,
    BestF1,
    Difference,
    alarm_quality,
    at_threshold,
    auroc,
    average_precision,
    best_f1,
    bootstrap_difference,
)

__all__ = [
    "AlarmQuality",
    "BestF1",
    "Difference",
    "OldNew",
    "alarm_quality",
    "ari",
    "at_threshold",
    "auroc",
    "average_precision",
    "best_f1",
    "bootstrap_difference",
    "clustering_accuracy",
    "label_shift",
    "nmi",
    "old_new_accuracy",
]
