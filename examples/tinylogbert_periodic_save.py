"""Serve, learn and save every twelve hours: the service loop of the document, on a clock that is wound by hand.

"Periodic save" of the document "TinyLogBERT 特征内存保存与加载指南". A save is whole or not there at all: a process
killed in the middle of one leaves the older backups, and no half one.
Run: python examples/tinylogbert_periodic_save.py
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from transformers import AutoTokenizer

from jamais.models import TinyLogBERT
from jamais.models.tinylogbert import EncoderSettings, LineEncoder

NORMAL = [
    f"{what} of user {n} {how}" for n in range(10) for what in ("session", "lease") for how in ("opened", "closed")
]
SMALL = EncoderSettings(layers=2, width=32, heads=2, inner=64, vocabulary=600, steps=20, batch=16)
SAVE_INTERVAL = 12 * 60 * 60  # seconds


def update_features(model: TinyLogBERT, tokenizer: AutoTokenizer, new_normal_logs: list[str]) -> None:
    inputs = tokenizer(new_normal_logs, padding=True, truncation=True, max_length=128, return_tensors="pt")
    with torch.no_grad():
        model(**inputs.to(model.device), training_phase=True, update_memory=True)
    for detector in model.anomaly_methods.values():
        detector.fit(force=True)


def hours() -> Iterator[tuple[float, list[str]]]:
    """What comes in: the time, and the lines of that hour that somebody vouches for. Replace by your queue."""
    for hour in range(60):
        yield 1_767_225_600.0 + 3600 * hour, [f"job {hour} finished in {hour * 7} s"] if hour % 6 == 0 else []


def serve(model: TinyLogBERT, tokenizer: AutoTokenizer, backups: Path) -> None:
    last_save_time = None
    for current_time, new_normal_logs in hours():
        # ... judge the lines of this hour: model(**inputs).anomaly_scores ...
        if new_normal_logs:
            update_features(model, tokenizer, new_normal_logs)
        last_save_time = current_time if last_save_time is None else last_save_time
        if current_time - last_save_time >= SAVE_INTERVAL:
            stamp = time.strftime("%Y%m%d_%H%M%S", time.gmtime(current_time))
            save_path = backups / f"model_backup_{stamp}"
            model.save_pretrained(save_path)
            last_save_time = current_time
            print(f"模型和特征内存已备份至: {save_path.name}")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        backups = Path(name)
        model = TinyLogBERT.from_line_encoder(LineEncoder.train(NORMAL, [1] * len(NORMAL), settings=SMALL, seed=0))
        model.save_pretrained(backups / "first")
        tokenizer = AutoTokenizer.from_pretrained(backups / "first")
        update_features(model, tokenizer, NORMAL)
        serve(model, tokenizer, backups)
        sizes = [
            len(TinyLogBERT.from_pretrained(folder).anomaly_methods["knn"].memory_features)
            for folder in sorted(backups.glob("model_backup_*"))
        ]
        print(f"{len(sizes)} backups, of {', '.join(map(str, sizes))} remembered lines")
        assert sizes == sorted(set(sizes)), "each holds what was learned until then"


if __name__ == "__main__":
    main()
