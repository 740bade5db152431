"""How does state survive? Trees of arrays and JSON values in, verified versions out."""

from jamais.persistence.manifest import VersionInfo
from jamais.persistence.store import VersionStore

__all__ = ["VersionInfo", "VersionStore"]
