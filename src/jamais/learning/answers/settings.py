"""How much is a person's answer worth, and how many are kept?"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AnswerSettings:
    """Alarms of one cause, and what a person's answer about one is worth."""

    reach: float = 0.9
    """Alarms nearer to the first of a cause than this share of all pairs of rows within one cluster join it. On digits,
    MNIST and CLINC .9 makes 7 to 15 causes of two or three new classes and of false alarms, 94 to 100 % of which are
    with their like; .75 makes 11 to 19, with 96 to 100 %."""
    wrong: float = 0.05
    """Share of answers that are wrong: one answer moves the log-odds by log((1 - wrong) / wrong)."""
    agreeing: int = 2
    """Answers that must agree (more for than against) until a cause is settled and its rows are learned."""
    causes: int = 500
    """Causes kept of each sort: answered, waiting in quarantine, and met in one pass over data."""
    rows: int = 8
    """Rows kept of each answered cause; of width 384 those of 500 causes take 6 MB."""

    def __post_init__(self) -> None:
        if not 0 <= self.reach <= 1:
            raise ValueError("reach is a share between 0 and 1, for example 0.9")
        if not 0 < self.wrong < 0.5:
            raise ValueError("wrong is a share above 0 and below one half, for example 0.05")
        if min(self.agreeing, self.causes, self.rows) < 1:
            raise ValueError("answers want agreeing, causes and rows of at least 1")
