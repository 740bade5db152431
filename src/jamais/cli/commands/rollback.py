"""What does `jamais rollback` do?"""

from __future__ import annotations

import json

import click


@click.command("rollback")
@click.argument("folder", metavar="DIR")
@click.argument("version", metavar="N")
@click.option("--only", metavar="COMPONENT", help="Take one part back, as meaning/memory; the rest stays as it is.")
@click.option("--json", "as_json", is_flag=True, help="The numbers as one JSON object.")
def command(folder: str, version: str, only: str | None, as_json: bool) -> None:
    """Make an older version current.

    Its content is saved as a new version on top; nothing is deleted, so a rollback can be rolled back. N is a
    number or a name. Parts that do not belong together, such as a memory made with another encoder, are refused.

    \b
    Example:
      jamais history watchers/app
      jamais rollback watchers/app 2
      jamais rollback watchers/app production --only meaning/memory
    """
    from jamais.cli import told
    from jamais.cli.versions.going_back import rolled_back

    new, old = rolled_back(folder, version, only)
    if as_json:
        click.echo(json.dumps({"version": new, "content_of": old} | ({"only": only} if only else {})))
    else:
        click.echo(told.plain(f"version {new} now holds the {only or 'content'} of version {old}"))
