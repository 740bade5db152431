"""Deep embedded clustering (seed 002): an autoencoder whose latents become clusters, and that learns on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jamais.models.dec.autoencoder import Autoencoder
    from jamais.models.dec.clustering import ClusteringLayer
    from jamais.models.dec.config import DECConfig
    from jamais.models.dec.dynamic import DynamicClusteringLayer
    from jamais.models.dec.model import DEC, load_dec_model

__all__ = ["DEC", "Autoencoder", "ClusteringLayer", "DECConfig", "DynamicClusteringLayer", "load_dec_model"]

_PLACES = {
    "DEC": "model",
    "Autoencoder": "autoencoder",
    "ClusteringLayer": "clustering",
    "DECConfig": "config",
    "DynamicClusteringLayer": "dynamic",
    "load_dec_model": "model",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
