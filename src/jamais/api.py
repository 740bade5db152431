"""Where does a user begin? `fit` and `load`."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jamais import registry
from jamais.errors import DamagedVersionWarning, InputError
from jamais.persistence import VersionStore, load_model_auto
from jamais.types import CancelToken, Listener, silent
from jamais.watcher import Watcher, recipe_of

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet", ".npy", ".npz")


def fit(
    data: Any,
    kind: str | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    on_event: Listener = silent,
    cancel: CancelToken | None = None,
    **changes: Any,
) -> Watcher:
    """Learn from scratch what is normal in `data`, and save it as version 1 if `out` names a folder.

    `kind` is "logs", "series" or "embeddings": text is taken for logs, a table with a time column for a series, other
    numbers want it said. Settings come as a mapping, and the first level of them as keywords too:
    `fit("app.log", kind="logs", window="60s")`. Raises InputError or SettingsError for what cannot be used.
    """
    kind = kind or _kind_of(data)
    recipe = registry.find(kind).fit(data, {**(settings or {}), **changes}, seed, on_event, cancel)
    store = VersionStore(out) if out is not None else None
    watcher = Watcher(recipe, store, store.current if store is not None else None)
    watcher.note(f"fit on {_shown(data)}")
    if store is not None:
        watcher.save()
    return watcher


def load(path: str | Path, version: int | str | None = None) -> Watcher:
    """Load a watcher: its newest good version, or the one asked for by number or name (`"production"`).

    Where the newest is damaged, a DamagedVersionWarning says so and `watcher.warnings` keeps it. A watcher that was
    taken out as a file or a folder (`save_model_binary`, `jamais convert`) loads too; it has no versions to save to.
    """
    if _is_taken_out(path):
        return _taken_out(path)
    store = VersionStore(path)
    current = store.current  # before loading: what somebody saves meanwhile must not be overwritten unseen
    tree, info = store.load(version)
    watcher = Watcher(recipe_of(tree, info.kind), store, current, like=info.number)
    watcher.warnings = info.warnings
    for warning in info.warnings:
        warnings.warn(f"{path}: {warning}", DamagedVersionWarning, stacklevel=2)
    if version is not None and info.number != current:
        watcher.note(f"from version {info.number}")
    return watcher


def _is_taken_out(path: str | Path) -> bool:
    there = Path(path)
    return there.is_file() or ((there / "MANIFEST.json").is_file() and not (there / "versions").is_dir())


def _taken_out(path: str | Path) -> Watcher:
    loaded = load_model_auto(path)
    if not isinstance(loaded, Watcher):
        raise InputError(
            f"{path} holds a {type(loaded).__name__}, not a watcher: jamais.persistence.load_model_auto loads it"
        )
    loaded.note(f"from {path}")
    return loaded


def _kind_of(data: Any) -> str:
    """Text is a log, a table with a time column a series; other numbers may be either, so their kind must be said."""
    paths = data if isinstance(data, list | tuple) else [data]
    named = [str(path).lower() for path in paths if isinstance(path, str | Path)]
    text = not any(_unpacked(name).endswith(TABLE_SUFFIXES) and "\n" not in name for name in named)
    if text and isinstance(data, Path | Iterable) and not hasattr(data, "shape"):
        return "logs"
    if named or hasattr(data, "columns"):
        from jamais.sources.series import is_over_time

        if is_over_time(data):
            return "series"
    raise InputError(
        f"cannot tell what kind of data {_shown(data)} is: say kind='embeddings' (rows of numbers), kind='series' "
        "(rows over time, the oldest first) or kind='logs'"
    )


def _unpacked(name: str) -> str:
    return name.removesuffix(".gz").removesuffix(".xz").removesuffix(".zst")


def _shown(data: Any) -> str:
    return str(data) if isinstance(data, str | Path) else type(data).__name__
