"""How does a folder come to hold a state, whole or not at all?

Everything is written to a folder beside the target, the manifest last; what others put into the target is linked
there; then the two folders change names in one step.
"""

from __future__ import annotations

import errno
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from jamais.errors import InputError, StateError
from jamais.persistence import digests, files, json_text
from jamais.persistence.dtypes import AnyArray
from jamais.persistence.faces.arrangement import Arrangement
from jamais.persistence.faces.folder import manifest, neighbours, placing, tokenizer_files
from jamais.persistence.faces.folder.array_files import described, entry_of, write_arrays
from jamais.persistence.faces.folder.manifest import ArrayEntry, FileEntry, Manifest, TokenizerSeal
from jamais.persistence.faces.folder.placing import Place
from jamais.persistence.tree import flatten, state_sha256
from jamais.types import StateTree

_KEPT = "nothing was changed, what was there still loads"

WEIGHTS_FILES = {"safetensors": "model.safetensors", "bin": "pytorch_model.bin"}


def write_folder(
    folder: str | Path,
    tree: StateTree,
    type_name: str,
    *,
    weights: str = "safetensors",
    arrangement: Arrangement | None = None,
) -> None:
    """Save a state as a folder, replacing what an older save wrote there, in one step.

    `weights` "bin" writes pytorch_model.bin in place of model.safetensors. Raises StateError for a state that cannot
    be saved or a disk that refuses (the old folder is still there), InputError for a folder that is not to be
    replaced.
    """
    if weights not in WEIGHTS_FILES:
        raise StateError(f"weights are 'safetensors' or 'bin', got {weights!r}")
    with replacing_folder(folder) as draft:
        draft.fill(tree, type_name, arrangement or Arrangement(), weights_file=WEIGHTS_FILES[weights])


@contextmanager
def replacing_folder(folder: str | Path) -> Iterator[Draft]:
    """Give a draft of a folder: at the end of the block it stands in the folder's place, unless there was an error.

    Other libraries may write into `draft.path` before `draft.fill` is called.
    """
    target = neighbours.checked_target(Path(folder))
    with _refusals(target):
        files.make_folder(target.parent)
        work = files.beside(target)
        os.mkdir(work)
    try:
        draft = Draft(work, target)
        yield draft
        with _refusals(target):
            _replace(work, target)
    except BaseException:
        with suppress(OSError):
            files.remove(work)
        raise


