"""Which watcher lies in a folder, and is anything wrong with how it lies there?"""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING

import click

from jamais.cli import told
from jamais.errors import DamagedVersionWarning, InputError

if TYPE_CHECKING:
    from jamais.watcher import Watcher


def load(folder: str) -> Watcher:
    """Load the current version; say so on stderr where that is not the newest, because that one is damaged."""
    import jamais

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedVersionWarning)  # said below, in one line
        watcher = jamais.load(folder)
    for warning in watcher.warnings:
        click.echo(f"jamais: {told.plain(warning)}", err=True)
    return watcher


def say_if_taken(out: str) -> None:
    """Say on stderr that a folder to fit into holds versions already."""
    from jamais.persistence import VersionStore

    numbers: list[int] = []
    with contextlib.suppress(InputError):  # a new folder, or one that saving will refuse with a better sentence
        numbers = [version.number for version in VersionStore(out).history()]
    if numbers:
        n = f"{len(numbers)} version{'s' if len(numbers) > 1 else ''}"
        click.echo(f"jamais: {out} holds {n} already: this becomes version {max(numbers) + 1}", err=True)
