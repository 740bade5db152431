"""Update a feature memory in production safely: try it on held-back lines, keep every version, go back if it was wrong.

The rules at the end of the document "TinyLogBERT 特征内存保存与加载指南": check first, add rather than replace,
keep the history, no sudden rise of false alarms. Run: python examples/tinylogbert_safe_update.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from transformers import AutoTokenizer

from jamais.models import TinyLogBERT
from jamais.models.tinylogbert import EncoderSettings, LineEncoder
from jamais.persistence import VersionStore

LINES = [f"{what} of user {n} {how}" for n in range(60) for what in ("session", "lease") for how in ("open", "closed")]
NORMAL, HELD_BACK = [line for number, line in enumerate(LINES) if number % 7], LINES[::7]
KNOWN_BAD = ["kernel panic: not syncing, attempted to kill init", "EXT4-fs error: remounting filesystem read-only!"]
GOOD = [f"backup {n} written to volume {n % 3}" for n in range(60)]
POISON = [f"[{n}] {line}" for n in range(9) for line in KNOWN_BAD]  # somebody vouched for an incident
SMALL = EncoderSettings(layers=2, width=32, heads=2, inner=64, vocabulary=600, steps=60, batch=16)
KIND = "tinylogbert"
MOST_FALSE_ALARMS = 0.05  # more of them on held-back normal lines than before, or a bad line that passes: no update


class Guarded:
    """A model whose memory only changes when the change stands its test; every version stays."""

    def __init__(self, folder: Path) -> None:
        self.store = VersionStore(folder / "versions_of_the_model")
        model = TinyLogBERT.from_line_encoder(LineEncoder.train(NORMAL, [1] * len(NORMAL), settings=SMALL, seed=0))
        model.save_pretrained(folder / "first")
        self.tokenizer = AutoTokenizer.from_pretrained(folder / "first")
        model.set_detection_method("ensemble")
        self.model = self.learned(model, NORMAL)
        self.version = self.store.commit(self.model.to_state(), reason="first", kind=KIND, parent=None)

    def alarms(self, model: TinyLogBERT, lines: list[str]) -> float:
        with torch.no_grad():
            return float(model(**self.tokenizer(lines, padding=True, return_tensors="pt")).is_anomaly.double().mean())

    def learned(self, model: TinyLogBERT, lines: list[str]) -> TinyLogBERT:
        """Add the lines to a copy."""
        copy = TinyLogBERT.from_state(model.to_state())
        with torch.no_grad():
            copy(**self.tokenizer(lines, padding=True, return_tensors="pt"), training_phase=True, update_memory=True)
        for detector in copy.anomaly_methods.values():
            detector.fit(force=True)
        return copy

    def update(self, lines: list[str], reason: str) -> bool:
        trial = self.learned(self.model, lines)
        more = self.alarms(trial, HELD_BACK) - self.alarms(self.model, HELD_BACK)
        missed = 1.0 - self.alarms(trial, KNOWN_BAD)
        accepted = more <= MOST_FALSE_ALARMS and missed == 0.0
        print(f"{reason}: {more:+.1%} false alarms, {missed:.0%} of bad lines missed, taken: {accepted}")
        if accepted:
            state, figures = trial.to_state(), {"more_false_alarms": more}
            self.version = self.store.commit(state, reason=reason, kind=KIND, metrics=figures, parent=self.version)
            self.model = trial
        return accepted


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        service = Guarded(Path(name))
        assert service.update(GOOD, "backups are normal now")
        assert not service.update(POISON, "an incident taken for normal")
        for info in service.store.history():
            print(f"version {info.number}: {info.reason}")
        back = TinyLogBERT.from_state(service.store.load(1)[0])  # roll back: any version, bit for bit
        print(f"version 1 remembers {len(back.anomaly_methods['knn'].memory_features)} lines")
        assert len(back.anomaly_methods["knn"].memory_features) == len(NORMAL)


if __name__ == "__main__":
    main()
