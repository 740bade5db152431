"""A small learned descriptor of windows of a multivariate series, of the same bits in one piece or row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jamais.models.patches.encoder import PatchEncoder

__all__ = ["PatchEncoder"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from jamais.models.patches import encoder

    return getattr(encoder, name)
