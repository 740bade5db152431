"""What does a check say: how bad it is, where, what it is, and what to do next?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from jamais.persistence.versions.place import Place

ERROR, WARNING, NOTE = "error", "warning", "note"
"""Something does not load or means nothing; something will be trouble; something good to know."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found; `where` is a file of the store, `versions` are those that suffer from it."""

    level: str
    where: str
    what: str
    next_step: str = ""
    versions: tuple[int, ...] = ()


def whole_versions(numbers: Iterable[int], findings: Iterable[Finding]) -> list[int]:
    """Give the versions that no error is about."""
    damaged = {number for one in findings if one.level == ERROR for number in one.versions}
    return [number for number in numbers if number not in damaged]


def way_out(place: Place, numbers: list[int], damaged: Iterable[int]) -> str:
    """Say what to do about damaged versions, given all there are."""
    wrong = set(damaged)
    whole = [number for number in numbers if number not in wrong]
    if not whole:
        return f"no version of {place} is whole: put the file back from a copy of the folder"
    if whole[-1] == numbers[-1]:
        return (
            f"version {whole[-1]}, the newest, is whole and stays in use; put the file back from a copy if you have one"
        )
    return f"version {whole[-1]} is whole: jamais rollback {place} {whole[-1]}, or put the file back from a copy"
