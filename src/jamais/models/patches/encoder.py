"""What does a window of a series look like, as a short vector?

Two convolutions over time, the mean and the largest answer of each feature within the window, one linear layer: the
patch encoder of PaAno (ICLR 2026) made small, and convolutional throughout, so that windows that overlap share their
work. Vectors keep their length, unlike PaAno's: how large a deviation is tells more than where it points (measured on
SMD). Training is in `jamais.learning.contrastive`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jamais.detectors.windows.described.grid import NOTCHES, STEPS
from jamais.errors import CorruptStateError, SettingsError, ShapeMismatchError
from jamais.models.patches import fixed_point
from jamais.models.patches.weights import REACH, STEP, PatchShape, PatchWeights, drawn, weight_shapes
from jamais.types import Floats, StateTree, Vectors

if TYPE_CHECKING:
    from jamais.detectors.windows.described.trailing import Trailing
    from jamais.models.patches.network import PatchNetwork

_ROWS = 2_048  # rows that are worked on at once: their features stay in the processor's cache
_KEYS = ("settings", "weights", "steps")


class PatchEncoder:
    """Turn windows of `past` rows of a scaled series into vectors.

        encoder = PatchEncoder(channels=38)
        train_patches(encoder, scaled)           # jamais.learning; without it the weights are random ones
        vectors = encoder.describe(scaled)       # [n - past + 1, width]

    A vector has the same bits whatever else is described in the same call: weights, rows and features lie on grids
    (`fixed_point`) so coarse that every sum of products is exact, in any order and on any machine. Missing values
    (NaN) count as 0, the mean of a scaled channel; values beyond +-8 count as +-8. Raise `SettingsError` for sizes
    that make no sense.
    """

    name = "patches"
    group = "learned"

    def __init__(self, channels: int = 1, past: int = 64, width: int = 64, *, hidden: int = 64, seed: int = 0) -> None:
        self.shape: PatchShape = PatchShape(channels=channels, past=past, width=width, hidden=hidden, seed=seed)
        self.steps: int = 0
        """Training steps behind the weights."""
        self._weights: PatchWeights = fixed_point.rounded(drawn(self.shape))

    @property
    def w(self) -> int:
        """Rows of a window, as window banks call it."""
        return self.past

    @property
    def channels(self) -> int:
        """Channels of the series."""
        return self.shape.channels

    @property
    def past(self) -> int:
        """Rows of a window; a vector needs the `past - 1` rows before its own."""
        return self.shape.past

    @property
    def width(self) -> int:
        """Width of the vectors."""
        return self.shape.width

    @property
    def n_parameters(self) -> int:
        """How many numbers training moves."""
        return sum(array.size for array in self._weights.values())

    def describe(self, scaled: Floats) -> Vectors:
        """Describe the window that ends at each row from the `past`-th on: [n, channels] -> [n - past + 1, width].

        Fewer rows than `past` have no window: [0, width]. To go on with a stream, give the last `past - 1` rows
        again before the new ones. Raise `ShapeMismatchError` for rows of another width.
        """
        rows = np.asarray(scaled)
        if rows.ndim != 2 or rows.shape[1] != self.channels:
            raise ShapeMismatchError(f"the encoder wants rows [n, {self.channels}], got {list(rows.shape)}")
        vectors = np.empty((max(0, len(rows) - self.past + 1), self.width), dtype=np.float32)
        for start in range(0, len(vectors), _ROWS):
            part = vectors[start : start + _ROWS]
            part[:] = self._described(rows[start : start + len(part) + self.past - 1])
        return vectors

    def of(self, trailing: Trailing) -> Floats:
        """Describe for window banks the windows that end at each row: [n, width] in whole notches, none left out.

        What lies before the first row is missing.
        """
        before = np.full((self.past - 1, trailing.steps.shape[1]), np.nan)
        vectors = self.describe(np.concatenate([before, trailing.steps]) / STEPS)
        return np.rint(vectors.astype(np.float64) * NOTCHES)

    def network(self) -> PatchNetwork:
        """Make the torch module of these weights, to train it; `take` brings what it learned back."""
        from jamais.models.patches.network import PatchNetwork

        return PatchNetwork(self.shape, self._weights)

    def take(self, network: PatchNetwork, steps: int) -> None:
        """Take over the weights of a network after `steps` more steps of training.

        Raise `SettingsError` for weights that are not finite; the encoder then is what it was.
        """
        weights = network.weights()
        for name, array in weights.items():
            if not np.isfinite(array).all():
                raise SettingsError(f"weights {name} are not finite after {steps} steps: take a lower rate (lr)")
        self._weights = fixed_point.rounded(weights)
        self.steps += steps

    def state_dict(self) -> StateTree:
        """Copy all that is needed to describe, and to train on, with the same bits."""
        return {
            "settings": self.shape.as_tree(),
            "weights": {name: array.astype(np.float32) for name, array in self._weights.items()},
            "steps": self.steps,
        }

    def load_state_dict(self, tree: StateTree) -> None:
        """Become the encoder of a state; raise `CorruptStateError` naming what does not fit, and change nothing."""
        if type(tree) is not dict or tree.keys() != set(_KEYS) or type(tree["weights"]) is not dict:
            raise CorruptStateError(f"not the state of a PatchEncoder, wanted {', '.join(_KEYS)}: load another version")
        shape = PatchShape.from_tree(tree["settings"])
        if type(tree["steps"]) is not int or tree["steps"] < 0:
            raise CorruptStateError(f"encoder.steps: wanted a count, got {tree['steps']!r}: load another version")
        weights = _read_weights(tree["weights"], weight_shapes(shape))
        self.shape, self.steps, self._weights = shape, tree["steps"], weights

    def to_state(self) -> StateTree:
        """Copy the state, as `from_state` takes it."""
        return self.state_dict()

    @classmethod
    def from_state(cls, tree: StateTree) -> PatchEncoder:
        """Make the encoder of a state."""
        made = cls()
        made.load_state_dict(tree)
        return made

    def _described(self, rows: Floats) -> Vectors:
        """Describe the windows of a few rows [m + past - 1, channels] -> [m, width]."""
        weights = self._weights
        features = fixed_point.convolved(fixed_point.inputs(rows), weights["first"], weights["first_bias"], 1)
        features = fixed_point.features(features)
        features = fixed_point.convolved(features, weights["second"], weights["second_bias"], STEP)
        features = fixed_point.features(features)
        pooled = fixed_point.pooled(features, self.past - REACH + 1)
        return fixed_point.convolved(pooled, weights["head"][None], weights["head_bias"], 1).astype(np.float32)


def _read_weights(saved: dict[str, Any], wanted: dict[str, tuple[int, ...]]) -> PatchWeights:
    for name in sorted(wanted.keys() | saved.keys()):
        array: Any = saved.get(name)
        is_array = isinstance(array, np.ndarray)
        fits = is_array and array.dtype == np.float32 and array.shape == wanted.get(name)
        if not fits or not fixed_point.on_grid(array):
            told = f"{array.dtype} {array.shape}" if is_array else type(array).__name__
            raise CorruptStateError(
                f"encoder.weights.{name}: saved {told}, here float32 {wanted.get(name)} on the grid of weights:"
                " load another version"
            )
    return {name: np.ascontiguousarray(saved[name], dtype=np.float64) for name in wanted}
