"""Has a described window the same bits in every company, are they those of integers, and does a state keep them?"""

from __future__ import annotations

import copy
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jamais.detectors.windows import WindowBanks
from jamais.detectors.windows.described.grid import NOTCHES, STEPS
from jamais.detectors.windows.described.trailing import Trailing
from jamais.errors import CorruptStateError, SettingsError, ShapeMismatchError
from jamais.models.patches import PatchEncoder
from jamais.models.patches.weights import KERNEL, REACH, SECOND, STEP
from jamais.persistence import load_model_auto, save_model_binary


def rows(n: int, channels: int = 5, seed: int = 0, gaps: float = 0.0) -> np.ndarray:
    chance = np.random.default_rng(seed)
    made = chance.normal(scale=3.0, size=(n, channels))
    made[chance.random(made.shape) < gaps] = np.nan
    return made


def twin(encoder: PatchEncoder, window: np.ndarray) -> np.ndarray:
    """Describe one window in whole numbers of Python, one product at a time."""
    weights = {
        name: np.rint(array.astype(np.float64) * 4096).astype(int)
        for name, array in encoder.state_dict()["weights"].items()
    }
    whole = np.rint(np.clip(np.nan_to_num(window, nan=0.0), -8, 8) * 1024).astype(int)

    def layer(source: np.ndarray, kernel: np.ndarray, bias: np.ndarray, step: int) -> np.ndarray:
        made = []
        for row in range(len(source) - (len(kernel) - 1) * step):
            total = bias * 1024
            for place in range(len(kernel)):
                total = total + (source[row + place * step][:, None] * kernel[place]).sum(axis=0)
            made.append(np.clip(np.rint(total / 4096), 0, 65_535).astype(int))
        return np.array(made)

    features = layer(whole, weights["first"], weights["first_bias"], 1)
    features = layer(features, weights["second"], weights["second_bias"], STEP)
    mean = np.rint(features.sum(axis=0) / 1024 * (1.0 / len(features)) * 1024).astype(int)
    pooled = np.concatenate([mean, features.max(axis=0)])
    total = (pooled[:, None] * weights["head"]).sum(axis=0) + weights["head_bias"] * 1024
    return (total / (4096 * 1024)).astype(np.float32)


def test_a_vector_is_that_of_whole_numbers() -> None:
    encoder = PatchEncoder(3, past=20, width=4, hidden=5, seed=1)
    values = rows(40, 3, gaps=0.1) * 2  # some beyond the cut
    found = encoder.describe(values)
    assert found.shape == (21, 4)
    assert found.dtype == np.float32
    for end in (0, 7, 20):
        np.testing.assert_array_equal(found[end], twin(encoder, values[end : end + 20]))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 9_999), st.integers(1, 30), st.integers(REACH, 70), st.integers(1, 50))
def test_a_window_has_the_same_bits_alone_in_pieces_and_in_the_whole(
    seed: int, channels: int, past: int, piece: int
) -> None:
    encoder = PatchEncoder(channels, past=past, width=9, hidden=17, seed=seed)
    values = rows(past + 60, channels, seed, gaps=0.05)
    whole = encoder.describe(values)
    for start in range(0, len(whole), piece):
        part = encoder.describe(values[start : start + piece + past - 1])
        assert part.tobytes() == whole[start : start + piece].tobytes()
    at = seed % len(whole)
    assert encoder.describe(np.asfortranarray(values)[at : at + past]).tobytes() == whole[at].tobytes()


def test_pieces_of_a_long_series_meet_without_a_seam() -> None:
    encoder = PatchEncoder(4, past=16, width=3, hidden=4)
    values = rows(5_000, 4)
    whole = encoder.describe(values)
    for start in (2_040, 4_090):
        assert encoder.describe(values[start : start + 31]).tobytes() == whole[start : start + 16].tobytes()


def test_the_torch_network_says_the_same_but_for_rounding() -> None:
    torch = pytest.importorskip("torch")
    encoder = PatchEncoder(6, past=33, width=8, hidden=12, seed=2)
    values = rows(80, 6).clip(-8, 8)
    windows = np.lib.stride_tricks.sliding_window_view(values, 33, axis=0).astype(np.float32)
    network = encoder.network().eval()
    with torch.no_grad():
        found = network(torch.from_numpy(windows.copy())).numpy()
    np.testing.assert_allclose(found, encoder.describe(values), atol=0.02)
    encoder_again = PatchEncoder(6, past=33, width=8, hidden=12, seed=9)
    encoder_again.take(network, 0)
    np.testing.assert_array_equal(encoder_again.describe(values), encoder.describe(values))


