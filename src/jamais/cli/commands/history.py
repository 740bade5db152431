"""What does `jamais history` do?"""

from __future__ import annotations

import dataclasses
import json

import click

from jamais.cli import told


@click.command("history")
@click.argument("folder", metavar="DIR")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per version.")
def command(folder: str, as_json: bool) -> None:
    """List the saved versions.

    The newest whole version, marked with *, is the one that is used.

    \b
    Example:
      jamais history watchers/app
    """
    from jamais.persistence import VersionStore

    store = VersionStore(folder)
    for version in store.history():
        if as_json:
            click.echo(json.dumps(dataclasses.asdict(version), ensure_ascii=False))
            continue
        mark = "*" if version.number == store.current else " "
        problems = "".join(f"  DAMAGED: {warning}" for warning in version.warnings)
        figures = "".join(f"  {name} {value:.4g}" for name, value in version.metrics.items())
        click.echo(
            f"{mark}{version.number:>4}  {version.time[:19].replace('T', ' '):<19}  "
            + told.plain(f"{told.size(version.size_bytes):>9}  {version.reason}{figures}{problems}")
        )
