"""Networks and tables: text or tensors in, tensors out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jamais.models.dec import DEC, Autoencoder, ClusteringLayer, DynamicClusteringLayer, load_dec_model
    from jamais.models.llm import LLM, Vocab
    from jamais.models.memto import MEMTO, MEMTOLoss
    from jamais.models.patches import PatchEncoder
    from jamais.models.tinylogbert.hf import TinyLogBERT, TinyLogBERTConfig

__all__ = [
    "DEC",
    "LLM",
    "MEMTO",
    "Autoencoder",
    "ClusteringLayer",
    "DynamicClusteringLayer",
    "MEMTOLoss",
    "PatchEncoder",
    "TinyLogBERT",
    "TinyLogBERTConfig",
    "Vocab",
    "load_dec_model",
]

_PLACES = {
    "Autoencoder": "jamais.models.dec",
    "ClusteringLayer": "jamais.models.dec",
    "DEC": "jamais.models.dec",
    "DynamicClusteringLayer": "jamais.models.dec",
    "LLM": "jamais.models.llm",
    "MEMTO": "jamais.models.memto",
    "MEMTOLoss": "jamais.models.memto",
    "PatchEncoder": "jamais.models.patches",
    "TinyLogBERT": "jamais.models.tinylogbert.hf",
    "TinyLogBERTConfig": "jamais.models.tinylogbert.hf",
    "Vocab": "jamais.models.llm",
    "load_dec_model": "jamais.models.dec",
}


def __getattr__(name: str) -> Any:
    # torch and transformers cost seconds of import: only somebody who asks for a network pays.
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PLACES[name]), name)
