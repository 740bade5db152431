"""Where was `jamais watch` when it stopped? One small file beside the versions, replaced as a whole.

    DIR/watch-<hash of the log's path>.json   place in the log, open sessions, half a record

It belongs to nothing that a version holds: deleting it loses a place, never knowledge.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jamais.errors import JamaisError, StateError
from jamais.persistence import tree as state_tree
from jamais.sources.follow import Position
from jamais.types import StateTree

FORMAT = 0


@dataclass(frozen=True)
class Place:
    """All that is needed to go on: where in which log, and what the stream held, for one watcher version."""

    position: Position | None
    rest: bytes
    """The line that was being written: read, not yet whole, so not yet pushed."""
    stream: StateTree
    version: int | None


class PlaceFile:
    """Saves and finds the place of one log in one watcher's folder."""

    def __init__(self, folder: str, log: str) -> None:
        name = hashlib.sha256(os.fsencode(os.path.abspath(log))).hexdigest()[:16]
        self.path = Path(folder) / f"watch-{name}.json"
        self._log = os.path.abspath(log)

    def load(self) -> Place | None:
        """Give the saved place, None if there is none; raises StateError when it cannot be read."""
        try:
            saved = json.loads(self.path.read_bytes())
            if saved["format"] != FORMAT:
                raise ValueError(f"format {saved['format']}")
            position = None if saved["position"] is None else Position.from_json(saved["position"])
            arrays = {name: _array(entry) for name, entry in saved["arrays"].items()}
            rest = base64.b64decode(saved["rest"], validate=True)
            return Place(position, rest, state_tree.unflatten(arrays, saved["stream"]), saved["version"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, JamaisError) as wrong:
            raise StateError(f"{self.path}: this place cannot be read ({wrong}): delete the file") from wrong

    def save(self, place: Place) -> None:
        """Replace the saved place; raises StateError when the disk refuses."""
        arrays, stream = state_tree.flatten(place.stream)
        saved = {
            "format": FORMAT,
            "log": self._log.encode("utf-8", "replace").decode(),
            "version": place.version,
            "position": None if place.position is None else place.position.to_json(),
            "rest": base64.b64encode(place.rest).decode(),
            "stream": stream,
            "arrays": {name: _entry(array) for name, array in arrays.items()},
        }
        work = self.path.with_suffix(".tmp")
        try:
            with work.open("wb") as file:
                file.write(json.dumps(saved, allow_nan=False).encode())
                file.flush()
                os.fsync(file.fileno())
            work.replace(self.path)
        except OSError as wrong:
            raise StateError(f"cannot save the place in {self.path}: {wrong.strerror or wrong}") from wrong


def _entry(array: np.ndarray[Any, Any]) -> dict[str, Any]:
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"type": array.dtype.str, "shape": list(array.shape), "base64": data}


def _array(entry: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    data = base64.b64decode(entry["base64"], validate=True)
    return np.frombuffer(data, dtype=np.dtype(entry["type"])).reshape(entry["shape"]).copy()
