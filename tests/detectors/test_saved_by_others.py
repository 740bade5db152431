"""Are detectors that older versions saved still what they were?

`tests/detectors/saved/knn-0.2.bin` was written by jamais 0.2; its threshold and two scores were printed then.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jamais.detectors import KNN
from jamais.errors import CorruptStateError
from jamais.persistence import load_model_auto
from jamais.persistence.faces.binary import read_binary

GOLDEN = Path(__file__).parent / "saved"


def test_a_knn_of_jamais_0_2_scores_as_it_did_and_goes_on() -> None:
    detector = load_model_auto(GOLDEN / "knn-0.2.bin")
    rows = np.random.default_rng(7).normal(size=(40, 5)).astype(np.float32)
    assert (detector.n_neighbors, detector.method, detector.contamination) == (3, "mean", 0.2)
    assert detector.threshold_ == float.fromhex("0x1.92d3c8277d7bdp+0")
    assert detector.decision_function(rows[:2] * 1.5).tolist() == pytest.approx(
        [float.fromhex("0x1.6b7597c6399efp-1"), float.fromhex("0x1.0b1444c842d07p+0")], rel=1e-12
    )
    assert detector.memory.counts.sum() == 46
    assert (detector.p_value(rows) > 0.02).all()
    detector.partial_fit(rows + 1).set_alarm_rate(0.1)
    assert len(detector.memory) == 80


def test_a_damaged_state_of_0_2_is_refused() -> None:
    tree, _ = read_binary(GOLDEN / "knn-0.2.bin")
    for name in ("memory", "contamination", "training_scores"):
        broken = {key: value for key, value in tree.items() if key != name} | (
            {"training_scores": "x"} if name == "training_scores" else {}
        )
        with pytest.raises(CorruptStateError):
            KNN().load_state_dict(broken)