class Draft:
    """A folder that is being filled beside the one it will replace."""

    def __init__(self, path: Path, target: Path) -> None:
        self.path = path
        self.target = target
        self._old = neighbours.old_manifest(target)
        self._files: dict[str, FileEntry] = {}
        self._staying: set[str] = set()
        self._taken: set[str] = set()

    def fill(
        self,
        tree: StateTree,
        type_name: str,
        arrangement: Arrangement,
        *,
        weights_file: str = WEIGHTS_FILES["safetensors"],
        present: Mapping[str, Place] | None = None,
        keep: Callable[[str], bool] = lambda name: False,
    ) -> None:
        """Write a state and seal it. Call it once, last.

        `present` says which arrays (by path) another library has already written to this folder, and where; other
        files it wrote are sealed, too. Files of the older save for which `keep` is true stay, with their seals.
        """
        if self._old is not None and self._old.type_name != type_name:
            raise InputError(
                f"{self.target} holds a saved {self._old.type_name}, which a {type_name} would replace: "
                "save to another folder, or remove that one first"
            )
        arrays, plain = flatten(tree)
        taken = placing.take_parts(plain, arrangement.parts)
        where = placing.places(tree, arrays, arrangement, weights_file) | dict(present or {})
        listed = {path: entry_of(array, *where[path]) for path, array in arrays.items()}
        with _drafting(self.target), ThreadPoolExecutor(1) as pool:
            name_of_state = pool.submit(state_sha256, tree)  # hashing leaves the lock of Python free
            written = [str(found.relative_to(self.path)) for found in self.path.rglob("*") if found.is_file()]
            self._arrays(arrays, listed, set((present or {}).values()))
            self._twins(placing.twins(arrangement, where))
            for name, part in {**taken, manifest.STATE: plain}.items():
                self._put(name, json_text.dump(part))
            tokenizer = self._texts(arrangement, tree)
            self._strangers(written)
            neighbours.keep_modes(self.target, self.path, [*self._files, *(tokenizer.written if tokenizer else ())])
            self._carry(keep)
            sealed = Manifest(type_name, name_of_state.result(), self._files, listed, arrangement.parts, tokenizer)
            files.write(self.path / manifest.NAME, manifest.to_bytes(sealed))

    def _arrays(self, arrays: Mapping[str, AnyArray], listed: Mapping[str, ArrayEntry], present: set[Place]) -> None:
        by_file: dict[str, dict[str, str]] = {}
        for path, entry in listed.items():
            by_file.setdefault(entry.file, {})[entry.name] = path
        for file, inside in by_file.items():
            manifest.checked_name(file)
            if any((file, name) in present for name in inside):
                n_bytes = sum(listed[path].n_bytes for path in inside.values())
                self._files[file] = described(self.path / file, n_bytes)
                continue
            self._make_room(file)
            chosen = {name: arrays[path] for name, path in inside.items()}
            entries = {name: listed[path] for name, path in inside.items()}
            self._files[file] = write_arrays(self.path / file, chosen, entries)

    def _twins(self, shown: Mapping[str, str]) -> None:
        """Show an array once more under another name: a link, which takes no room. Sealed as any file is."""
        for file, first in shown.items():
            manifest.checked_name(file)
            self._make_room(file)
            try:
                os.link(self.path / first, self.path / file)
            except OSError:  # no hard links here
                shutil.copyfile(self.path / first, self.path / file)
            self._files[file] = FileEntry(self._files[first].size, self._files[first].sha256)

    def _texts(self, arrangement: Arrangement, tree: StateTree) -> TokenizerSeal | None:
        """Write the files for other readers; seal tokenizer files by content, those that somebody put there too."""
        texts = dict(arrangement.derived)
        sealed = None
        if arrangement.tokens:
            listing = tokenizer_files.vocab_txt(arrangement.tokens)
            if listing is not None:
                texts.setdefault(tokenizer_files.VOCABULARY, listing)
            texts.setdefault(tokenizer_files.SETTINGS, b"{}\n")
            tokenizers = {name: texts.pop(name) for name in tokenizer_files.NAMES if name in texts}
            kept = self._agreeing(arrangement.tokens)
            self._taken |= {name for name in tokenizer_files.NAMES if name not in kept}
            self._staying |= kept.keys()
            ours = {name: data for name, data in tokenizers.items() if name not in kept}
            path = placing.path_of_tokens(tree, arrangement.tokens)
            for said in tokenizer_files.oddities(kept, tokenizer_files.seal(path, tokenizers)):
                warnings.warn(f"{self.target}: {said}", stacklevel=2)
            sealed = tokenizer_files.seal(path, ours, kept)
            for name, data in ours.items():
                self._write(name, data)  # not sealed by bytes: other programs may rewrite it
        for name, data in texts.items():
            self._put(name, data)
        return sealed

    def _agreeing(self, tokens: tuple[str, ...]) -> dict[str, bytes]:
        """Give the tokenizer files somebody put into the old folder that number the words as this state does."""
        before = self._old.tokenizer.written if self._old and self._old.tokenizer else {}
        kept: dict[str, bytes] = {}
        for name in tokenizer_files.NAMES:
            path = self.target / name
            if not os.path.lexists(path):
                continue
            try:
                data = files.read(path, limit=tokenizer_files.MAX_BYTES)
                if digests.sha256(data) == before.get(name):
                    continue  # an older save of ours
                told = tokenizer_files.difference(name, data, tokens, str(path))
            except StateError as error:
                told = str(error)
            if told:
                warnings.warn(f"{path} is replaced, as it does not fit this vocabulary: {told}", stacklevel=2)
            else:
                kept[name] = data
        return kept

    def _strangers(self, written: list[str]) -> None:
        """Seal what another library wrote into the draft."""
        for name in written:
            if name not in self._files and name not in tokenizer_files.NAMES:
                self._files[manifest.checked_name(name)] = described(self.path / name)

    def _carry(self, keep: Callable[[str], bool]) -> None:
        older = self._old.files if self._old else {}
        staying = {name: entry for name, entry in older.items() if keep(name) and name not in self._files}
        of_older = neighbours.is_ours(self._old)

        def ours(name: str) -> bool:
            if name in staying or name in self._staying:
                return False
            return name in self._taken or of_older(name)

        neighbours.carry_over(self.target, self.path, ours)
        self._files |= {name: entry for name, entry in staying.items() if (self.path / name).is_file()}

    def _put(self, name: str, data: bytes) -> None:
        self._write(name, data)
        self._files[name] = FileEntry(len(data), digests.sha256(data))

    def _write(self, name: str, data: bytes) -> None:
        manifest.checked_name(name)
        self._make_room(name)
        with suppress(FileNotFoundError):
            os.unlink(self.path / name)  # as another library wrote it
        files.write(self.path / name, data)

    def _make_room(self, name: str) -> None:
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)


def _replace(work: Path, target: Path) -> None:
    here = _working_folder()
    new = os.lstat(work).st_ino
    try:
        files.replace_folder(work, target)
    except OSError as error:
        if os.lstat(target).st_ino != new:
            raise
        _confirm(target, error)
    if here is not None and (here == target or target in here.parents):
        with suppress(OSError):
            os.chdir(here)  # the folder of this process has been replaced under it


def _confirm(target: Path, error: OSError) -> None:
    """The new folder is in its place: all that can be wrong is that the disk may not know, or old files are left."""
    try:
        files.sync_folder(target.parent)
    except OSError:
        raise StateError(
            f"saved to {target}, but the disk does not confirm it ({error.strerror}): after a power failure "
            "the older state may be there again; save once more"
        ) from error
    warnings.warn(f"saved to {target}, but the older state beside it cannot be removed: {error}", stacklevel=2)


def _working_folder() -> Path | None:
    try:
        return Path(os.getcwd())
    except OSError:
        return None


@contextmanager
def _refusals(target: Path) -> Iterator[None]:
    """Say what a disk's refusal means: nothing was changed."""
    try:
        yield
    except OSError as error:
        said: Any = error.strerror or error
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StateError(f"no room to save to {target} ({said}): {_KEPT}; free space, then save again") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StateError(
                f"not allowed to save to {target} ({said}): {_KEPT}; give this user write permission on "
                f"{target.parent}, where the new folder is made, or save to another folder"
            ) from error
        raise StateError(f"cannot save to {target} ({said}): {_KEPT}") from error


@contextmanager
def _drafting(target: Path) -> Iterator[None]:
    """Say the same when it is a file just written that does not read back."""
    with _refusals(target):
        try:
            yield
        except StateError as error:
            raise StateError(f"cannot save to {target} ({error}): {_KEPT}") from error
