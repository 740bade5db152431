"""Teach a deployed TinyLogBERT new normal lines: they enter the feature memory, the detectors are fitted anew, saved.

"Dynamic update" of the document "TinyLogBERT 特征内存保存与加载指南". Run: python examples/tinylogbert_update.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from transformers import AutoTokenizer

from jamais.models import TinyLogBERT
from jamais.models.tinylogbert import EncoderSettings, LineEncoder

NORMAL = [
    f"{what} of user {n} {how}" for n in range(10) for what in ("session", "lease") for how in ("opened", "closed")
]
SMALL = EncoderSettings(layers=2, width=32, heads=2, inner=64, vocabulary=600, steps=20, batch=16)


def deployed(folder: Path) -> tuple[TinyLogBERT, AutoTokenizer]:
    """Make a model that knows yesterday's lines; in production: `TinyLogBERT.from_pretrained(folder)`."""
    model = TinyLogBERT.from_line_encoder(LineEncoder.train(NORMAL, [1] * len(NORMAL), settings=SMALL, seed=0))
    model.config.fit_memory_size = 1000  # the most lines that are remembered; older and newer ones share the room
    model.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    update_features(model, tokenizer, NORMAL)
    return model, tokenizer


def update_features(model: TinyLogBERT, tokenizer: AutoTokenizer, new_normal_logs: list[str]) -> None:
    """The lines that somebody vouches for become normal."""
    inputs = tokenizer(new_normal_logs, padding="max_length", truncation=True, max_length=128, return_tensors="pt").to(
        model.device
    )
    with torch.no_grad():
        model(**inputs, training_phase=True, update_memory=True)
    for _name, detector in model.anomaly_methods.items():
        detector.fit(force=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        model, tokenizer = deployed(Path(name) / "model")
        new_normal_logs = [f"backup {n} written to volume {n % 3}" for n in range(12)]
        asked = tokenizer(["backup 99 written to volume 1", "disk 4 failed"], padding=True, return_tensors="pt")
        with torch.no_grad():
            before = model(**asked)
            update_features(model, tokenizer, new_normal_logs)
            after = model(**asked)
        for line, then, now in zip(
            ("backup", "disk failure"), before.anomaly_scores, after.anomaly_scores, strict=True
        ):
            print(f"{line:<13} score {then:.3f} before the update, {now:.3f} after it")
        assert after.anomaly_scores[0] < before.anomaly_scores[0]
        print(f"remembered: {len(model.anomaly_methods['knn'].memory_features)} lines")

        model.save_pretrained(Path(name) / "model_with_updated_features")
        loaded = TinyLogBERT.from_pretrained(Path(name) / "model_with_updated_features")
        with torch.no_grad():
            assert torch.equal(loaded(**asked).anomaly_scores, after.anomaly_scores)


if __name__ == "__main__":
    main()
