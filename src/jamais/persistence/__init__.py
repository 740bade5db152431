"""How does state survive? Trees of arrays and JSON values in, verified versions and files out."""

from jamais.persistence.background import BackgroundSaver
from jamais.persistence.faces.models import (
    load_model_auto,
    load_model_binary,
    load_model_folder,
    load_model_json,
    save_model_binary,
    save_model_folder,
    save_model_json,
)
from jamais.persistence.versions.manifest import VersionInfo
from jamais.persistence.versions.retention import Retention
from jamais.persistence.versions.store import VersionStore

__all__ = [
    "BackgroundSaver",
    "Retention",
    "VersionInfo",
    "VersionStore",
    "load_model_auto",
    "load_model_binary",
    "load_model_folder",
    "load_model_json",
    "save_model_binary",
    "save_model_folder",
    "save_model_json",
]
