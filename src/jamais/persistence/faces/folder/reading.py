"""Is a folder what was saved, and which state does it hold?"""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from jamais.errors import CorruptStateError, InputError, StateError
from jamais.persistence import digests, files, json_text
from jamais.persistence.dtypes import AnyArray
from jamais.persistence.faces.folder import bare, manifest, placing, tokenizer_files
from jamais.persistence.faces.folder.array_files import is_whole, sealed_arrays
from jamais.persistence.faces.folder.manifest import ArrayEntry, Manifest
from jamais.persistence.tree import state_sha256, unflatten
from jamais.types import StateTree

Found = TypeVar("Found")

_TRIES = 5
_MOST_NAMED = 6
_OTHER = "not what was written (sha256)"
_EDITED = "was edited or damaged since it was written: give accept_edits=True if you edited it"


def read_folder(folder: str | Path, *, accept_edits: bool = False) -> tuple[StateTree, str]:
    """Read a state and the name of its type from a folder, comparing every byte that counts with the manifest.

    `accept_edits` takes JSON that somebody changed by hand. A folder without a manifest, as other programs make
    them, is read with a warning: its type is "folder". Raises InputError where there is no folder,
    CorruptStateError, with all files and tensors that are not what was written.
    """
    path = _existing(folder)

    def read() -> tuple[StateTree, str]:
        if not _has_manifest(path):
            return bare.read(path), bare.TYPE
        sealed = SealedFolder(path)
        return sealed.state(accept_edits), sealed.manifest.type_name

    return steady(path, read)


def verify_folder(folder: str | Path, *, full: bool = False) -> list[str]:
    """Say what is wrong with a folder; `full` compares sha256 of all files and of the whole state, too."""
    path = _existing(folder)

    def look() -> list[str]:
        if not _has_manifest(path):
            return [f"{path}: has no {manifest.NAME}: nothing tells whether it is whole"]
        try:
            sealed = SealedFolder(path)
            if not full:
                sealed.check()
                return []
            wrong = [n for n, entry in sealed.manifest.files.items() if not is_whole(sealed.place(n), entry)]
            if wrong:
                return [f"{path / name}: {_OTHER}" for name in wrong]
            if state_sha256(sealed.state(accept_edits=False)) != sealed.manifest.state_sha256:
                return [f"{path}: its files are those of the manifest, the state they make is not"]
        except StateError as error:
            return [str(error)]
        return []

    return steady(path, look)


def open_sealed(folder: str | Path, *, links: bool = False) -> SealedFolder | None:
    """Give what verifies a folder; None for one without a manifest. `links` accepts files that are links."""
    path = _existing(folder)
    return SealedFolder(path, links=links) if _has_manifest(path) else None


def steady(folder: Path, read: Callable[[], Found]) -> Found:
    """Read a folder, and read it again when it was replaced meanwhile: what comes back is of one save."""
    for left in reversed(range(_TRIES)):
        before = _identity(folder)
        try:
            return read()
        except CorruptStateError:
            if not left or _identity(folder) == before:
                raise
    raise AssertionError


