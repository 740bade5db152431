"""What does `jamais diff` do?"""

from __future__ import annotations

import json

import click

from jamais.cli import told


@click.command("diff")
@click.argument("states", metavar="A B", nargs=-1, required=True)
@click.option("--all", "everything", is_flag=True, help="Tell every change, not the largest of each kind.")
@click.option("--fail-on-difference", is_flag=True, help="Exit code 1 where they differ.")
@click.option("--json", "as_json", is_flag=True, help="The whole difference as one JSON object.")
def command(states: tuple[str, ...], everything: bool, fail_on_difference: bool, as_json: bool) -> None:
    """Tell in what two saved states differ.

    Values, vocabularies (texts added, removed, moved to another number), arrays (distance, largest change, cosine,
    share of changed values), rows of memories by their ids. A and B are files, folders, stores, or DIR@3 and
    DIR@best; DIR 2 3 compares two versions of one store. Large changes come first.

    \b
    Example:
      jamais diff watchers/app 2 3
      jamais diff model.bin model.json
      jamais diff watchers/app@production watchers/app --json
    """
    from jamais.cli.versions import comparing, difference_text

    done = comparing.compared(states)
    if as_json:
        sides = {name: getattr(done, name) for name in ("old", "new", "old_type", "new_type")}
        click.echo(json.dumps({**sides, **difference_text.as_json(done.difference)}, ensure_ascii=False))
    else:
        click.echo(told.plain(f"{done.old} ({done.old_type}) → {done.new} ({done.new_type})"))
        for line in difference_text.lines(done.difference, everything=everything):
            click.echo(told.plain(line))
    if fail_on_difference and not done.difference.is_empty:
        raise click.exceptions.Exit(1)
