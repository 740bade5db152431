"""Which rules does a person give for what stays, and what is told about what goes?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from jamais.cli import told
from jamais.errors import SettingsError
from jamais.persistence import Retention
from jamais.persistence.versions.sweep import Swept
from jamais.settings import microseconds

_BEST = re.compile(r"(?P<metric>.+?):(?P<way>min|max)(?::(?P<n>[0-9]{1,6}))?")


def rules(
    *,
    keep_latest: int | None,
    keep_best: str | None,
    keep_every_steps: int | None,
    keep_every: str | None,
    min_age: str | None,
) -> Retention | None:
    """Read the rules as typed; None where there is none. Raises SettingsError for what is none."""
    best = None
    every_seconds = None if keep_every is None else microseconds(keep_every) / 1e6
    min_age_s = 0.0 if min_age is None else microseconds(min_age) / 1e6
    if not (keep_latest or keep_every_steps or keep_best is not None or every_seconds):
        return None
    if keep_best is not None:
        read = _BEST.fullmatch(keep_best)
        if read is None:
            raise SettingsError(f"--keep-best is METRIC:min or METRIC:max, with :N for so many, got {keep_best!r}")
        best = int(read["n"] or 1), read["metric"], read["way"]
    return Retention(
        latest=keep_latest,
        best=best,
        every_steps=keep_every_steps,
        every_seconds=every_seconds,
        min_age_s=min_age_s,
    )


def lines(swept: Swept, keep: Retention | None, *, dry_run: bool) -> Iterator[str]:
    """Tell of each version why it stays, or that it goes, and how much that frees."""
    if keep is None:
        yield f"no rule was given: all {len(swept.kept):,} versions stay"
    else:
        for number in sorted([*swept.versions, *swept.kept]):
            yield told.plain(f"{number:>5}  {'stays  ' + swept.kept[number] if number in swept.kept else 'goes'}")
    for warning in swept.warnings:
        yield told.plain(f"WARNING {warning}")
    what = f"{_many(len(swept.versions), 'version')} and {_many(len(swept.objects), 'object')}"
    freed = told.size(swept.freed_bytes)
    yield f"{what} would go, {freed} be freed: nothing was changed" if dry_run else f"{what} removed, {freed} freed"


def as_json(swept: Swept, *, dry_run: bool) -> dict[str, Any]:
    """Give the same as JSON values."""
    return {"dry_run": dry_run, **asdict(swept), "kept": {str(number): why for number, why in swept.kept.items()}}


def _many(n: int, word: str) -> str:
    return f"{n:,} {word}{'' if n == 1 else 's'}"
