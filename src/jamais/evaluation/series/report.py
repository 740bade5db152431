"""How good are a series' scores and alarms, all figures at once and never without what chance would reach?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from jamais.errors import InputError, ShapeMismatchError
from jamais.evaluation.ranking import alarm_quality, auroc, average_precision
from jamais.evaluation.series.adjusted import percent_adjusted, point_adjusted
from jamais.evaluation.series.affiliation import affiliation
from jamais.evaluation.series.alarms import Delays, alarm_load, delays, event_f1
from jamais.evaluation.series.baselines import highest, squared_norm
from jamais.evaluation.series.given import checked_alarms, checked_labels, checked_scores
from jamais.evaluation.series.period import find_period
from jamais.evaluation.series.volumes import vus
from jamais.types import Bools, Floats

NO_WINDOW = 100
"""The window of VUS where there are no values to find a period in, as in TSB-AD."""


@dataclass(frozen=True)
class SeriesFigures:
    """The figures of one score; of `uniform random` the means over its repeats. Not a number = unknown."""

    vus_pr: float
    vus_roc: float
    average_precision: float
    auroc: float
    point_f1: float
    event_f1: float
    affiliation_f1: float
    affiliation_precision: float
    affiliation_recall: float
    pa_k_area: float
    alarmed_rows: float
    alarms: float
    alarms_per_day: float
    segments_found: float
    median_delay_rows: float
    median_delay_seconds: float
    pa_f1: float
    pa_f1_random: float
    """PA-F1 of as many alarmed rows drawn at random: what `pa_f1` must be compared with."""


@dataclass(frozen=True)
class SeriesReport:
    """The figures of a score between those of random scores and of the squared norm; prints as a table."""

    rows: int
    abnormal: int
    segments: int
    window: int
    thresholds: int
    score: SeriesFigures
    uniform_random: SeriesFigures
    """Alarms on as many rows as the score."""
    squared_norm: SeriesFigures | None
    """Alarms on as many rows as the score; None where no values were given."""
    delays: Delays
    """Of the score, by segment."""

    def __str__(self) -> str:
        return table(self.figures())

    def figures(self) -> dict[str, Any]:
        """Give all as JSON values; None for what is unknown."""
        return {
            "rows": self.rows,
            "abnormal": self.abnormal,
            "base_rate": self.abnormal / self.rows,
            "segments": self.segments,
            "vus_window": self.window,
            "vus_thresholds": self.thresholds,
            "score": _known(self.score),
            "uniform_random": _known(self.uniform_random),
            "squared_norm": _known(self.squared_norm) if self.squared_norm else None,
            "delays_rows": [_or_none(delay) for delay in self.delays.rows.tolist()],
            "delays_seconds": None
            if self.delays.seconds is None
            else [_or_none(delay) for delay in self.delays.seconds.tolist()],
        }


def report(
    labels: ArrayLike,
    score: ArrayLike,
    abnormal: ArrayLike,
    times: ArrayLike | None = None,
    values: ArrayLike | None = None,
    *,
    train: ArrayLike | None = None,
    window: int | None = None,
    thresholds: int = 250,
    repeats: int = 5,
    seed: int = 0,
) -> SeriesReport:
    """Measure scores [n] and the alarms [n] raised on them against labels [n] of 0/1, beside what knows nothing.

    `times` [n] are microseconds, for delays in seconds and alarms per day; `values` [n, channels] and `train`
    [m, channels] are for the row `squared norm` and for the period (of the first channel, train in front, as TSB-AD
    takes it) that is the window of VUS unless `window` says otherwise. `repeats` uniform scores are drawn with `seed`.
    Raises InputError without abnormal or without normal rows.
    """
    truth = checked_labels(labels, "a report")
    ours, raised = checked_scores(score, len(truth)), checked_alarms(abnormal, len(truth))
    norm = None if values is None else squared_norm(values, train)
    if norm is not None and len(norm) != len(truth):
        raise ShapeMismatchError(
            f"there must be one row of values for each of {len(truth):,} labels, got {len(norm):,}"
        )
    if repeats < 1:
        raise InputError(f"random scores need one repeat or more, got {repeats}")
    width = window if window is not None else NO_WINDOW if values is None else _period(values, train)
    chance = point_adjusted(truth, raised, seed=seed).random
    measure = _Measure(truth, times, width, thresholds, chance)
    n_alarms, generator = int(raised.sum()), np.random.default_rng(seed)
    noise = [generator.random(len(truth)) for _ in range(repeats)]
    first = event_f1(truth, raised)
    return SeriesReport(
        rows=len(truth),
        abnormal=int(truth.sum()),
        segments=first.segments,
        window=width,
        thresholds=thresholds,
        score=measure.of(ours, raised),
        uniform_random=_mean([measure.of(one, highest(one, n_alarms)) for one in noise]),
        squared_norm=None if norm is None else measure.of(norm, highest(norm, n_alarms)),
        delays=delays(truth, raised, times),
    )


def table(figures: Mapping[str, Any]) -> str:
    """Write what `SeriesReport.figures()` gives for people."""
    named = {"score": "score", "uniform_random": "uniform random", "squared_norm": "squared norm"}
    columns = [figures[name] for name in named if figures[name]]
    many, alarmed = f"{figures['segments']:,}", columns[0]["alarmed_rows"]
    what = f"{figures['rows']:,} rows, {figures['abnormal']:,} abnormal in {many} segments"
    how = f"VUS with window {figures['vus_window']} and {figures['vus_thresholds']} thresholds"
    lines = [
        f"{what} (base rate {figures['base_rate']:.4g}); {how}",
        _line("", [told for name, told in named.items() if figures[name]]),
        *(_line(name, [_number(column[field]) for column in columns]) for name, field in _RANKED),
        f"alarms on {alarmed:,.0f} rows in every column",
        *(_line(name, [_number(column[field]) for column in columns]) for name, field in _ALARMED),
        _line("segments found", [f"{column['segments_found']:.3g} of {many}" for column in columns]),
        _line("median delay", [_delay(column) for column in columns]),
        _line("alarms", [f"{column['alarms']:,.0f}" for column in columns]),
    ]
    if columns[0]["alarms_per_day"] is not None:
        lines.append(_line("alarms per day", [f"{column['alarms_per_day']:.3g}" for column in columns]))
    lines.append(
        _line("PA-F1", [_number(column["pa_f1"]) for column in columns]) + "   no evidence: chance has it, too"
    )
    return "\n".join(lines)


class _Measure:
    """Measures one score after the other against the same truth."""

    def __init__(
        self, truth: Bools, times: ArrayLike | None, window: int, thresholds: int, adjusted_chance: float
    ) -> None:
        self._truth, self._times = truth, times
        self._window, self._thresholds, self._adjusted_chance = window, thresholds, adjusted_chance

    def of(self, score: Floats, alarms: Bools) -> SeriesFigures:
        truth = self._truth
        volumes = vus(truth, score, self._window, self._thresholds)
        near, events, load = affiliation(truth, alarms), event_f1(truth, alarms), alarm_load(alarms, self._times)
        late = delays(truth, alarms, self._times)
        by_percent = percent_adjusted(truth, alarms, repeats=1)
        return SeriesFigures(
            vus_pr=volumes.pr,
            vus_roc=volumes.roc,
            average_precision=average_precision(truth, score),
            auroc=auroc(truth, score),
            point_f1=alarm_quality(truth, alarms).f1,
            event_f1=events.f1,
            affiliation_f1=near.f1,
            affiliation_precision=near.precision,
            affiliation_recall=near.recall,
            pa_k_area=by_percent.area,
            alarmed_rows=load.rows,
            alarms=load.alarms,
            alarms_per_day=load.per_day,
            segments_found=events.found,
            median_delay_rows=late.median_rows,
            median_delay_seconds=late.median_seconds,
            pa_f1=float(by_percent.f1[0]),
            pa_f1_random=self._adjusted_chance,
        )


_RANKED = (
    ("VUS-PR", "vus_pr"),
    ("VUS-ROC", "vus_roc"),
    ("average precision", "average_precision"),
    ("AUROC", "auroc"),
)
_ALARMED = (
    ("point F1", "point_f1"),
    ("event F1", "event_f1"),
    ("affiliation F1", "affiliation_f1"),
    ("  precision", "affiliation_precision"),
    ("  recall", "affiliation_recall"),
    ("PA%K area", "pa_k_area"),
)


def _period(values: ArrayLike, train: ArrayLike | None) -> int:
    """Find the period of the first channel, missing values taken as its mean."""
    parts = [np.asarray(part, dtype=np.float64) for part in (train, values) if part is not None]
    series = np.concatenate([part[:, 0] if part.ndim == 2 else part for part in parts])
    known = series[np.isfinite(series)]
    return find_period(np.where(np.isfinite(series), series, known.mean() if len(known) else 0.0))


def _mean(figures: list[SeriesFigures]) -> SeriesFigures:
    """Average figure by figure over those that are numbers."""

    def middle(name: str) -> float:
        known = [value for one in figures if not math.isnan(value := float(getattr(one, name)))]
        return sum(known) / len(known) if known else float("nan")

    return SeriesFigures(**{field.name: middle(field.name) for field in fields(SeriesFigures)})


def _line(name: str, cells: list[str]) -> str:
    return f"{name:<19}" + "".join(f"{cell:>21}" for cell in cells)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _delay(column: Mapping[str, float | None]) -> str:
    rows, seconds = column["median_delay_rows"], column["median_delay_seconds"]
    if rows is None:
        return "-"
    return f"{rows:.3g} rows" + ("" if seconds is None else f", {seconds:,.0f} s")


def _known(figures: SeriesFigures) -> dict[str, float | None]:
    return {name: _or_none(value) for name, value in asdict(figures).items()}


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
