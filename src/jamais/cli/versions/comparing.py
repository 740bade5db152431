"""Which two states does a person want compared?"""

from __future__ import annotations

from dataclasses import dataclass

import click

from jamais.cli.versions.where import Where
from jamais.persistence.difference import Difference, compare


@dataclass(frozen=True)
class Compared:
    """Two states by what was typed, their types, and their difference."""

    old: str
    new: str
    old_type: str
    new_type: str
    difference: Difference


def compared(places: tuple[str, ...]) -> Compared:
    """Read and compare A and B, or two versions of one store: DIR 2 3."""
    if len(places) == 3:
        folder, old, new = places
        sides = Where(folder, old), Where(folder, new)
    elif len(places) == 2:
        sides = Where.parse(places[0]), Where.parse(places[1])
    else:
        raise click.UsageError(f"give two states, or a store and two of its versions; got {len(places)}")
    (tree, kind), (other, other_kind) = (side.read() for side in sides)
    return Compared(str(sides[0]), str(sides[1]), kind, other_kind, compare(tree, other))
