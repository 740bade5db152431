"""Which channels make a window unlike all that is remembered, and what is it nearest to?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jamais.detectors.windows.described.trailing import Trailing
from jamais.detectors.windows.jury import MOST, described_windows
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
    jury, shares = banks.jury, np.zeros((len(rows), banks.channels))
    votes = np.zeros((len(rows), len(jury.ends)))
    wanted = np.arange(len(rows)) * banks.window + banks.window - 1
    trailing = Trailing(banks.steps_of(_windows(banks, values, rows)), wanted=wanted)
    for weight, unit, bank in zip(jury.weights.tolist(), jury.units.tolist(), jury.banks, strict=True):
        described = bank.descriptor.of(trailing)[banks.window - 1 :: banks.window]
        compared = bank.compare(described)
        nearest = compared.slots()
        votes[np.arange(len(rows)), nearest] += weight
        if bank.descriptor.group != "learned":  # what is learned belongs to no channel
            apart = bank.differences(described, nearest).reshape(len(rows), -1, banks.channels).sum(axis=1)
            part = compared.distances(jury.neighbours, jury.stands) / unit
            vote = weight * (MOST * part / (MOST + part))
            shares += vote[:, None] * apart / np.maximum(apart.sum(axis=1, keepdims=True), 1e-300)
    total = shares.sum(axis=1, keepdims=True)
    slots = votes.argmax(axis=1)
    return Blame(shares / np.maximum(total, 1e-300), slots, jury.ends[slots])


def places(banks: WindowBanks, values: Floats, rows: Ints) -> Vectors:
    """Give one description [m, width] of the windows that end at `rows` [m], in which distances are like scores."""
    windows = banks.steps_of(_windows(banks, values, rows))
    return banks.jury.places(described_windows([bank.descriptor for bank in banks.jury.banks], windows, banks.window))


def _windows(banks: WindowBanks, values: Floats, rows: Ints) -> Floats:
    """Cut out the windows that end at `rows` [m], one after the other, [m * window, C]; what is not there is NaN."""
    windows = np.full((len(rows), banks.window, banks.channels), np.nan)
    for at, row in enumerate(rows.tolist()):
        piece = values[max(0, row + 1 - banks.window) : row + 1]
        windows[at, banks.window - len(piece) :] = piece
    return windows.reshape(-1, banks.channels)
