"""How are the findings of an examination told?"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from jamais.cli import told

if TYPE_CHECKING:
    from jamais.persistence.versions.checks import Finding


def print_findings(found: list[Finding]) -> None:
    """Print each finding with its next step, then how many there are."""
    for one in found:
        whose = f" (version {', '.join(map(str, one.versions))})" if one.versions else ""
        click.echo(told.plain(f"{one.level:<8}{one.where}: {one.what}{whose}"))
        if one.next_step:
            click.echo(told.plain(f"        next: {one.next_step}"))
    counts = Counter(one.level for one in found)
    click.echo(
        ", ".join(f"{n} {level}{'s' if n > 1 else ''}" for level, n in counts.items()) or "everything is in order"
    )
