"""How good are the scores and alarms of a series? Figures that random scores cannot win."""

from jamais.evaluation.series.period import find_period
from jamais.evaluation.series.segments import segments
from jamais.evaluation.series.volumes import Volumes, vus, vus_pr, vus_roc

__all__ = ["Volumes", "find_period", "segments", "vus", "vus_pr", "vus_roc"]
