"""Is what lies somewhere what was written, and if not: where, and what to do?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jamais.cli import told
from jamais.cli.versions.where import Where, refusals, said_on_stderr
from jamais.errors import StateError
from jamais.persistence.faces.recognise import Face
from jamais.types import Event, Listener

if TYPE_CHECKING:
    from jamais.persistence.versions.checks import Finding

_NEXT = "take it from a copy, or save it again from where it came"


@dataclass(frozen=True)
class Checked:
    """What was looked at, in words, and what is wrong with it."""

    what: str
    problems: list[Finding]
    next_step: str
    figures: dict[str, int]


def checked(where: Where, *, full: bool, on_event: Listener) -> Checked:
    """Read everything there; raise InputError where there is nothing to verify."""
    looks: dict[Face, Callable[[Where, bool, Listener], Checked]] = {
        Face.BINARY: _binary,
        Face.JSON: _json,
        Face.FOLDER: _folder,
        Face.STORE: _store,
    }
    face = where.face()
    with refusals(where.path):
        return looks[face](where, full, on_event)


def print_checked(done: Checked) -> None:
    """Print what is wrong, one line each, and what to do; or that nothing is."""
    for one in done.problems:
        told_versions = f" (version {', '.join(map(str, one.versions))})" if one.versions else ""
        click.echo(told.plain(f"{one.where}: {one.what}{told_versions}"))
    n = len(done.problems)
    verdict = f"{n} problem{'s' if n > 1 else ''}" if n else "every byte is right"
    click.echo(told.plain(f"{done.what}: {verdict}"))
    if done.next_step and n:
        click.echo(told.plain(f"next: {done.next_step}"))


def as_json(done: Checked) -> dict[str, Any]:
    """Give the same as JSON values."""
    problems = [{name: value for name, value in asdict(one).items() if name != "level"} for one in done.problems]
    return {**done.figures, "problems": problems, "next_step": done.next_step if done.problems else ""}


def _store(where: Where, full: bool, on_event: Listener) -> Checked:
    from jamais.cli.versions.where import store_at
    from jamais.persistence.versions.checks import check_versions, way_out, whole_versions

    store = store_at(where.path)
    store.check_format()
    numbers = store.shelf.existing()
    problems, _ = check_versions(store.place, store.shelf, full=full, on_event=on_event)
    whole = whole_versions(numbers, problems)
    steps = [one.next_step for one in problems if one.next_step]
    step = steps[0] if steps else way_out(store.place, numbers, set(numbers) - set(whole))
    if where.version:
        only = store.info(where.version).number
        problems, numbers = [one for one in problems if only in one.versions], [only]
    n = len(numbers)
    return Checked(
        f"{n} version{'s' if n > 1 else ''}",
        problems,
        step,
        {"versions": n, "whole": len(set(whole).intersection(numbers))},
    )


def _binary(where: Where, full: bool, on_event: Listener) -> Checked:
    """Read array by array, so that memory holds one of them, and each that is damaged is named."""
    import numpy as np

    from jamais.persistence.dtypes import BY_NAME
    from jamais.persistence.faces.binary import STATE, open_binary
    from jamais.persistence.tree import unflatten

    problems: list[Finding] = []
    n = done = 0
    try:
        with open_binary(Path(where.path)) as opened:
            entries = {path: entry for path, entry in opened.file.entries.items() if path != STATE}
            total = sum(entry.stop - entry.start for entry in entries.values())
            for path, entry in entries.items():
                on_event(Event("checking", done, total))
                try:
                    opened.array(path)
                except StateError as error:
                    problems.append(_problem(where, error))
                n, done = n + 1, done + entry.stop - entry.start
            shown = {p: np.broadcast_to(np.zeros((), BY_NAME[e.dtype]), e.shape) for p, e in entries.items()}
            unflatten(shown, opened.plain, where.path)
    except StateError as error:
        problems.append(_problem(where, error))
    return Checked(f"a binary state of {n:,} arrays" if n else "a binary state", problems, _NEXT, {"arrays": n})


def _json(where: Where, full: bool, on_event: Listener) -> Checked:
    from jamais.persistence.faces.json_face import read_json

    try:
        tree, _ = read_json(Path(where.path).resolve())
    except StateError as error:
        return Checked("a JSON state", [_problem(where, error)], _NEXT, {})
    return Checked("a JSON state", [], "", {"parts": len(tree)})


def _folder(where: Where, full: bool, on_event: Listener) -> Checked:
    from jamais.persistence.faces.folder import verify_folder

    with said_on_stderr():
        found = verify_folder(where.path, full=full)
    return Checked("a model folder", [_problem(where, StateError(one)) for one in found], _NEXT, {})


def _problem(where: Where, error: StateError) -> Finding:
    from jamais.persistence.versions.checks import ERROR, Finding

    said = str(error).removeprefix(f"{Path(where.path).resolve()}: ").removeprefix(f"{where.path}: ")
    return Finding(ERROR, where.path, said)
