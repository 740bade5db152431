"""How good are the scores and alarms of a series? Figures that random scores cannot win."""

from jamais.evaluation.series.adjusted import PercentAdjusted, PointAdjusted, percent_adjusted, point_adjusted
from jamais.evaluation.series.affiliation import Affiliation, affiliation
from jamais.evaluation.series.alarms import AlarmLoad, Delays, EventQuality, alarm_load, delays, event_f1
from jamais.evaluation.series.baselines import squared_norm
from jamais.evaluation.series.blame import HitRate, hit_rate
from jamais.evaluation.series.period import find_period
from jamais.evaluation.series.report import SeriesFigures, SeriesReport, report, table
from jamais.evaluation.series.segments import segments
from jamais.evaluation.series.volumes import Volumes, vus, vus_pr, vus_roc

__all__ = [
    "Affiliation",
    "AlarmLoad",
    "Delays",
    "EventQuality",
    "HitRate",
    "PercentAdjusted",
    "PointAdjusted",
    "SeriesFigures",
    "SeriesReport",
    "Volumes",
    "affiliation",
    "alarm_load",
    "delays",
    "event_f1",
    "find_period",
    "hit_rate",
    "percent_adjusted",
    "point_adjusted",
    "report",
    "segments",
    "squared_norm",
    "table",
    "vus",
    "vus_pr",
    "vus_roc",
]
