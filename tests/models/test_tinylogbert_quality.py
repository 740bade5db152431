"""Does a trained encoder give features by which every method tells the novel lines of a service from known ones?"""

from __future__ import annotations

import random

import pytest
import torch
from tests.reference import small_log

from jamais.models import TinyLogBERT
from jamais.models.tinylogbert import EncoderSettings, LineEncoder

SETTINGS = EncoderSettings(layers=2, width=32, heads=2, inner=64, vocabulary=700, steps=80, batch=32, device="cpu")
NOVEL = [
    small_log.ODD,
    "FATAL kernel: out of memory, killed process 4711",
    "ERROR tls: certificate has expired for peer 10.0.0.7",
    "WARN auth: 30 failed passwords for root",
    "panic: runtime error: index out of range",
]


def tokens(model: TinyLogBERT, lines: list[str]) -> dict[str, torch.Tensor]:
    pieces = [[2, *model.vocabulary.pieces(line), 3] for line in lines]
    longest = max(map(len, pieces))
    return {"input_ids": torch.tensor([[*row, *[0] * (longest - len(row))] for row in pieces])}


@pytest.fixture(scope="module")
def model() -> TinyLogBERT:
    lines = [f"{line.head}: {line.text}" for line in small_log.said(150, seed=1)]
    model = TinyLogBERT.from_line_encoder(LineEncoder.train(lines, [1] * len(lines), settings=SETTINGS, seed=3))
    random.Random(1).shuffle(lines)
    with torch.no_grad():
        for start in range(0, len(lines), 64):
            model(**tokens(model, lines[start : start + 64]), training_phase=True, update_memory=True)
    for detector in model.anomaly_methods.values():
        detector.fit(force=True)
    return model


@pytest.mark.slow  # some seconds of training
@pytest.mark.parametrize("method", ["knn", "cluster", "lof", "iforest", "reconstruction", "ensemble"])
def test_novel_lines_score_above_known_ones_with_every_method(model: TinyLogBERT, method: str) -> None:
    known = [f"{line.head}: {line.text}" for line in small_log.said(40, seed=2)]
    model.set_detection_method(method)
    with torch.no_grad():
        ordinary = model(**tokens(model, known))
        novel = model(**tokens(model, NOVEL))
    above = (novel.anomaly_scores[:, None] > ordinary.anomaly_scores).double().mean()
    assert above >= 0.98, "area under the ROC curve"
    assert ordinary.is_anomaly.double().mean() <= 0.06
    assert novel.is_anomaly.double().mean() >= 0.8
