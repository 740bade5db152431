"""Which versions stay? Those that any rule wants, those that bear a name, and always the newest."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from jamais.errors import SettingsError
from jamais.persistence.versions.manifest import VersionInfo


@dataclass(frozen=True)
class Retention:
    """Rules for what to keep; a version that none of them wants is removed. No rule at all keeps everything."""

    latest: int | None = None
    """Keep so many of the newest."""
    best: tuple[int, str, str] | None = None
    """Keep so many of the best: (how many, name of the metric, "min" or "max"); NaN is never best."""
    every_steps: int | None = None
    """Keep one for each so many steps of training (the metric `step`)."""
    every_seconds: float | None = None
    """Keep one for each so many seconds."""
    min_age_s: float = 0.0
    """Keep whatever is younger."""

    def __post_init__(self) -> None:
        numbers = (self.latest, self.every_steps, self.every_seconds, self.best and self.best[0])
        if any(n is not None and n < 1 for n in numbers) or self.min_age_s < 0:
            raise SettingsError(f"retention counts from 1, got {self}")
        if self.best and self.best[2] not in ("min", "max"):
            raise SettingsError(f"the best of a metric is its 'min' or 'max', got {self.best[2]!r}")

    @property
    def keeps_all(self) -> bool:
        return not (self.latest or self.best or self.every_steps or self.every_seconds)


def kept(infos: Iterable[VersionInfo], refs: Mapping[str, int], keep: Retention, now: datetime) -> dict[int, str]:
    """Give the versions that stay, each with the reason why."""
    infos = sorted(infos, key=lambda info: info.number)
    why: dict[int, list[str]] = {info.number: [] for info in infos}
    for name, number in refs.items():
        why.get(number, []).append(name)
    if infos:
        why[infos[-1].number].append("newest")
    for info in infos:
        if keep.keeps_all:
            why[info.number].append("no rule")
        if keep.min_age_s and _age_s(info, now) < keep.min_age_s:
            why[info.number].append("young")
    for info in infos[-keep.latest :] if keep.latest else []:
        why[info.number].append(f"latest {keep.latest}")
    for info in _best(infos, keep):
        why[info.number].append(f"best {info.metrics[keep.best[1]]:.4g}" if keep.best else "")
    for info in _one_each(infos, keep):
        why[info.number].append("one each")
    return {number: ", ".join(reasons) for number, reasons in why.items() if reasons}


def _age_s(info: VersionInfo, now: datetime) -> float:
    return (now - datetime.fromisoformat(info.time)).total_seconds() if info.time else 0.0


def _best(infos: list[VersionInfo], keep: Retention) -> list[VersionInfo]:
    if not keep.best:
        return []
    n, metric, way = keep.best
    known = [info for info in infos if math.isfinite(info.metrics.get(metric, math.nan))]
    return sorted(known, key=lambda info: info.metrics[metric], reverse=way == "max")[:n]


def _one_each(infos: list[VersionInfo], keep: Retention) -> list[VersionInfo]:
    """Give the last version of every stretch of steps, and of every stretch of time."""
    last: dict[tuple[str, int], VersionInfo] = {}
    for info in infos:
        if keep.every_steps and math.isfinite(info.metrics.get("step", math.nan)):
            last["step", math.ceil(info.metrics["step"] / keep.every_steps)] = info
        if keep.every_seconds and info.time:
            last["time", int(datetime.fromisoformat(info.time).timestamp() // keep.every_seconds)] = info
    return list(last.values())
