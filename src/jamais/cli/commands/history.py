"""What does `jamais history` do?"""

from __future__ import annotations

import click


@click.command("history")
@click.argument("folder", metavar="DIR")
@click.option("--log", is_flag=True, help="The moves of names instead: when, who, from which version to which, why.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per version, or per move.")
def command(folder: str, log: bool, as_json: bool) -> None:
    """List the saved versions.

    The newest whole version, marked with *, is the one that is used. In brackets the names a version bears; the
    version it came from is told where that is not the one before.

    \b
    Example:
      jamais history watchers/app
      jamais history watchers/app --log
    """
    from jamais.cli.versions import chronicle
    from jamais.cli.versions.where import refusals, store_at

    with refusals(folder):
        store = store_at(folder)
        for line in (chronicle.move_lines if log else chronicle.version_lines)(store, as_json=as_json):
            click.echo(line)
