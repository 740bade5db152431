from __future__ import annotations

from collections import Counter

import pytest

from jamais.learning.masked_batches import MaskedBatches, PieceCodes, bucket_of

CODES = PieceCodes(pad=0, mask=4, first_ordinary=6, size=30)
LINES = [[2, 7, 8, 9, 3], [2, 10, 5, 11, 3], [2, 3], [2, *range(6, 30), 3]]
WEIGHTS = [1.0, 3.0, 50.0, 2.0]


def test_hidden_pieces_are_ordinary_and_every_line_has_one() -> None:
    sampler = MaskedBatches(LINES, WEIGHTS, CODES, batch=16, mask_share=0.2, seed=0)
    for _ in range(40):
        ids, real, hidden, answers = sampler.draw()
        assert hidden.any(1).all()
        assert (answers >= CODES.first_ordinary).all()
        assert len(answers) == int(hidden.sum())
        assert not (hidden & ~real).any()
        assert ids.shape[1] in {5, 26}
        assert len(ids) * bucket_of(ids.shape[1]) == 16 * 16  # every step costs the same
        assert (ids[:, 0] == 2).all()


def test_four_fifths_of_hidden_pieces_are_masked() -> None:
    sampler = MaskedBatches([[2, *range(6, 20), 3]], [1.0], CODES, batch=256, mask_share=0.2, seed=1)
    fates: Counter[str] = Counter()
    for _ in range(20):
        ids, _, hidden, answers = sampler.draw()
        shown = ids[hidden]
        fates["masked"] += int((shown == CODES.mask).sum())
        fates["kept"] += int((shown == answers).sum())
        fates["all"] += len(answers)
    assert abs(fates["masked"] / fates["all"] - 0.8) < 0.01
    assert abs(fates["kept"] / fates["all"] - 0.1) < 0.02
    assert abs(fates["all"] / (20 * 256 * 14) - 0.2) < 0.02


def test_lines_are_drawn_in_proportion_to_their_weight_whatever_their_length() -> None:
    sampler = MaskedBatches(LINES, WEIGHTS, CODES, batch=8, mask_share=0.2, seed=2)
    drawn: Counter[int] = Counter()
    for _ in range(4000):
        _, real, _, _ = sampler.draw()
        drawn.update(real.sum(1).tolist())
    assert abs(drawn[26] / drawn[5] - 2.0 / 4.0) < 0.05
    assert drawn[2] == 0  # a line of control pieces only teaches nothing


@pytest.mark.parametrize(("length", "bucket"), [(1, 16), (16, 16), (17, 32), (33, 64), (65, 128), (128, 128)])
def test_lengths_are_rounded_up_to_buckets(length: int, bucket: int) -> None:
    assert bucket_of(length) == bucket
