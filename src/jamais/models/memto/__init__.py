"""MEMTO (seed 004): a Transformer that rebuilds windows of a series with the help of a few remembered patterns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jamais.models.memto.config import MEMTOConfig
    from jamais.models.memto.loss import MEMTOLoss
    from jamais.models.memto.memory import GatedMemory, MemoryHealth
    from jamais.models.memto.model import MEMTO
    from jamais.models.memto.windows import MEMTOWindows

__all__ = ["MEMTO", "GatedMemory", "MEMTOConfig", "MEMTOLoss", "MEMTOWindows", "MemoryHealth"]

_PLACES = {
    "GatedMemory": "memory",
    "MEMTO": "model",
    "MEMTOConfig": "config",
    "MEMTOLoss": "loss",
    "MEMTOWindows": "windows",
    "MemoryHealth": "memory",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
