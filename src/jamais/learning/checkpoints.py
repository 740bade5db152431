"""When is a training run saved, which version is the best, and from which does it go on?

Each checkpoint is one version of a store, with the step and the metrics in its manifest. The name `best` moves in
the same commit; `last` is the newest. A run goes on from the last, never from the best: that is behind it.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from jamais.errors import InputError, SettingsError, StateError
from jamais.learning.training_state.progress import Mode
from jamais.persistence import Retention, VersionInfo
from jamais.persistence.background import BackgroundSaver, Committing
from jamais.types import StateTree

KIND = "training"
BEST = "best"


class Store(Committing, Protocol):
    """What checkpoints need of a store: `jamais.persistence.VersionStore` has it."""

    @property
    def current(self) -> int | None: ...

    def load(self, version: int | str | None = None) -> tuple[StateTree, VersionInfo]: ...

    def info(self, version: int | str | None = None) -> VersionInfo: ...

    def refs(self) -> dict[str, int]: ...


class Checkpoints:
    """Save a run into a store of its own: every so many steps or seconds, and when it stops or ends."""

    def __init__(
        self,
        store: Store,
        *,
        every_steps: int | None = None,
        every_seconds: float | None = None,
        metric: str = "loss",
        mode: Mode = "min",
        save_best: bool = False,
        keep: Retention | None = None,
        background: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`save_best` also saves whenever `metric` is better than ever; `keep` is the store's retention."""
        if (every_steps is not None and every_steps < 1) or (every_seconds is not None and not every_seconds > 0):
            raise SettingsError(
                f"checkpoints want every_steps >= 1 and every_seconds > 0, got {every_steps}, {every_seconds}"
            )
        if mode not in ("min", "max"):
            raise SettingsError(f"checkpoints want mode min or max, got {mode!r:.40}")
        self._store = store
        self._every_steps, self._every_seconds = every_steps, every_seconds
        self._metric, self._mode, self._save_best, self._keep = metric, mode, save_best, keep
        self._clock, self._saved_at = clock, clock()
        self._background = background
        self._saver: BackgroundSaver | None = None
        self._parent: int | None = None
        self._step = 0
        self._best: float | None = None

    def resume(self) -> StateTree | None:
        """Return the state of the last checkpoint, or None when there is none yet.

        A damaged one is named in a warning and the one before is returned: the run is exact from there, too. Raises
        StateError when the store holds something else, CorruptStateError when no checkpoint is whole.
        """
        try:
            self._store.info()
        except InputError:  # no store yet
            return None
        tree, info = self._store.load()
        if info.warnings:
            warnings.warn(f"checkpoints: {'; '.join(info.warnings)}", stacklevel=2)
        if info.kind != KIND:
            raise StateError(
                f"version {info.number} is of kind {info.kind[:40]!r}, not a checkpoint: give training its own folder"
            )
        self._parent = self._store.current
        self._step = int(info.metrics.get("step", 0))
        self._best = self._stored_best()
        return tree

    def at(self, step: int, state: Callable[[], StateTree], metrics: Mapping[str, float] | None = None) -> bool:
        """Look after `step` steps whether to save, do it, and return whether it was done.

        Raises what a save raises, also one in the background that has failed since.
        """
        if self._saver is not None:
            self._watched(self._saver.check)
        if step == self._step or not self._due(step, metrics or {}):
            return False
        self.save(step, state, metrics)
        return True

    def save(self, step: int, state: Callable[[], StateTree], metrics: Mapping[str, float] | None = None) -> None:
        """Save now, as `best` too if the metric is finite and better than that of the best saved."""
        known = {"step": float(step), **(metrics or {})}
        better = self._is_better(known)
        details: dict[str, Any] = {
            "reason": f"step {step}",
            "kind": KIND,
            "metrics": known,
            "refs": (BEST,) if better else (),
            "keep": self._keep,
        }
        self._watched(lambda: self._commit(state(), details))
        self._step, self._saved_at = step, self._clock()
        if better:
            self._best = known[self._metric]

    def finish(self, step: int, state: Callable[[], StateTree], metrics: Mapping[str, float] | None = None) -> None:
        """Save if this step is not saved yet, and return when it is on the disk."""
        if step != self._step:
            self.save(step, state, metrics)
        if self._saver is not None:
            self._watched(self._saver.close)

    def _due(self, step: int, metrics: Mapping[str, float]) -> bool:
        if self._every_steps is not None and step % self._every_steps == 0:
            return True
        if self._every_seconds is not None and self._clock() - self._saved_at >= self._every_seconds:
            return True
        return self._save_best and self._is_better(metrics)

    def _is_better(self, metrics: Mapping[str, float]) -> bool:
        value = metrics.get(self._metric, math.nan)
        if not math.isfinite(value):
            return False
        return self._best is None or (value < self._best if self._mode == "min" else value > self._best)

    def _commit(self, tree: StateTree, details: dict[str, Any]) -> None:
        if not self._background:
            self._parent = self._store.commit(tree, parent=self._parent, **details)
            return
        if self._saver is None:
            self._saver = BackgroundSaver(self._store, self._parent)
        self._saver.commit(tree, **details)

    def _watched(self, act: Callable[[], object]) -> None:
        # A save that failed must not count as the best: it is not there.
        try:
            act()
        except Exception:
            with suppress(Exception):  # the first error is the one to tell
                self._best = self._stored_best()
            raise

    def _stored_best(self) -> float | None:
        number = self._store.refs().get(BEST)
        return None if number is None else self._store.info(number).metrics.get(self._metric)
