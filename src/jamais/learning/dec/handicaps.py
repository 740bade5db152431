"""By how much must a new centre lead before it may take a row, so that remembered rows keep their labels?"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from jamais.types import Floats, Ints, Vectors

_MORE = 1e-9  # a tie must not go to the new centre after rounding


class Layer(Protocol):
    """A clustering layer whose centres each have a handicap."""

    handicaps: Any

    def leads(self, latents: Vectors) -> Floats: ...


def set_handicaps(layer: Layer, known: Vectors, labels: Ints, budget: float) -> None:
    """Give each centre that was born online the least handicap with which it takes few remembered latents [m, width].

    All of them together may take a share of `budget` of the rows of other clusters, each as many as the next. Centres
    of the first fit have no handicap, and keep none. A conformal bound: as remembered rows are a sample of old ones,
    about as many of all old ones go.
    """
    late = np.flatnonzero(layer.handicaps.cpu().numpy() > 0).tolist()
    late += [number for number in range(labels.max(initial=-1) + 1, len(layer.handicaps)) if number not in late]
    if not late:
        return
    layer.handicaps[late] = 0.0
    leads = layer.leads(known)
    own = leads[np.arange(len(known)), labels]
    may_go = int(budget * len(known) / len(late))
    for number in late:
        others = labels != number
        margins = np.sort((leads[:, number] - own)[others])[::-1]
        most = float(margins[may_go]) if may_go < len(margins) else 0.0
        # Never exactly 0: that is how a centre of the first fit is known.
        layer.handicaps[number] = max(most, 0.0) + _MORE
