"""What do several detectors say together?"""

from __future__ import annotations

from jamais.detectors.ensemble.ensemble import Ensemble

__all__ = ["Ensemble"]
