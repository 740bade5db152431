"""What does `jamais inspect` do?"""

from __future__ import annotations

import json

import click


@click.command("inspect")
@click.argument("path", metavar="PATH")
@click.option("--templates", is_flag=True, help="List all templates in order of birth, with counts (watchers).")
@click.option("--settings", is_flag=True, help="List all settings.")
@click.option("--arrays", is_flag=True, help="List all arrays: dtype, shape, size, place in the state.")
@click.option("--version", metavar="N", help="Another version than the newest: its number or a name.")
@click.option("--json", "as_json", is_flag=True, help="Everything as one JSON object.")
def command(path: str, templates: bool, settings: bool, arrays: bool, version: str | None, as_json: bool) -> None:
    """Show what a watcher knows, or what a saved state holds.

    Of a watcher's folder: what it learned from, what the alarm rate means, the most frequent and the newest
    templates (of embeddings: the clusters with their rows, when they were born and from what), settings that differ
    from the defaults, what waits in quarantine and what people have answered. Of any other state (a .bin, a .json, a
    model folder, a store of training states): its header only, in milliseconds whatever its size. The numbers of a
    .json are passed over, which takes as long as reading the file.

    \b
    Example:
      jamais inspect watchers/app
      jamais inspect watchers/app --templates | sort -rn | head
      jamais inspect model.bin --arrays
      jamais inspect checkpoints@best
    """
    from jamais.cli.versions import headers, looking
    from jamais.cli.versions.where import Where

    where = Where.parse(path, version)
    known = None if arrays else looking.watcher_at(where)
    if known is not None:
        looking.print_watcher(known, templates=templates, settings=settings, as_json=as_json)
        return
    header = headers.header_of(where)
    if as_json:
        click.echo(json.dumps(headers.as_json(header), ensure_ascii=False))
    elif arrays:
        headers.print_arrays(header)
    else:
        headers.print_header(header, all_settings=settings)
