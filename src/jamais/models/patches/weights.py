"""Which sizes does a patch encoder have, which arrays are its weights, and where do they begin?"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from jamais.errors import CorruptStateError, SettingsError
from jamais.types import Floats

KERNEL = 8
"""Rows that the first convolution sees."""
SECOND, STEP = 3, 4
"""Features that the second one sees, and the rows from one to the next."""
REACH = KERNEL + (SECOND - 1) * STEP
"""Rows behind one feature that is pooled."""
_MOST = 1 << 16  # of each size: sums stay exact (fixed_point)

PatchWeights = dict[str, Floats]
"""The weights by name; kernels are [row, input, output], the oldest row first."""


@dataclass(frozen=True)
class PatchShape:
    """The sizes; raise `SettingsError` for those that make no sense."""

    channels: int
    past: int
    """Rows of a window."""
    width: int
    """Width of the vectors."""
    hidden: int
    """Features of each convolution."""
    seed: int
    """Of the first weights."""

    def __post_init__(self) -> None:
        for name, least in (("channels", 1), ("past", REACH), ("width", 1), ("hidden", 1), ("seed", 0)):
            value = getattr(self, name)
            if type(value) is not int or value < least or (value > _MOST and name != "seed"):
                raise SettingsError(f"{name} of a patch encoder is a whole number from {least} on, got {value!r}")

    def as_tree(self) -> dict[str, Any]:
        """Give the sizes as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_tree(cls, tree: Any) -> PatchShape:
        """Read saved sizes; raise `CorruptStateError` for others."""
        names = {field.name for field in dataclasses.fields(cls)}
        if type(tree) is not dict or tree.keys() != names:
            raise CorruptStateError(f"encoder.settings: wanted {', '.join(sorted(names))}: load another version")
        try:
            return cls(**tree)
        except SettingsError as error:
            raise CorruptStateError(f"encoder.settings: {error}") from error


def weight_shapes(shape: PatchShape) -> dict[str, tuple[int, ...]]:
    """Give the shape of each array of weights."""
    return {
        "first": (KERNEL, shape.channels, shape.hidden),
        "first_bias": (shape.hidden,),
        "second": (SECOND, shape.hidden, shape.hidden),
        "second_bias": (shape.hidden,),
        "head": (2 * shape.hidden, shape.width),
        "head_bias": (shape.width,),
    }


def drawn(shape: PatchShape) -> PatchWeights:
    """Draw first weights from the seed: normal ones of He's size, no bias."""
    chance = np.random.default_rng(shape.seed)
    weights: PatchWeights = {}
    for name, size in weight_shapes(shape).items():
        inputs = int(np.prod(size[:-1]))
        weights[name] = np.zeros(size) if len(size) == 1 else chance.normal(scale=np.sqrt(2 / inputs), size=size)
    return weights
