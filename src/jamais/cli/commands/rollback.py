"""What does `jamais rollback` do?"""

from __future__ import annotations

import json

import click

from jamais.cli import kept


@click.command("rollback")
@click.argument("folder", metavar="DIR")
@click.argument("number", metavar="N", type=click.IntRange(1))
@click.option("--json", "as_json", is_flag=True, help="The numbers as one JSON object.")
def command(folder: str, number: int, as_json: bool) -> None:
    """Make an older version current.

    Its content is saved as a new version on top; nothing is deleted, so a rollback can be rolled back.

    \b
    Example:
      jamais history watchers/app
      jamais rollback watchers/app 2
    """
    watcher = kept.load(folder)
    watcher.rollback(number)
    version = watcher.save()
    told = {"version": version, "content_of": number}
    click.echo(json.dumps(told) if as_json else f"version {version} now holds the content of version {number}")
