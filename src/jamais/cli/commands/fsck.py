"""What does `jamais fsck` do?"""

from __future__ import annotations

import json
from dataclasses import asdict

import click


@click.command("fsck")
@click.argument("folder", metavar="DIR")
@click.option("--fast", is_flag=True, help="Compare fast digests, not the sha256 of every file.")
@click.option("--json", "as_json", is_flag=True, help="The findings as one JSON object.")
def command(folder: str, fast: bool, as_json: bool) -> None:
    """Examine a store: what is damaged, left over, foreign, and what to do.

    Looks at every file: manifests, contents, names and their log, what no version needs, what died writers have
    left, rights. Changes nothing. Exit code 1 if there is an error; warnings and notes are none.

    \b
    Example:
      jamais fsck watchers/app
    """
    from jamais.cli.progress import ProgressBar
    from jamais.cli.versions import examining
    from jamais.cli.versions.where import refusals, store_at
    from jamais.persistence.versions.checks import ERROR, examine

    with ProgressBar() as bar, refusals(folder):
        found = examine(store_at(folder), full=not fast, on_event=bar)
    if as_json:
        click.echo(json.dumps({"findings": [asdict(one) for one in found]}, ensure_ascii=False))
    else:
        examining.print_findings(found)
    if any(one.level == ERROR for one in found):
        raise click.exceptions.Exit(1)
