"""What does `jamais verify` do?"""

from __future__ import annotations

import json

import click


@click.command("verify")
@click.argument("path", metavar="PATH")
@click.option("--full", is_flag=True, help="Compare the sha256 of every file, too: what the fast digests leave out.")
@click.option("--json", "as_json", is_flag=True, help="The problems as one JSON object.")
def command(path: str, full: bool, as_json: bool) -> None:
    """Check that every saved byte is what was written.

    Of a watcher's folder, or another store, all versions; DIR@3 is one of them. Of a .bin, a .json or a model
    folder all of it. What is wrong is named by file and array, with the version to go back to. Exit code 1 if
    anything is.

    \b
    Example:
      jamais verify watchers/app
      jamais verify watchers/app --full
      jamais verify model.bin
    """
    from jamais.cli.progress import ProgressBar
    from jamais.cli.versions import verifying
    from jamais.cli.versions.where import Where

    with ProgressBar() as bar:
        done = verifying.checked(Where.parse(path), full=full, on_event=bar)
    if as_json:
        click.echo(json.dumps(verifying.as_json(done), ensure_ascii=False))
    else:
        verifying.print_checked(done)
    if done.problems:
        raise click.exceptions.Exit(1)
