"""A small causal language model: text in, the text that follows out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jamais.models.llm.model import LLM
    from jamais.models.llm.rustgpt import from_rustgpt
    from jamais.models.llm.vocab import Vocab

__all__ = ["LLM", "Vocab", "from_rustgpt"]

_PLACES = {"LLM": "model", "Vocab": "vocab", "from_rustgpt": "rustgpt"}


def __getattr__(name: str) -> Any:
    # A vocabulary is plain Python: who only cuts text does not pay for torch.
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
