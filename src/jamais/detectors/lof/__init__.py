"""Is this row in a thinner place than its neighbours are?"""

from jamais.detectors.lof.lof import LOF

__all__ = ["LOF"]
