"""What did a container runtime wrap round the line that the program wrote?"""

from __future__ import annotations

import json
import re
from typing import Any

from jamais.sources.formats.keyed import NO_STAMP, Stamp, stamp_of
from jamais.sources.times.layout import read_one
from jamais.sources.times.shapes import BY_NAME

_CRI = re.compile(
    rb"(?P<time>\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)) (?P<stream>stdout|stderr) "
    rb"(?P<tag>[FP])(?::\S*)?(?: (?P<line>.*))?$",
    re.S,
)
_ISO = BY_NAME["iso"].regex


class Unwrapper:
    """Take off the CRI or Docker json-file wrapping and join lines that the runtime had split."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._parts: dict[str, list[bytes]] = {}
        self._begun: dict[str, int] = {}

    def unwrap(self, line: bytes, number: int = 0) -> tuple[bytes, int, Stamp] | None:
        """Give the inner line, its number and outer time; None while the rest of a split line is still to come.

        A line that is not wrapped is given as it is.
        """
        found = _cri(line) if self.name == "cri" else _docker(line)
        if found is None:
            return line, number, NO_STAMP
        inner, stream, partial, stamp = found
        if partial:
            parts = self._parts.setdefault(stream, [])
            if sum(map(len, parts)) < 1 << 17:
                parts.append(inner)
            self._begun.setdefault(stream, number)
            return None
        if stream in self._parts:
            inner = b"".join([*self._parts.pop(stream), inner])
            number = self._begun.pop(stream, number)
        return inner, number, stamp

    def rest(self) -> list[tuple[bytes, int]]:
        """Give what is left of split lines whose end never came, with the number of its first line."""
        left = [(b"".join(parts), self._begun.get(stream, 0)) for stream, parts in self._parts.items()]
        self._parts.clear()
        self._begun.clear()
        return left

    def state_dict(self) -> dict[str, Any]:
        return {
            stream: [b"".join(parts).decode("latin-1"), self._begun.get(stream, 0)]
            for stream, parts in self._parts.items()
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._parts = {stream: [text.encode("latin-1")] for stream, (text, _) in state.items()}
        self._begun = {stream: int(number) for stream, (_, number) in state.items()}


def is_cri(line: bytes) -> bool:
    return _CRI.match(line) is not None


def is_docker(line: bytes) -> bool:
    return _docker(line) is not None


def _cri(line: bytes) -> tuple[bytes, str, bool, Stamp] | None:
    found = _CRI.match(line)
    if not found:
        return None
    time = _ISO.match(found["time"])
    stamp = read_one(time) if time else None
    return found["line"] or b"", found["stream"].decode(), found["tag"] == b"P", stamp or NO_STAMP


def _docker(line: bytes) -> tuple[bytes, str, bool, Stamp] | None:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or not isinstance(data.get("log"), str) or "time" not in data:
        return None
    text = data["log"]
    inner = text.rstrip("\r\n").replace("\n", "\x1f").encode("utf-8", "replace")
    return inner, str(data.get("stream", "")), not text.endswith("\n"), stamp_of(data["time"])
