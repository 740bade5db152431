"""What does a score mean? Calibrated p-values, and how many alarms to believe."""

from __future__ import annotations

from jamais.detectors.calibration.adaptive import AdaptiveRate
from jamais.detectors.calibration.conformal import Calibration
from jamais.detectors.calibration.discoveries import OnlineDiscoveries, adjusted, discovered

__all__ = ["AdaptiveRate", "Calibration", "OnlineDiscoveries", "adjusted", "discovered"]
