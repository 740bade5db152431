"""How far has a training run come, how did it go, and is it time to stop?"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from jamais.errors import SettingsError, StateError
from jamais.learning.training_state.reading import part
from jamais.types import StateTree

Mode = Literal["min", "max"]


class EarlyStopping:
    """Stop when a value has not improved by more than `min_delta` for `patience` looks."""

    def __init__(self, patience: int, min_delta: float = 0.0, mode: Mode = "min") -> None:
        if patience < 1 or not 0.0 <= min_delta < math.inf or mode not in ("min", "max"):
            raise SettingsError(
                f"early stopping wants patience >= 1, min_delta >= 0 and mode min or max, got {patience}, "
                f"{min_delta}, {mode!r:.20}"
            )
        self.patience, self.min_delta, self.mode = patience, min_delta, mode
        self.best: float | None = None
        self.best_step: int | None = None
        self.looks_without = 0
        """How many looks ago the best value was."""

    @property
    def stopped(self) -> bool:
        """Whether patience has run out."""
        return self.looks_without >= self.patience

    def look(self, value: float, step: int) -> bool:
        """Take in one value and return `stopped`; NaN and infinities never count as better."""
        if math.isfinite(value) and self._is_better(value):
            self.best, self.best_step, self.looks_without = float(value), step, 0
        else:
            self.looks_without += 1
        return self.stopped

    def state_dict(self) -> StateTree:
        """Return what was seen; patience and min_delta are settings and may be others next time."""
        return {
            "mode": self.mode,
            "best": self.best,
            "best_step": self.best_step,
            "looks_without": self.looks_without,
        }

    def load_state_dict(self, tree: StateTree) -> None:
        """Go on with what was seen; raise `StateError` when it was looked at the other way round."""
        mode = part(tree, "mode", str, "early_stopping")
        if mode != self.mode:
            raise StateError(f"early_stopping.mode: saved {mode[:20]}, here {self.mode}: use the same one")
        looks = part(tree, "looks_without", int, "early_stopping")
        best, best_step = tree.get("best"), tree.get("best_step")
        if best is not None or best_step is not None:
            best, best_step = (
                part(tree, "best", float, "early_stopping"),
                part(tree, "best_step", int, "early_stopping"),
            )
        self.best, self.best_step, self.looks_without = best, best_step, looks

    def _is_better(self, value: float) -> bool:
        if self.best is None:
            return True
        gain = self.best - value if self.mode == "min" else value - self.best
        return gain > self.min_delta


class Progress:
    """Steps and epochs done, and every figure that was noted on the way."""

    def __init__(self, early_stopping: EarlyStopping | None = None) -> None:
        self.step = 0
        """Updates done; the next one has this number."""
        self.epoch = 0
        self.history: dict[str, list[float]] = {}
        """Figures by name, in the order they were noted."""
        self.figures: dict[str, float] = {}
        """What was noted since the last update: the metrics of a checkpoint made now."""
        self.early_stopping = early_stopping

    @property
    def losses(self) -> list[float]:
        """The loss of every step."""
        return self.history.setdefault("loss", [])

    def stepped(self, loss: float) -> None:
        """Count one update and note its loss."""
        self.step += 1
        self.figures = {}
        self.note(loss=loss)

    def note(self, **figures: float) -> None:
        """Put figures of this moment into the history."""
        for name, value in figures.items():
            self.history.setdefault(name, []).append(float(value))
            self.figures[name] = float(value)

    def state_dict(self) -> StateTree:
        """Return all of it; the history as float64 arrays, bit for bit."""
        return {
            "step": self.step,
            "epoch": self.epoch,
            "history": {name: np.array(values, dtype=np.float64) for name, values in self.history.items()},
            "early_stopping": None if self.early_stopping is None else self.early_stopping.state_dict(),
        }

    def load_state_dict(self, tree: StateTree) -> None:
        """Go on from a saved state; raise `StateError` naming what does not fit, and change nothing then."""
        step, epoch = part(tree, "step", int, "trainer"), part(tree, "epoch", int, "trainer")
        history = part(tree, "history", dict, "trainer")
        for name in history:
            figures = part(history, name, np.ndarray, "trainer.history")
            if figures.dtype != np.float64 or figures.ndim != 1:
                raise StateError(f"trainer.history.{name}: wanted a row of float64: load another version")
        stopping = tree.get("early_stopping")
        if (stopping is None) != (self.early_stopping is None):
            side = "saved, but not here" if stopping is not None else "here, but not in the saved state"
            raise StateError(f"trainer.early_stopping: {side}: give the same settings")
        if self.early_stopping is not None:
            self.early_stopping.load_state_dict(part(tree, "early_stopping", dict, "trainer"))
        self.step, self.epoch = step, epoch
        self.history = {name: figures.tolist() for name, figures in history.items()}
        self.figures = {}
