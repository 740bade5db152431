"""Save a TinyLogBERT with its feature memory, and load it: the same scores, bit for bit, without a refit.

"Basic use" of the document "TinyLogBERT 特征内存保存与加载指南", on a network small enough to train in a second.
Run: python examples/tinylogbert_save_and_load.py     (needs jamais[hf])
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import torch
from transformers import AutoTokenizer

from jamais.models import TinyLogBERT
from jamais.models.tinylogbert import EncoderSettings, LineEncoder

NORMAL = [
    f"{what} of user {n} {how}" for n in range(10) for what in ("session", "lease") for how in ("opened", "closed")
]
STRANGE = ["kernel panic: not syncing", "session of user 3 opened"]
SMALL = EncoderSettings(layers=2, width=32, heads=2, inner=64, vocabulary=600, steps=20, batch=16)


def encoded(tokenizer: AutoTokenizer, lines: list[str]) -> dict[str, torch.Tensor]:
    return tokenizer(lines, padding="max_length", truncation=True, max_length=128, return_tensors="pt")


def main() -> None:
    warnings.simplefilter("error")  # nothing is unsealed, replaced or damaged on the way
    with tempfile.TemporaryDirectory() as name:
        save_path = Path(name) / "saved_model_with_features"
        model = TinyLogBERT.from_line_encoder(LineEncoder.train(NORMAL, [1] * len(NORMAL), settings=SMALL, seed=0))
        model.save_pretrained(save_path)
        tokenizer = AutoTokenizer.from_pretrained(save_path)

        with torch.no_grad():
            model(**encoded(tokenizer, NORMAL), training_phase=True, update_memory=True)
        for detector in model.anomaly_methods.values():
            detector.fit(force=True)
        model.set_detection_method("ensemble")
        model.save_pretrained(save_path)  # weights, configuration, memory and detectors, in one step
        tokenizer.save_pretrained(save_path)
        for path in sorted(path for path in save_path.rglob("*") if path.is_file()):
            print(f"{path.stat().st_size:>9,} {path.relative_to(save_path)}")

        loaded = TinyLogBERT.from_pretrained(save_path)
        tokenizer = AutoTokenizer.from_pretrained(save_path)
        for method, detector in loaded.anomaly_methods.items():
            if detector.memory_features is not None:
                print(f"{method} 检测器: {len(detector.memory_features)} 个特征")
        with torch.no_grad():
            before, after = (one(**encoded(tokenizer, STRANGE)) for one in (model, loaded))
        assert torch.equal(before.anomaly_scores, after.anomaly_scores)
        for line, score, abnormal in zip(STRANGE, after.anomaly_scores, after.is_anomaly, strict=True):
            print(f"{score:8.3f} {'abnormal' if abnormal else 'normal':<9}{line}")


if __name__ == "__main__":
    main()
