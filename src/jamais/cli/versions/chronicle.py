"""How are the versions of a store, and the moves of their names, told?"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from typing import Any

from jamais.cli import told
from jamais.persistence import VersionStore
from jamais.persistence.versions import refs


def version_lines(store: VersionStore, *, as_json: bool) -> Iterator[str]:
    """Tell each version, oldest first, one line each."""
    current, before = store.current, 0
    for version in store.history():
        if as_json:
            yield json.dumps(_finite(dataclasses.asdict(version)), ensure_ascii=False)
            continue
        mark = "*" if version.number == current else " "
        names = f"  [{', '.join(version.refs)}]" if version.refs else ""
        usual = version.parent in (None, before, version.number - 1)
        parent = "" if usual else f"  (from version {version.parent})"
        problems = "".join(f"  DAMAGED: {warning}" for warning in version.warnings)
        figures = "".join(f"  {name} {value:.4g}" for name, value in version.metrics.items())
        yield told.plain(
            f"{mark}{version.number:>4}  {version.time[:19].replace('T', ' '):<19}  "
            f"{told.size(version.size_bytes):>9}  {version.reason}{figures}{names}{parent}{problems}"
        )
        before = version.number


def move_lines(store: VersionStore, *, as_json: bool) -> Iterator[str]:
    """Tell each move of a name, oldest first: when, who, from where to where, why."""
    for move in store.log():
        if as_json:
            yield refs.as_json(move)
            continue
        old, new = (f"{number}" if number is not None else "none" for number in (move.before, move.version))
        why = f"  {move.why}" if move.why else ""
        yield told.plain(f"{move.time[:19].replace('T', ' ')}  {move.name}: {old} → {new}  {move.who}{why}")


def moved(move: refs.Move) -> str:
    """Tell what a name means now and what it meant before."""
    was = f"before: version {move.before}" if move.before is not None else "it is new"
    now = f"means version {move.version}" if move.version is not None else "names no version any more"
    return told.plain(f"{move.name} {now}; {was}")


def _finite(version: dict[str, Any]) -> dict[str, Any]:
    """Write metrics that are no finite numbers as text, which every reader of JSON takes."""
    figures = {name: value if math.isfinite(value) else str(value) for name, value in version["metrics"].items()}
    return {**version, "metrics": figures}
