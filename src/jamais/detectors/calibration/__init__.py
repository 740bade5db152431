"""What does a score mean? Calibrated p-values, and how many alarms to believe."""

from __future__ import annotations

from jamais.detectors.calibration.conformal import Calibration

__all__ = ["Calibration"]
