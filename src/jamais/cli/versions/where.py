"""Which saved state does a person mean: a file, a folder, or a version of a store, as DIR@3 or DIR@best?"""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from jamais.cli import told
from jamais.errors import InputError

if TYPE_CHECKING:
    from jamais.persistence import VersionStore
    from jamais.persistence.faces.recognise import Face
    from jamais.types import StateTree

_AT = re.compile(r"(.+)@([A-Za-z0-9][A-Za-z0-9_.-]*)", re.DOTALL)


@dataclass(frozen=True)
class Where:
    """A path, and a version by number or name where it is a store."""

    path: str
    version: str | None = None

    @classmethod
    def parse(cls, text: str, version: str | None = None) -> Where:
        """Read what was typed; a file that is really called so comes first."""
        found = None if version or os.path.lexists(text) else _AT.fullmatch(text)
        return cls(found[1], found[2]) if found else cls(text, version)

    def __str__(self) -> str:
        return f"{self.path}@{self.version}" if self.version else self.path

    def face(self) -> Face:
        """Tell what lies there; raise InputError for nothing that is known, or a version of what has none."""
        from jamais.persistence.faces.recognise import Face, face_of

        _refuse_nowhere(self.path)
        with refusals(self.path):
            face = face_of(self.path)
        if self.version and face is not Face.STORE:
            raise InputError(f"{self.path}: {face.value}, which has no versions: leave out {self.version}")
        return face

    def read(self, *, accept_edits: bool = False) -> tuple[StateTree, str]:
        """Read and verify the state: the tree and the name of its type. Say on stderr what is odd about it."""
        from jamais.persistence import VersionStore
        from jamais.persistence.faces.models import read_state
        from jamais.persistence.faces.recognise import Face

        with refusals(self.path):
            if self.face() is Face.STORE:
                tree, info = VersionStore(self.path).load(self.version)
                for warning in info.warnings:
                    click.echo(f"jamais: {told.plain(warning)}", err=True)
                return tree, info.kind
            with said_on_stderr():
                return read_state(self.path, accept_edits=accept_edits)


def store_at(folder: str) -> VersionStore:
    """Give the store in a folder; raise InputError for anything else."""
    from jamais.persistence import VersionStore

    _refuse_nowhere(folder)
    if "://" not in folder and os.path.lexists(folder) and not os.path.isdir(folder):
        raise InputError(f"{folder} is a file: versions are kept in a folder, as jamais fit --out DIR makes it")
    with refusals(folder):
        store = VersionStore(folder)
        store.history()  # that there is one, and that it can be read
    return store


@contextlib.contextmanager
def refusals(path: str) -> Iterator[None]:
    """Tell in one line what the system refuses."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{error.filename or path}: {error.strerror or error}: check the path and its rights"
        ) from error


@contextlib.contextmanager
def said_on_stderr() -> Iterator[None]:
    """Print warnings as other sentences for people are printed."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for one in dict.fromkeys(str(one.message) for one in caught):
        click.echo(f"jamais: {told.plain(one)}", err=True)


def _refuse_nowhere(path: str) -> None:
    if not path:
        raise InputError("an empty path names nothing: name a file or a folder")
    if os.path.islink(path) and not os.path.exists(path):
        raise InputError(f"{path}: a link that leads nowhere")