def test_describing_changes_nothing_and_needs_no_torch() -> None:
    encoder = PatchEncoder(5, past=20)
    values = rows(50, gaps=0.1)
    before, kept = copy.deepcopy(encoder.state_dict()), values.copy()
    encoder.describe(values)
    np.testing.assert_array_equal(values, kept)
    after = encoder.state_dict()
    assert all(after["weights"][name].tobytes() == array.tobytes() for name, array in before["weights"].items())
    code = (
        "import sys, numpy as np; from jamais.models.patches import PatchEncoder;"
        "PatchEncoder(2).describe(np.zeros((70, 2))); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})


def test_a_saved_encoder_describes_with_the_same_bits(tmp_path: Path) -> None:
    encoder = PatchEncoder(5, past=20, seed=4)
    save_model_binary(encoder, tmp_path / "encoder.bin")
    again = load_model_auto(tmp_path / "encoder.bin")
    assert again.describe(rows(60)).tobytes() == encoder.describe(rows(60)).tobytes()
    assert again.shape == encoder.shape


def _without(tree: dict[str, Any], name: str) -> dict[str, Any]:
    return {**tree, "weights": {key: array for key, array in tree["weights"].items() if key != name}}


def _with(tree: dict[str, Any], name: str, array: Any) -> dict[str, Any]:
    return {**tree, "weights": {**tree["weights"], name: array}}


def test_a_damaged_state_is_told_and_changes_nothing() -> None:
    encoder = PatchEncoder(5, past=20)
    tree = encoder.state_dict()
    before = encoder.describe(rows(40)).tobytes()
    head = tree["weights"]["head"]
    for damage, text in (
        ({}, "not the state of a PatchEncoder"),
        ({**tree, "settings": {"past": 3}}, "encoder.settings: wanted"),
        ({**tree, "settings": {**tree["settings"], "past": 3}}, "encoder.settings: past"),
        ({**tree, "steps": -1}, "encoder.steps"),
        (_without(tree, "head"), "encoder.weights.head: saved NoneType"),
        (_with(tree, "more", head), "encoder.weights.more"),
        (_with(tree, "head", head.astype(np.float64)), "encoder.weights.head: saved float64"),
        (_with(tree, "head", head * np.float32(np.nan)), "on the grid"),
        (_with(tree, "head", head + np.float32(1e-5)), "on the grid"),
        (_with(tree, "head", head[:-1]), "encoder.weights.head: saved float32"),
    ):
        with pytest.raises(CorruptStateError, match=text):
            encoder.load_state_dict(damage)
    assert encoder.describe(rows(40)).tobytes() == before


def test_sizes_and_rows_that_make_no_sense_are_told() -> None:
    for name, value in (("channels", 0), ("past", REACH - 1), ("width", 2.0), ("hidden", 1 << 20), ("seed", -1)):
        with pytest.raises(SettingsError, match=f"{name} of a patch encoder"):
            PatchEncoder(**{"channels": 3, name: value})
    encoder = PatchEncoder(3, past=REACH)
    for wrong in (np.zeros((50, 4)), np.zeros(50), np.zeros((1, 50, 3))):
        with pytest.raises(ShapeMismatchError, match=r"wants rows \[n, 3\]"):
            encoder.describe(wrong)
    assert encoder.describe(np.zeros((REACH - 1, 3))).shape == (0, 64)
    assert KERNEL + (SECOND - 1) * STEP == REACH


def test_infinite_values_count_as_the_largest() -> None:
    encoder = PatchEncoder(2, past=REACH, width=3)
    values = rows(REACH, 2)
    values[3, 1], values[5, 0] = np.inf, -np.inf
    cut = np.clip(values, -8, 8)
    np.testing.assert_array_equal(encoder.describe(values), encoder.describe(cut))


def test_window_banks_take_it() -> None:
    values = np.sin(np.arange(600)[:, None] / [3.0, 7.0]) + 0.1 * rows(600, 2)
    banks = WindowBanks(encoder=PatchEncoder(2, past=32, width=8))
    banks.fit(values)
    assert "patches" in banks.names
    score = banks.look(values).score
    again = WindowBanks()
    again.load_state_dict(banks.state_dict())
    np.testing.assert_array_equal(again.look(values).score, score)
    alone = [banks.look(values[row - banks.past : row + 1], banks.past).score[0] for row in range(200, 205)]
    np.testing.assert_array_equal(alone, score[200:205])


def test_what_lies_before_the_first_row_is_missing() -> None:
    encoder = PatchEncoder(2, past=20, width=3)
    steps = np.rint(rows(30, 2) * STEPS)
    found = encoder.of(Trailing(steps))
    assert found.shape == (30, 3)
    np.testing.assert_array_equal(found[19:], np.rint(encoder.describe(steps / STEPS).astype(np.float64) * NOTCHES))


@pytest.mark.slow
def test_it_is_fast_enough() -> None:
    encoder = PatchEncoder(25)
    values = rows(20_000, 25)
    encoder.describe(values[:3_000])
    start = time.process_time()
    encoder.describe(values)
    rate = 20_000 / (time.process_time() - start)
    start = time.process_time()
    for row in range(200):
        encoder.describe(values[row : row + encoder.past])
    each = (time.process_time() - start) / 200
    # 170,000 rows a second and 0.23 ms on the machine it was written on
    assert rate > 20_000
    assert each < 0.003
