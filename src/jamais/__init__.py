"""Learn what is normal, remember it, and say what has never been seen.

    import jamais
    watcher = jamais.fit("normal.log", kind="logs", out="watchers/app")
    verdicts = watcher.score("today.log")

`docs/tour.md` goes on from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jamais.version import __version__

if TYPE_CHECKING:
    from jamais.api import fit, load
    from jamais.watcher import Watcher

__all__ = ["Watcher", "__version__", "fit", "load"]

_PLACES = {"fit": "jamais.api", "load": "jamais.api", "Watcher": "jamais.watcher"}


def __getattr__(name: str) -> Any:
    # Imported on first use: `import jamais` must cost nothing.
    if name not in _PLACES:
        raise AttributeError(f"module 'jamais' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PLACES[name]), name)