class SealedFolder:
    """A folder with a manifest. Nothing in it is believed before it was compared."""

    def __init__(self, path: Path, *, links: bool = False) -> None:
        self.path = path
        self._links = links
        data = files.read(self.place(manifest.NAME), limit=manifest.MAX_BYTES)
        self.manifest: Manifest = manifest.parse(data, str(path / manifest.NAME))

    def check(self) -> list[str]:
        """Compare all files and arrays without keeping them; give the vocabulary (empty if there is none)."""
        problems: list[str] = []
        texts = self._texts(False, problems)
        for _ in self._arrays(problems):
            pass
        self._refuse(problems)
        # Without arrays; a vocabulary is made of texts alone.
        return self._check_tokens(_texts_only(self._plain(texts)))

    def state(self, accept_edits: bool) -> StateTree:
        """Read the whole state."""
        problems: list[str] = []
        texts = self._texts(accept_edits, problems)
        arrays = dict(self._arrays(problems))
        self._refuse(problems)
        tree = unflatten(arrays, self._plain(texts), str(self.path / manifest.STATE))
        self._check_tokens(tree)
        return tree

    def place(self, name: str) -> Path:
        """Give the path of a file; raise CorruptStateError if a link leads out of the folder on the way to it."""
        path = self.path / name
        if self._links:
            return Path(os.path.realpath(path))
        for above in list(path.relative_to(self.path).parents)[:-1]:
            if not stat.S_ISDIR(_mode(self.path / above)):
                raise CorruptStateError(f"{self.path / above}: missing, or not a plain folder")
        return path

    def _texts(self, accept_edits: bool, problems: list[str]) -> dict[str, bytes]:
        """Give the JSON files that the state is made of; compare all others that hold no array."""
        wanted = {manifest.STATE, *self.manifest.parts}
        with_arrays = {entry.file for entry in self.manifest.arrays.values()}
        texts: dict[str, bytes] = {}
        for name, entry in self.manifest.files.items():
            if name in with_arrays:
                continue
            try:
                if name in wanted:
                    texts[name] = files.read(self.place(name), limit=2 * entry.size + 1024 * 1024)
                    same = digests.sha256(texts[name]) == entry.sha256
                else:
                    same = is_whole(self.place(name), entry)
                if not same and not (accept_edits and name.endswith(".json")):
                    problems.append(f"{self.path / name}: {_EDITED if name.endswith('.json') else _OTHER}")
            except CorruptStateError as error:
                problems.append(str(error))
        return texts

    def _arrays(self, problems: list[str]) -> Iterator[tuple[str, AnyArray]]:
        by_file: dict[str, dict[str, ArrayEntry]] = {}
        for path, entry in self.manifest.arrays.items():
            by_file.setdefault(entry.file, {})[path] = entry
        for name, listed in by_file.items():
            try:
                yield from sealed_arrays(self.place(name), self.manifest.files[name], listed, problems)
            except CorruptStateError as error:
                problems.append(str(error))

    def _refuse(self, problems: list[str]) -> None:
        if problems:
            more = f"; and {len(problems) - _MOST_NAMED} more" if len(problems) > _MOST_NAMED else ""
            raise CorruptStateError(
                f"{self.path}: not what generation {self.manifest.generation} wrote: "
                + "; ".join(problems[:_MOST_NAMED])
                + more
            )

    def _plain(self, texts: dict[str, bytes]) -> dict[str, Any]:
        parsed = {name: json_text.parse(data, str(self.path / name)) for name, data in texts.items()}
        plain = parsed.pop(manifest.STATE, None)
        where = str(self.path / manifest.STATE)
        if type(plain) is not dict:
            raise CorruptStateError(f"{where}: not an object")
        placing.join_parts(plain, parsed, self.manifest.parts, where)
        return plain

    def _check_tokens(self, tree: StateTree) -> list[str]:
        seal = self.manifest.tokenizer
        if seal is None:
            return []
        tokens = placing.at(tree, seal.tokens)
        if type(tokens) is not list or not all(type(token) is str for token in tokens):
            raise CorruptStateError(f"{self.path / manifest.STATE}: {seal.tokens[:80]} is no list of tokens")
        wrong, odd = tokenizer_files.check(self.place, seal, tokens)
        self._refuse(wrong)
        for said in odd:
            warnings.warn(said, stacklevel=3)
        return tokens


def _existing(folder: str | Path) -> Path:
    path = Path(folder)
    if not path.exists():
        raise InputError(f"no folder at {path}")
    if not path.is_dir():
        raise InputError(f"{path} is a file, wanted a folder")
    return path


def _has_manifest(path: Path) -> bool:
    if os.path.lexists(path / manifest.NAME):
        return True
    if os.path.lexists(path / manifest.STATE):
        raise CorruptStateError(f"{path}: {manifest.NAME} is missing, which {manifest.STATE} was saved with")
    return False


def _texts_only(node: Any) -> Any:
    """Decode the JSON of a state as far as texts go."""
    if isinstance(node, list):
        return [_texts_only(item) for item in node]
    if not isinstance(node, dict):
        return node
    if list(node) == ["$text"]:
        return unflatten({}, {"text": node})["text"]
    return {key[1:] if key.startswith("$$") else key: _texts_only(value) for key, value in node.items()}


def _identity(folder: Path) -> list[tuple[int, int]]:
    found = []
    for path in (folder, folder / manifest.NAME):
        try:
            seen = os.stat(path)
            found.append((seen.st_ino, seen.st_mtime_ns))
        except OSError:
            found.append((0, 0))
    return found


def _mode(path: Path) -> int:
    try:
        return os.lstat(path).st_mode
    except OSError:
        return 0
