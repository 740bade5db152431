"""Has a window that MEMTO describes for window banks the same bits in every company, and does a state keep them?"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jamais.detectors.windows import BankSettings, WindowBanks
from jamais.detectors.windows.described.grid import NOTCHES, STEPS
from jamais.detectors.windows.described.trailing import Trailing
from jamais.errors import CorruptStateError, ShapeMismatchError
from jamais.models.memto import MEMTO, MEMTOWindows
from jamais.models.memto.windows import LAST
from jamais.testing.bits import digest

WINDOW = 16
SMALL = BankSettings(prototypes=16, statistics=(8,), deviations=(8,), shapes=(16,), patterns=(16,))


def rows(n: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    chance = np.random.default_rng(seed)
    waves = np.sin(np.arange(n)[:, None] / (2.0 + np.arange(channels)))
    return np.asarray(waves + 0.1 * chance.normal(size=(n, channels)))


def trained() -> MEMTO:
    model = MEMTO(3, latent_dim=8, n_heads=2, n_layers=1, num_memory_items=3, d_ff=8, window=WINDOW)
    values = rows(200).astype(np.float32)
    return model.fit([np.stack([values[at : at + WINDOW] for at in range(start, start + 40)]) for start in (0, 60)])


MODEL = trained()


def banks_of(values: np.ndarray) -> WindowBanks:
    banks = WindowBanks(SMALL, encoder=MEMTOWindows(MODEL))
    banks.fit(values)
    return banks


BANKS = banks_of(rows(300))


def test_a_description_is_the_pooled_queries_and_what_isd_and_lsd_were_at_the_end() -> None:
    encoder, steps = MEMTOWindows(MODEL), np.rint(rows(40) * STEPS)
    found = encoder.of(Trailing(steps))
    assert found.shape == (40, encoder.width)
    for row in (WINDOW - 1, 25, 39):
        window = (steps[row + 1 - WINDOW : row + 1] / STEPS)[None]
        criterion = [np.sqrt(look(window)[0, -LAST:].astype(np.float64).mean()) for look in (MODEL.isd, MODEL.lsd)]
        wanted = np.concatenate([MODEL.pooled(window)[0], criterion]) * NOTCHES
        np.testing.assert_allclose(found[row], wanted, atol=0.51)
        assert (found[row] == np.rint(found[row])).all()
    assert (found[:, -2:] >= 0).all()


def test_only_what_is_wanted_is_described_and_has_the_same_bits() -> None:
    encoder, steps = MEMTOWindows(MODEL), np.rint(rows(60) * STEPS)
    whole = encoder.of(Trailing(steps))
    np.testing.assert_array_equal(encoder.of(Trailing(steps, 20)), whole[40:])
    wanted = np.array([41, 44, 59])
    some = encoder.of(Trailing(steps, 20, wanted))
    np.testing.assert_array_equal(some[wanted - 40], whole[wanted])
    assert not np.delete(some, wanted - 40, axis=0).any()


def test_missing_is_the_mean_and_far_is_cut() -> None:
    encoder = MEMTOWindows(MODEL)
    steps = np.rint(rows(40) * STEPS)
    steps[20, 1], steps[22, 0] = np.nan, 90 * STEPS
    filled = steps.copy()
    filled[20, 1], filled[22, 0] = 0.0, 8 * STEPS
    np.testing.assert_array_equal(encoder.of(Trailing(steps)), encoder.of(Trailing(filled)))
    before = np.concatenate([np.full((WINDOW - 1, 3), np.nan), steps])
    np.testing.assert_array_equal(encoder.of(Trailing(before, 40)), encoder.of(Trailing(steps)))


def test_an_odd_end_of_a_window_shows_in_the_criterion() -> None:
    steps = np.rint(rows(60) * STEPS)
    odd = steps.copy()
    odd[50:, 1] += 5 * STEPS
    encoder = MEMTOWindows(MODEL)
    assert encoder.of(Trailing(odd))[-1, -2] > 1.4 * encoder.of(Trailing(steps))[:, -2].max()


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(1, 119), max_size=5), hindsight=st.booleans())
def test_pieces_are_scored_as_the_whole(cuts: list[int], hindsight: bool) -> None:
    values = rows(120, seed=1)
    values[40, 1] = np.nan
    whole = BANKS.look(values, hindsight=hindsight)
    edges = [0, *sorted(set(cuts)), 120]
    for first, last in pairwise(edges):
        begin, end = max(0, first - BANKS.past), last + BANKS.ahead if hindsight else last
        piece = BANKS.look(values[begin:end], first - begin, last - begin, hindsight=hindsight)
        np.testing.assert_array_equal(piece.score, whole.score[first:last])
        np.testing.assert_array_equal(piece.parts, whole.parts[first:last])


def test_one_row_at_a_time_is_scored_as_the_whole() -> None:
    values = rows(80, seed=2)
    alone = [BANKS.look(values[max(0, row - BANKS.past) : row + 1], min(row, BANKS.past)).score[0] for row in range(80)]
    np.testing.assert_array_equal(alone, BANKS.look(values).score)


def test_banks_save_it_without_what_only_training_needs() -> None:
    tree = BANKS.state_dict()
    assert tree["encoder"]["type"] == "memto-windows"
    assert tree["encoder"]["state"]["optimizer"] == {}
    assert MODEL.to_state()["optimizer"], "the model itself goes on with its moments"
    again = WindowBanks()
    again.load_state_dict(tree)
    assert digest(again.state_dict()) == digest(tree)
    values = rows(100, seed=3)
    np.testing.assert_array_equal(again.look(values).score, BANKS.look(values).score)


def test_scoring_blame_and_learning_leave_the_model_as_it_is() -> None:
    before = digest(MODEL.to_state())
    banks, values = BANKS.copy(), rows(100, seed=4)
    banks.look(values)
    blame = banks.blame(values, np.array([50, 90]))
    np.testing.assert_allclose(blame.shares.sum(axis=1), 1.0)
    banks.learn(values + 3.0, 20)
    assert digest(MODEL.to_state()) == before


def test_blame_and_places_describe_as_scores_do() -> None:
    values = rows(100, seed=5)
    encoder = MEMTOWindows(MODEL)
    whole = encoder.of(Trailing(BANKS.steps_of(values)))
    place = BANKS.places(values, np.array([60, 99]))
    at = BANKS.names.index("memto")
    widths = [bank.rows.shape[1] for bank in BANKS.jury.banks]
    part = place[:, sum(widths[:at]) : sum(widths[: at + 1])]
    factor = np.sqrt(BANKS.weights[at]) / (NOTCHES * BANKS.units[at])
    np.testing.assert_array_equal(part, (whole[[60, 99]] * factor).astype(np.float32))


def test_other_channels_and_damaged_states_are_told() -> None:
    with pytest.raises(ShapeMismatchError, match="wants 3 channels, got 2"):
        MEMTOWindows(MODEL).of(Trailing(np.zeros((20, 2))))
    tree: dict[str, Any] = MEMTOWindows(MODEL).state_dict()
    tree["model"] = {}
    with pytest.raises(CorruptStateError, match="missing or unknown"):
        MEMTOWindows.from_state(tree)
