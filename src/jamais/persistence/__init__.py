"""How does state survive? Trees of arrays and JSON values in, verified versions and files out."""

from jamais.persistence.versions.manifest import VersionInfo
from jamais.persistence.versions.retention import Retention
from jamais.persistence.versions.store import VersionStore

__all__ = ["Retention", "VersionInfo", "VersionStore"]
