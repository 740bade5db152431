"""What does `jamais promote` do?"""

from __future__ import annotations

import click


@click.command("promote")
@click.argument("folder", metavar="DIR")
@click.argument("version", metavar="[N]", required=False)
@click.option("--as", "name", required=True, metavar="NAME", help="The name: production, or whatever you like.")
@click.option("--why", default="", metavar="TEXT", help="The reason, for the log (jamais history DIR --log).")
@click.option("--remove", is_flag=True, help="Take the name away.")
@click.option("--json", "as_json", is_flag=True, help="The move as one JSON object.")
def command(folder: str, version: str | None, name: str, why: str, remove: bool, as_json: bool) -> None:
    """Let a name mean a version.

    N is a number or another name; without it the newest version is meant. Every byte of it is compared with its
    sha256 first. DIR@NAME then stands for that version, and tidying up never removes it.

    \b
    Example:
      jamais promote watchers/app 3 --as production --why "a week without false alarms"
      jamais promote watchers/app --as production --remove
    """
    from jamais.cli.versions import chronicle
    from jamais.cli.versions.where import refusals, store_at
    from jamais.persistence.versions import refs

    if remove and version is not None:
        raise click.UsageError("--remove takes the name away from whichever version bears it: leave out N")
    with refusals(folder):
        store = store_at(folder)
        move = store.unname(name, reason=why) if remove else store.promote(name, version, reason=why)
    click.echo(refs.as_json(move) if as_json else chronicle.moved(move))
