"""How does text become vectors? With a BERT-mini that learned its words from the user's own normal lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jamais.models.tinylogbert.line_encoder import EncoderSettings, LineEncoder

if TYPE_CHECKING:
    from jamais.models.tinylogbert.hf import TinyLogBERT, TinyLogBERTConfig

__all__ = ["EncoderSettings", "LineEncoder", "TinyLogBERT", "TinyLogBERTConfig"]


def __getattr__(name: str) -> Any:
    # The Hugging Face face costs seconds of import: only somebody who asks for it pays.
    if name in {"TinyLogBERT", "TinyLogBERTConfig"}:
        from jamais.models.tinylogbert import hf

        return getattr(hf, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
