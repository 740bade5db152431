"""How few random cuts set a row apart from those that were normal?"""

from __future__ import annotations

from jamais.detectors.iforest.iforest import IForest

__all__ = ["IForest"]
