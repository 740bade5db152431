"""Which channels make a window unlike all that is remembered, and what is it nearest to?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jamais.detectors.windows.described.grid import NOTCHES
from jamais.detectors.windows.described.trailing import Trailing
from jamais.detectors.windows.window_banks import WindowBanks
from jamais.types import Floats, Ints, Vectors


class Blame(NamedTuple):
    """Reasons of some rows [m]."""

    shares: Floats
    """[m, C] of the channels in the score, they sum to 1; 0 where nothing is unlike."""
    nearest: Ints
    """[m] slot of the remembered window that most banks find nearest."""
    ends: Ints
    """[m] row of history at which that window ended."""


def blame(banks: WindowBanks, values: Floats, rows: Ints) -> Blame:
    """Give the reasons for some `rows` [m] of `values` [n, C].

    Each bank's vote is split as the squared differences to its nearest remembered window are.
    """
    shares = np.zeros((len(rows), banks.channels))
    votes = np.zeros((len(rows), len(banks.remembered.ends)))
    for weight, unit, bank, described in _described(banks, values, rows):
        compared = bank.compare(described)
        nearest = compared.slots()
        distance = compared.distances(banks.settings.neighbours, banks.remembered.stands) / unit
        by_channel = bank.differences(described, nearest)
        if by_channel.shape[1] % banks.channels == 0 and bank.descriptor.group != "learned":
            by_channel = by_channel.reshape(len(rows), -1, banks.channels).sum(axis=1)
            total = by_channel.sum(axis=1, keepdims=True)
            shares += weight * distance[:, None] * by_channel / np.maximum(total, 1e-300)
        votes[np.arange(len(rows)), nearest] += weight
    total = shares.sum(axis=1, keepdims=True)
    slots = votes.argmax(axis=1)
    return Blame(shares / np.maximum(total, 1e-300), slots, banks.remembered.ends[slots])


def places(banks: WindowBanks, values: Floats, rows: Ints) -> Vectors:
    """Give one description [m, width] of the windows that end at `rows` [m], in which distances are like scores.

    All banks side by side, each in its units and by the root of its weight; unknown is 0.
    """
    parts = [
        np.nan_to_num(described, nan=0.0) * (np.sqrt(weight) / (NOTCHES * unit))
        for weight, unit, _, described in _described(banks, values, rows)
    ]
    return np.concatenate(parts, axis=1).astype(np.float32)


def _described(banks: WindowBanks, values: Floats, rows: Ints):  # type: ignore[no-untyped-def]
    """Describe the windows that end at `rows` in every bank."""
    steps, past = banks.steps_of(values), banks.past + 1
    start, stop = (max(0, int(rows.min()) + 1 - past), int(rows.max()) + 1) if len(rows) else (0, 0)
    if stop - start < len(rows) * past:
        # Rows close together share what lies before them.
        trailing, at = Trailing(steps[start:stop]), rows - start
    else:
        windows = np.full((len(rows), past, banks.channels), np.nan)
        for slot, row in enumerate(rows.tolist()):
            piece = steps[max(0, row + 1 - past) : row + 1]
            windows[slot, past - len(piece) :] = piece
        trailing, at = Trailing(windows.reshape(-1, banks.channels)), np.arange(past - 1, len(rows) * past, past)
    for weight, unit, bank in zip(banks.weights.tolist(), banks.units.tolist(), banks.banks, strict=True):
        yield weight, unit, bank, bank.descriptor.of(trailing)[at]
