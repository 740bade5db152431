"""How badly is a row reconstructed by what has only seen normal rows?"""

from __future__ import annotations

from jamais.detectors.reconstruction.outside import HasLoss, Reconstructs
from jamais.detectors.reconstruction.reconstruction import Reconstruction

__all__ = ["HasLoss", "Reconstruction", "Reconstructs"]
