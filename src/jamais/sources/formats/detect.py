"""Which format is a log in, judged by its first lines?"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jamais.sources.continuation import continues
from jamais.sources.formats.header import looks_like_syslog
from jamais.sources.formats.keyed import logfmt_row
from jamais.sources.formats.wrapped import Unwrapper, is_cri, is_docker
from jamais.sources.times.finder import StampFinder

SAMPLE_LINES = 200
_ACCESS = re.compile(rb'\S+ \S+ \S.*? \[\d\d/\w{3}/\d{4}:[\d: +-]+\] "')
_EXPORT = re.compile(rb"[A-Z_][A-Z0-9_]*=")
_MOST = 0.7


@dataclass(frozen=True)
class Profile:
    """How a log is read: `outer` format as the user names it, `inner` once unwrapped, and where times stand."""

    outer: str
    inner: str
    finder: StampFinder
    stamped: bool
    lines: int

    @property
    def takes_memory(self) -> bool:
        """Say whether records of this format are kept as Python objects."""
        return (self.inner != "text" and self.inner not in ("syslog", "access")) or self.outer in (
            "cri",
            "docker",
        )

    def sentence(self) -> str:
        """Say what was found, for the user."""
        names = {
            "json": "JSON lines",
            "cri": "Kubernetes CRI",
            "docker": "Docker json-file",
            "access": "access log",
        }
        inside = f" with {names.get(self.inner, self.inner)} inside" if self.outer in ("cri", "docker") else ""
        what = f"format: {names.get(self.outer, self.outer)}{inside}"
        if self.inner in ("text", "syslog", "access") and not self.finder.order and not inside:
            return f"{what}, no time stamps found: every line is a record unless it is indented"
        return what

    def state_dict(self) -> dict[str, Any]:
        return {
            "outer": self.outer,
            "inner": self.inner,
            "finder": self.finder.state_dict(),
            "stamped": self.stamped,
            "lines": self.lines,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Profile:
        finder = StampFinder.from_state(state["finder"])
        return cls(str(state["outer"]), str(state["inner"]), finder, bool(state["stamped"]), int(state["lines"]))


def detect(lines: Sequence[bytes], wanted: str = "auto") -> Profile:
    """Judge sample lines; `wanted` other than auto only fills in the details."""
    sample = [line for line in lines if line.strip()][:SAMPLE_LINES]
    name = _name(sample) if wanted == "auto" else wanted
    if name == "journal":
        name = "journal" if _share(sample, _is_json) >= 0.5 or not sample else "journal-export"
        return Profile("journal", name, StampFinder(), False, len(sample))
    if name in ("json", "logfmt"):
        return Profile(name, name, StampFinder(), False, len(sample))
    if name in ("cri", "docker"):
        unwrapper = Unwrapper(name)
        inner = [found[0] for found in map(unwrapper.unwrap, sample) if found and found[0].strip()]
        below = _name(inner)
        kind = below if below in ("json", "logfmt", "access") else "text"
        finder, stamped = _times(inner)
        return Profile(name, kind, finder, stamped, len(sample))
    finder, stamped = _times(sample)
    if name == "text" and wanted == "auto" and _share(sample, lambda line: looks_like_syslog(line, finder)) >= 0.6:
        name = "syslog"
    return Profile(name, name, finder, stamped, len(sample))


def _times(sample: Sequence[bytes]) -> tuple[StampFinder, bool]:
    finder = StampFinder.learn([line for line in sample if not continues(line)])
    return finder, finder.share >= 0.3


def _name(sample: Sequence[bytes]) -> str:
    if not sample:
        return "text"
    if _share(sample, is_docker) >= _MOST:
        return "docker"
    if _share(sample, _is_json) >= _MOST:
        return "journal" if _share(sample, lambda line: b'"__REALTIME_TIMESTAMP"' in line) >= _MOST else "json"
    if any(line.startswith(b"__CURSOR=") for line in sample) and _share(sample, _is_export) >= 0.5:
        return "journal"
    if _share(sample, is_cri) >= _MOST:
        return "cri"
    if _share(sample, lambda line: _ACCESS.match(line) is not None) >= _MOST:
        return "access"
    if _share(sample, _is_logfmt) >= _MOST:
        return "logfmt"
    return "text"


def _share(sample: Sequence[bytes], test: Any) -> float:
    return sum(1 for line in sample if test(line)) / max(len(sample), 1)


def _is_json(line: bytes) -> bool:
    if line.lstrip()[:1] != b"{":
        return False
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _is_export(line: bytes) -> bool:
    return _EXPORT.match(line) is not None


def _is_logfmt(line: bytes) -> bool:
    row = logfmt_row(line, None)
    if row is None:
        return False
    pairs = re.sub(rb'[\w.@/-]+=(?:"(?:[^"\\]|\\.)*"|[^\s"]*)', b"", line)
    return len(pairs.split()) == 0 and bool(row.used)
