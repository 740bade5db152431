"""Judge the same lines by every detection method, and by all together.

"Switching methods" of the document "TinyLogBERT 特征内存保存与加载指南". One memory serves all: nothing is refitted.
Run: python examples/tinylogbert_methods.py
"""

from __future__ import annotations

import tempfile

import torch
from transformers import AutoTokenizer

from jamais.models import TinyLogBERT
from jamais.models.tinylogbert import EncoderSettings, LineEncoder

LINES = [
    f"{what} of user {n} {how}" for n in range(60) for what in ("session", "lease") for how in ("opened", "closed")
]
NORMAL = [line for number, line in enumerate(LINES) if number % 7]
KNOWN = LINES[::7][10:12]  # not these very lines, but their like
STRANGE = ["kernel panic: not syncing, attempted to kill init", "lease lease lease lease"]
SMALL = EncoderSettings(layers=2, width=32, heads=2, inner=64, vocabulary=600, steps=60, batch=16)


def main() -> None:
    model = TinyLogBERT.from_line_encoder(LineEncoder.train(NORMAL, [1] * len(NORMAL), settings=SMALL, seed=0))
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        model(**tokenizer(NORMAL, padding=True, return_tensors="pt"), training_phase=True, update_memory=True)
    for detector in model.anomaly_methods.values():
        detector.fit(force=True)

    inputs = tokenizer(KNOWN + STRANGE, padding=True, return_tensors="pt")
    for method in ("knn", "cluster", "lof", "iforest", "reconstruction", "ensemble"):
        model.set_detection_method(method)
        with torch.no_grad():
            outputs = model(**inputs)
        marks = ["!" if abnormal else " " for abnormal in outputs.is_anomaly]
        scores = outputs.anomaly_scores.tolist()
        print(f"{method:<15}" + "".join(f"{score:8.3f}{mark}" for score, mark in zip(scores, marks, strict=True)))
        assert outputs.anomaly_scores[2:].min() > outputs.anomaly_scores[:2].max(), method
    print("columns: " + " | ".join(KNOWN + STRANGE) + "      ! = abnormal")
    # One line alone has the bits it has in a batch.
    with torch.no_grad():
        alone = model(**tokenizer(STRANGE[:1], return_tensors="pt"))
    assert torch.equal(alone.anomaly_scores, outputs.anomaly_scores[2:3])


if __name__ == "__main__":
    main()
