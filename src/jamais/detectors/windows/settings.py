"""How are windows of a series described, remembered and compared?"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BankSettings:
    """Settings of the banks; the defaults were chosen on SMD and ASD."""

    prototypes: int = 256
    """Windows kept as a uniform sample of all normal ones. 64 to 1,024 find as much; a row costs in proportion."""
    kept: int = 256
    """Windows kept beside the sample: rare ones that somebody vouched for, the oldest go first."""
    neighbours: int = 3
    """A window is compared with so many nearest ones: one alone may be an incident that nobody noticed."""
    statistics: tuple[int, ...] = (16, 32, 64)
    """Rows of the windows whose mean, spread, range, maximum and minimum are compared; powers of two."""
    deviations: tuple[int, ...] = (16, 32, 64, 128)
    """Rows of the windows whose spread and range about their own mean are compared, whatever their level."""
    shapes: tuple[int, ...] = (32,)
    """Rows of the windows whose course about their own mean is compared, channel by channel."""
    patterns: tuple[int, ...] = (32,)
    """Rows of the windows whose course is compared whatever its size, all channels in one; powers of two."""
    forecasts: bool = True
    """Whether what each channel's next value should have been, told from its last four, is a bank of its own."""
    alike: float = 0.2
    """A window this near to a remembered one is not remembered itself: a share of what is usual between windows."""
    smoothing: int = 4
    """Rows round a row over which its score is averaged, with hindsight; 0 for none."""
    floor: float = 0.05
    """Share of a channel's range that is added to its spread: a quiet channel must not outcry all others."""
    clip: float = 100.0
    """Spreads from the mean at which a value counts as merely far. Low ones blind the banks to what a channel does at a
    new level."""

    def __post_init__(self) -> None:
        for name in ("prototypes", "neighbours"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1")
        if not 0.0 <= self.alike < 1.0:
            raise ValueError("alike is a share from 0 to below 1")
        if self.kept < 0:
            raise ValueError("kept is 0 or more")
        if not (0 < self.floor <= 1 and 1 <= self.clip <= 120):
            raise ValueError("floor is a share above 0, clip 1 to 120 spreads")
        for name, least in (("statistics", 1), ("deviations", 2), ("shapes", 16), ("patterns", 16)):
            for rows in getattr(self, name):
                if rows < least or rows & (rows - 1) or rows > 1024:
                    raise ValueError(f"{name} are powers of two from {least} to 1024, got {rows}")
        if not (self.statistics or self.deviations or self.shapes or self.patterns):
            raise ValueError("no bank is left: give statistics, deviations, shapes or patterns")
