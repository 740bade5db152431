"""What does `jamais inspect` do?"""

from __future__ import annotations

import json

import click

from jamais.cli import told


@click.command("inspect")
@click.argument("folder", metavar="DIR")
@click.option("--templates", is_flag=True, help="List all templates in order of birth, with counts.")
@click.option("--settings", is_flag=True, help="List all settings.")
@click.option("--version", type=click.IntRange(1), metavar="N", help="Another version than the newest.")
@click.option("--json", "as_json", is_flag=True, help="Everything as one JSON object.")
def command(folder: str, templates: bool, settings: bool, version: int | None, as_json: bool) -> None:
    """Show what a watcher knows.

    What it learned from, what the alarm rate means, the most frequent and the newest templates, settings that
    differ from the defaults, what waits in quarantine and what people have answered.

    \b
    Example:
      jamais inspect watchers/app
      jamais inspect watchers/app --templates | sort -rn | head
    """
    from jamais.cli import portrait
    from jamais.persistence import VersionStore

    known = portrait.facts(*VersionStore(folder).load(version))
    if as_json:
        click.echo(json.dumps(known, ensure_ascii=False))
    elif templates:
        for one in known["templates"]:
            click.echo(told.plain(f"{one['times']:>9}  {one['item']}  {one['level']:<5}  {one['text']}"))
    elif settings:
        click.echo("\n".join(f"{name} = {value}" for name, value in portrait.flat(known["settings"])))
    else:
        for name, text in portrait.lines(known):
            told.field(name, text)
