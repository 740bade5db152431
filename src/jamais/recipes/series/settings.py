"""What may be set for a series, in which unit, and why is the default what it is?"""

from __future__ import annotations

from dataclasses import dataclass, field

from jamais.detectors.windows import BankSettings
from jamais.learning.answers.settings import AnswerSettings
from jamais.learning.drift import DriftSettings
from jamais.learning.guard import GuardSettings
from jamais.sources.series import SeriesReading

ENCODERS = ("patches", "memto")
"""Learned descriptions of windows that there are."""


@dataclass(frozen=True)
class SegmentSettings:
    """Which rows that alarm are one anomaly, and what is told of it."""

    calm: int = 10
    """Rows in a row that do not alarm which a segment may hold: with more between them, alarms are two segments."""
    channels: int = 10
    """Channels named of an alarm, the most responsible first."""
    windows: int = 24
    """Windows of a segment that go with its alarms, for answers: of the first, and of each that is unlike the last."""

    def __post_init__(self) -> None:
        if self.calm < 0 or self.channels < 1 or not 1 <= self.windows <= 64:
            raise ValueError("segments want calm of 0 or more, channels of 1 or more and 1 to 64 windows")


def _answers() -> AnswerSettings:
    return AnswerSettings(reach=1.0, causes=100, rows=24)


@dataclass(frozen=True)
class SeriesSettings:
    """All that `fit` on a series can be told; every version stores it."""

    alarm_rate: float = 0.001
    """Share of normal rows that may alarm. One in a thousand: a person can look at what is left."""
    alarms_per_day: float | None = None
    """Rows of false alarm a day, at the pace of the fit data; sets `alarm_rate`. None: `alarm_rate` stands."""
    hindsight: bool = False
    """Judge a row by what came after it, too: surer, but verdicts come some rows late. For looking back at whole days;
    to be warned, leave it off. `score(…, hindsight=True)` asks for it once."""
    encoder: str | None = None
    """A bank of learned descriptions beside the others: patches, convolutions trained by contrast, or memto, a
    Transformer with a memory. None, for it does not pay: VUS-PR on ASD, .468 without (.524 with hindsight), falls to
    .435 (.487) by patches and .450 (.479) by memto, whose rows cost four times as much."""
    fit_values: int = 16_000_000
    """Numbers of the first rows that are held to find scales, period and calibration; later rows are learned piece by
    piece. 128 MB: 420,000 rows of 38 channels."""
    reading: SeriesReading = field(default_factory=SeriesReading)
    banks: BankSettings = field(default_factory=BankSettings)
    segments: SegmentSettings = field(default_factory=SegmentSettings)
    answers: AnswerSettings = field(default_factory=_answers)
    """Of a series, `reach` is a multiple of the score from which on a row alarms: what is so near to a window that was
    answered for is of its cause."""
    guard: GuardSettings = field(default_factory=GuardSettings)
    drift: DriftSettings = field(default_factory=DriftSettings)

    def __post_init__(self) -> None:
        if not 0 < self.alarm_rate < 1:
            raise ValueError("the alarm rate is a share between 0 and 1, for example 0.001")
        if self.alarms_per_day is not None and not self.alarms_per_day > 0:
            raise ValueError("alarms_per_day is more than 0, for example 5")
        if self.encoder is not None and self.encoder not in ENCODERS:
            raise ValueError(f"encoder is {' or '.join(ENCODERS)}, or none for no learned bank")
        if self.fit_values < 100_000:
            raise ValueError("fit_values is 100000 or more")
