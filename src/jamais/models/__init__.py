"""Networks and tables: text or tensors in, tensors out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jamais.models.tinylogbert.hf import TinyLogBERT, TinyLogBERTConfig

__all__ = ["TinyLogBERT", "TinyLogBERTConfig"]


def __getattr__(name: str) -> Any:
    # torch and transformers cost seconds of import: only somebody who asks for a network pays.
    if name in __all__:
        from jamais.models.tinylogbert import hf

        return getattr(hf, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
