"""What may be set for logs, in which unit, and why is the default what it is?"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from jamais.learning.drift import DriftSettings
from jamais.learning.guard import GuardSettings
from jamais.models.tinylogbert.line_encoder import EncoderSettings
from jamais.parsing.settings import ParsingSettings
from jamais.recipes.logs.events.novelty import METHODS
from jamais.settings import microseconds
from jamais.sources.settings import ReadingSettings


@dataclass(frozen=True)
class MemorySettings:
    """The memory of normal vectors."""

    capacity: int = 10_000
    """Vectors kept. One per distinct template; 10,000 of width 256 take 10 MB, and few systems have as many."""
    n_neighbors: int = 1
    """Nearest vectors looked at. 1: one remembered template is enough to make a line known."""

    def __post_init__(self) -> None:
        if self.capacity < 2 or self.n_neighbors < 1:
            raise ValueError("the memory wants a capacity of at least 2 and at least 1 neighbour")


@dataclass(frozen=True)
class SessionSettings:
    """Sessions (`group_by`)."""

    capacity: int = 5_000
    """Distinct bags of events kept. HDFS has some 300; beyond the capacity only the last event counts."""
    margin: float = 3.0
    """Times the longest wait ever seen before silence counts in full: slow days are not incidents."""
    order_weight: float = 0.25
    """Weight of an unusual order of events. On HDFS .5 and more cost average precision, .25 costs none."""
    max_open: int = 500_000
    """Sessions held open while scoring, about 550 bytes each. Beyond it the longest idle half is closed."""

    def __post_init__(self) -> None:
        if self.capacity < 1 or self.max_open < 1:
            raise ValueError("sessions want a capacity and max_open of at least 1")
        if not self.margin >= 1 or not self.order_weight >= 0:
            raise ValueError("sessions want a margin of at least 1 and an order_weight of at least 0")


@dataclass(frozen=True)
class FeedbackSettings:
    """Answers of people."""

    wrong_share: float = 0.05
    """Share of answers that are wrong. One in twenty: an answer moves log-odds by 2.9 nats, a second one settles."""
    settled: float = 1.5
    """Answers, agreeing more than disagreeing, from which on a cause is not asked about again."""
    worth: float = 0.3
    """Rows that must be expected to be judged wrongly before a question is worth a person's time: an alarm that
    nothing is known of is asked about at once."""
    worth_again: float = 1.5
    """The same for a cause that was answered for: a second opinion is for what comes often."""
    prior_zero: float = 0.8
    """Mean of distance and tone (quantiles among the known templates, 0..1) at which an unseen line is as likely
    abnormal as not. Nine in ten known templates lie below."""
    prior_slope: float = 9.0
    """Log-odds per unit of that mean: two for each spread of the known templates."""

    def __post_init__(self) -> None:
        if not 0 < self.wrong_share < 0.5:
            raise ValueError("wrong_share is a share between 0 and 0.5, for example 0.05")
        if not self.settled > 0 or not min(self.worth, self.worth_again, self.prior_slope) >= 0:
            raise ValueError("feedback wants settled above 0; worth, worth_again and prior_slope of at least 0")
        if not 0 <= self.prior_zero <= 1:
            raise ValueError("prior_zero lies between 0 and 1, for example 0.8")


@dataclass(frozen=True)
class LogSettings:
    """All that `fit` on logs can be told; every version stores it."""

    group_by: str | None = None
    """Regular expression that names a line's session (group 1, named groups or whole match); for JSON a key."""
    window: str | None = None
    """"20" lines or "60s" of time that are scored together; with a time a silent service shows as a count of 0."""
    alarm_rate: float = 0.001
    """Share of normal rows that may alarm. One in a thousand: a person can look at what is left."""
    alarms_per_day: float | None = None
    """Sets the alarm rate at the pace of the fit data instead."""
    method: str = "knn"
    """Detector that says how far an unseen line is from all known ones: knn, lof, iforest, cluster, reconstruction
    or ensemble. knn: one known template next to it is enough to make a line known."""
    severity: bool = True
    """Add the tone prior: an unseen line that sounds like trouble is worse than an unseen harmless one."""
    calibration_share: float = 0.3
    """Last share of the fit data, in time, that calibrates p-values."""
    reading: ReadingSettings = field(default_factory=ReadingSettings)
    parsing: ParsingSettings = field(default_factory=ParsingSettings)
    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    memory: MemorySettings = field(default_factory=MemorySettings)
    sessions: SessionSettings = field(default_factory=SessionSettings)
    guard: GuardSettings = field(default_factory=GuardSettings)
    drift: DriftSettings = field(default_factory=DriftSettings)
    feedback: FeedbackSettings = field(default_factory=FeedbackSettings)

    def __post_init__(self) -> None:
        if self.group_by and self.window:
            raise ValueError("group_by and window exclude each other: choose one")
        if not 0 < self.alarm_rate < 1:
            raise ValueError("the alarm rate is a share between 0 and 1, for example 0.001")
        if self.alarms_per_day is not None and not self.alarms_per_day > 0:
            raise ValueError("alarms_per_day is more than 0, for example 5")
        if not 0 < self.calibration_share < 1:
            raise ValueError("calibration_share is a share between 0 and 1, for example 0.3")
        if self.method not in METHODS:
            raise ValueError(f"the method is one of {', '.join(METHODS)}")
        if self.window:
            window_size(self.window)
        if self.group_by:
            try:
                re.compile(self.group_by)
            except re.error as error:
                raise ValueError(f"group_by is no regular expression: {error}") from None


def window_size(window: str) -> tuple[int, bool]:
    """Read a window: its size, and whether that is microseconds (True) or lines (False)."""
    if window.isdigit():
        if int(window) < 1:
            raise ValueError("a window holds at least one line")
        return int(window), False
    return microseconds(window), True
