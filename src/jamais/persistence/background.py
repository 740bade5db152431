"""How is a state saved while its owner goes on changing it?

The caller waits for one copy of the arrays, made into buffers that are kept from save to save; a thread does the
rest. One save is in flight at a time. The thread is none of those that die with the interpreter: a program that
ends meanwhile ends after the save.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from jamais.persistence.versions.retention import Retention
from jamais.types import StateTree


class Committing(Protocol):
    """What a saver needs of a store."""

    def commit(
        self,
        tree: StateTree,
        *,
        reason: str,
        kind: str,
        metrics: Mapping[str, float] | None = None,
        parent: int | None,
        refs: Sequence[str] = (),
        keep: Retention | None = None,
    ) -> int: ...


class BackgroundSaver:
    """Commit states to a store from a thread; each version's parent is the one saved before it.

    The error of a failed save is raised by the next call, whichever it is, or by the end of the `with` block; the
    state given to that next call is then not saved. An error that nobody asked for is told on stderr at the end.
    """

    def __init__(self, store: Committing, parent: int | None = None) -> None:
        self._store = store
        self._outcome = _Outcome(parent)
        self._snapshot = _Snapshot()
        self._thread: threading.Thread | None = None
        weakref.finalize(self, _tell, self._outcome)

    def commit(
        self,
        tree: StateTree,
        *,
        reason: str,
        kind: str,
        metrics: Mapping[str, float] | None = None,
        refs: Sequence[str] = (),
        keep: Retention | None = None,
    ) -> None:
        """Copy the state, return, and save the copy meanwhile; wait first for the save before, if need be.

        Raises the error of the save before.
        """
        self.wait()
        details = {
            "reason": reason,
            "kind": kind,
            "metrics": dict(metrics or {}),
            "refs": tuple(refs),
            "keep": keep,
            "parent": self._outcome.version,
        }
        copied = self._snapshot.take(tree)
        # Not a daemon: the interpreter waits for it at the end.
        self._thread = threading.Thread(
            target=_save, args=(self._store, copied, details, self._outcome), name="jamais-save", daemon=False
        )
        self._thread.start()

    def check(self) -> None:
        """Raise the error of a save that has failed; wait for nothing."""
        if self._thread is not None and not self._thread.is_alive():
            self.wait()

    def wait(self) -> int | None:
        """Wait for the save in flight; return the newest version saved, or raise the error."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._outcome.failure is not None:
            failure, self._outcome.failure = self._outcome.failure, None
            raise failure
        return self._outcome.version

    def close(self) -> int | None:
        """Do as `wait` does and let go of the buffers."""
        self._snapshot = _Snapshot()
        return self.wait()

    def __enter__(self) -> BackgroundSaver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.close()
        except Exception as failure:
            if error is None:
                raise
            error.add_note(f"and a background save failed: {failure}")


class _Outcome:
    """What the thread leaves behind; apart from the saver, so that it can be told when the saver is gone."""

    def __init__(self, version: int | None) -> None:
        self.version = version
        self.failure: BaseException | None = None


def _save(store: Committing, tree: StateTree, details: dict[str, Any], outcome: _Outcome) -> None:
    try:
        outcome.version = store.commit(tree, **details)
    except BaseException as failure:  # whatever it is, it belongs to the caller's thread
        outcome.failure = failure


def _tell(outcome: _Outcome) -> None:
    if outcome.failure is not None:
        print(f"jamais: a background save failed and nobody asked for it: {outcome.failure}", file=sys.stderr)


class _Snapshot:
    """A copy of a tree in buffers that are used again as long as path, dtype and shape stay the same."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, ...], NDArray[Any]] = {}
        self._used: dict[tuple[str, ...], NDArray[Any]] = {}
        self._copied: dict[tuple[Any, ...], NDArray[Any]] = {}

    def take(self, tree: StateTree) -> StateTree:
        """Return the copy; it holds until the next call. What cannot be saved is handed on for the store to refuse."""
        self._used, self._copied = {}, {}
        copied: StateTree = self._value(tree, ())
        self._buffers = self._used
        return copied

    def _value(self, value: Any, path: tuple[str, ...]) -> Any:
        if type(value) is dict:
            return {key: self._value(inner, (*path, key)) for key, inner in value.items()}
        if type(value) is list:
            return [self._value(inner, path) if type(inner) in (list, dict) else inner for inner in value]
        if type(value) in (np.ndarray, np.memmap):
            return self._array(value, path)
        return value

    def _array(self, array: NDArray[Any], path: tuple[str, ...]) -> NDArray[Any]:
        # Tied weights stay one array: the store knows them by their place in memory.
        place = (array.__array_interface__["data"][0], array.dtype, array.shape, array.strides)
        if array.nbytes and place in self._copied:
            return self._copied[place]
        buffer = self._buffers.get(path)
        if buffer is None or buffer.dtype != array.dtype or buffer.shape != array.shape:
            buffer = np.empty(array.shape, array.dtype)
        np.copyto(buffer, array)
        self._used[path] = self._copied[place] = buffer
        return buffer
