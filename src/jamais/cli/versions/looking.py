"""Does a watcher lie there, and what does it know?"""

from __future__ import annotations

import json
from typing import Any

import click

from jamais import registry
from jamais.cli import told
from jamais.cli.portrait import flat
from jamais.cli.versions.where import Where, refusals
from jamais.errors import InputError
from jamais.persistence.faces.recognise import Face


def watcher_at(where: Where) -> dict[str, Any] | None:
    """Give what the watcher of a store knows; None where something else lies."""
    from jamais.persistence import VersionStore

    if where.face() is not Face.STORE:
        return None
    with refusals(where.path):
        store = VersionStore(where.path)
        if store.info(where.version).kind not in registry.kinds():
            return None
        tree, info = store.load(where.version)
        known: dict[str, Any] = _portrait(info.kind).facts(tree, info)
        return known


def print_watcher(known: dict[str, Any], *, templates: bool, settings: bool, as_json: bool) -> None:
    """Print what a watcher knows, or one list of it."""
    portrait = _portrait(known["kind"])
    if as_json:
        click.echo(json.dumps(known, ensure_ascii=False))
    elif templates:
        if "templates" not in known:
            raise InputError(f"a watcher of {known['kind']} has no templates: inspect it without --templates")
        for one in known["templates"]:
            click.echo(told.plain(f"{one['times']:>9}  {one['item']}  {one['level']:<5}  {one['text']}"))
    elif settings:
        click.echo("\n".join(f"{name} = {value}" for name, value in flat(known["settings"])))
    else:
        for name, text in portrait.lines(known):
            told.field(name, text)


def _portrait(kind: str) -> Any:
    """Give the module that tells of a kind of watcher."""
    from jamais.cli import portrait, portrait_embeddings, portrait_series

    return {"embeddings": portrait_embeddings, "series": portrait_series}.get(kind, portrait)
