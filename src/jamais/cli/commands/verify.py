"""What does `jamais verify` do?"""

from __future__ import annotations

import json

import click

from jamais.cli import told


@click.command("verify")
@click.argument("folder", metavar="DIR")
@click.option("--json", "as_json", is_flag=True, help="The problems as one JSON object.")
def command(folder: str, as_json: bool) -> None:
    """Check that every saved byte is what was written.

    Reads all versions and compares sizes and checksums. Exit code 1 if anything is wrong.

    \b
    Example:
      jamais verify watchers/app
    """
    from jamais.persistence import VersionStore

    store = VersionStore(folder)
    problems = store.verify()
    if as_json:
        click.echo(json.dumps({"versions": len(store.history()), "problems": problems}, ensure_ascii=False))
    else:
        for problem in problems:
            click.echo(told.plain(problem))
        n = len(store.history())
        versions = f"{n} version{'' if n == 1 else 's'}"
        click.echo(f"{versions}: {len(problems)} problems" if problems else f"{versions}: every byte is right")
    if problems:
        raise click.exceptions.Exit(1)
