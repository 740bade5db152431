"""Are detector files of a model's folder believed only when they are what was written, and never run?"""

from __future__ import annotations

import json
import os
import random
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from jamais.errors import CorruptStateError
from jamais.models import TinyLogBERT
from jamais.models.tinylogbert import EncoderSettings, LineEncoder
from jamais.persistence.faces.folder import read_folder, write_folder
from jamais.persistence.tree import state_sha256

transformers = pytest.importorskip("transformers")

TINY = EncoderSettings(layers=1, width=16, heads=2, inner=24, vocabulary=540, steps=1, batch=8, device="cpu")
LINES = [f"session {n} of user {n * n} was {verb}" for n in range(12) for verb in ("opened", "closed", "renewed")]
METHODS = ["knn", "cluster", "lof", "iforest", "reconstruction"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = TinyLogBERT.from_line_encoder(LineEncoder.train(LINES, [1] * len(LINES), settings=TINY, seed=1))
    with torch.no_grad():
        model(**tokens(model), training_phase=True, update_memory=True)
    for detector in model.anomaly_methods.values():
        detector.fit(force=True)
    model.set_detection_method("lof")
    folder = tmp_path_factory.mktemp("saved") / "model"
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return shutil.copytree(saved, tmp_path / "model")


def tokens(model: TinyLogBERT, lines: list[str] = LINES) -> dict[str, torch.Tensor]:
    pieces = [[2, *model.vocabulary.pieces(line), 3] for line in lines]
    longest = max(map(len, pieces))
    return {"input_ids": torch.tensor([[*row, *[0] * (longest - len(row))] for row in pieces])}


def scores(model: TinyLogBERT) -> bytes:
    with torch.no_grad():
        found = model(**tokens(model, ["session lost", *LINES[:4]])).anomaly_scores.numpy()
    return bytes(found.tobytes())


def detector_files(folder: Path) -> list[Path]:
    return sorted((folder / "detectors").iterdir())


def test_every_detector_file_is_verified(folder: Path) -> None:
    for path in detector_files(folder):
        whole = path.read_bytes()
        for changed in (whole[:-2] + bytes([whole[-2] ^ 1]) + whole[-1:], whole[:-1], b""):
            path.write_bytes(changed)
            with pytest.raises(CorruptStateError, match=path.name):
                TinyLogBERT.from_pretrained(folder)
        path.unlink()
        with pytest.raises(CorruptStateError, match=path.name):
            TinyLogBERT.from_pretrained(folder)
        path.write_bytes(whole)
    TinyLogBERT.from_pretrained(folder)


def test_files_of_two_saves_are_refused_and_named(folder: Path, saved: Path, tmp_path: Path) -> None:
    model = TinyLogBERT.from_pretrained(saved)
    with torch.no_grad():
        model(**tokens(model, ["another line"]), training_phase=True, update_memory=True)
    model.save_pretrained(tmp_path / "newer")
    for name in ("detectors/lof_features.npy", "state.safetensors"):
        shutil.copy(tmp_path / "newer" / name, folder / name)
        with pytest.raises(CorruptStateError, match=name):
            TinyLogBERT.from_pretrained(folder)
        shutil.copy(saved / name, folder / name)


@contextmanager
def unsealed_is_no_news() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Trap:
    def __reduce__(self) -> tuple[Any, Any]:
        return (os.mkdir, ("ran",))


@pytest.mark.parametrize("sealed", [True, False])
def test_a_pickle_in_place_of_features_is_refused_and_not_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sealed: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    trap = np.empty(1, dtype=object)
    trap[0] = Trap()
    np.save(folder / "detectors" / "lof_features.npy", trap, allow_pickle=True)
    if not sealed:
        for name in ("MANIFEST.json", "state.json", "state.safetensors"):
            (folder / name).unlink()
    with unsealed_is_no_news(), pytest.raises(CorruptStateError, match=r"lof_features\.npy"):
        TinyLogBERT.from_pretrained(folder)
    assert not (tmp_path / "ran").exists()


def hostile_trees(tree: dict[str, Any]) -> dict[str, Any]:
    """Give states that say one thing wrong each, by the part that the error must name."""

    def changed(path: str, value: Any) -> dict[str, Any]:
        def copy(node: Any) -> Any:
            return {key: copy(one) for key, one in node.items()} if isinstance(node, dict) else node

        new: dict[str, Any] = copy(tree)
        *above, last = path.split("/")
        node = new["anomaly"]
        for key in above:
            node = node[key]
        node[last] = value
        return new

    rows = tree["anomaly"]["memory"]["normal"]["rows"]
    return {
        "memory rows of another width": changed("memory/normal/rows", rows[:, :3].copy()),
        "memory rows too few": changed("memory/normal/rows", rows[:-1].copy()),
        "memory rows equal": changed("memory/normal/rows", np.zeros_like(rows)),
        "memory no dict": changed("memory", 7),
        "memory policy": changed("memory/policy", "os.system"),
        "memory model policy": changed("memory/policy", "tinylogbert"),
        "losses": changed("losses/normal", np.zeros(3)),
        "losses below zero": changed("losses/normal", np.full(len(rows), -1.0)),
        "detectors.knn": changed("detectors/knn/settings", {"n_neighbors": -1}),
        "detectors.lof": changed("detectors/lof/settings", {"memory": "/etc/passwd"}),
        "detectors.iforest": changed("detectors/iforest/settings", ["rm"]),
        "config.detection_method": changed("config/detection_method", "__import__('os')"),
        "ensemble fusion": changed("config/fusion_mode", "__class__"),
        "ensemble weights": changed("ensemble/weights", [1.0]),
        "ensemble engine": changed("detectors/iforest/engine", {}),
        "ensemble training": changed("detectors/knn/training", {"threshold": "nan?"}),
        "ensemble": changed("ensemble", {}),
        "detectors missing": changed("detectors", {}),
    }


@pytest.mark.parametrize(
    "what",
    [
        "memory rows of another width",
        "memory rows too few",
        "memory rows equal",
        "memory no dict",
        "memory policy",
        "memory model policy",
        "losses",
        "losses below zero",
        "detectors.knn",
        "detectors.lof",
        "detectors.iforest",
        "config.detection_method",
        "ensemble fusion",
        "ensemble weights",
        "ensemble engine",
        "ensemble training",
        "ensemble",
        "detectors missing",
    ],
)
def test_a_well_sealed_lie_is_refused_by_the_part_that_lies(saved: Path, tmp_path: Path, what: str) -> None:
    tree = hostile_trees(read_folder(saved)[0])[what]
    with pytest.raises(CorruptStateError, match=rf"anomaly\.{what.split()[0]}"):
        TinyLogBERT.from_state(tree)
    if "missing" not in what and what != "memory no dict":
        write_folder(tmp_path / "lie", tree, "tinylogbert")
        shutil.copy(saved / "config.json", tmp_path / "lie")


@pytest.mark.parametrize("flips", [30, pytest.param(300, marks=pytest.mark.slow)])
def test_a_flipped_bit_in_a_detector_file_never_changes_a_score(folder: Path, flips: int) -> None:
    rng = random.Random(2)
    wanted = TinyLogBERT.from_pretrained(folder)
    name, expected = state_sha256(wanted.to_state()), scores(wanted)
    files = {path: path.read_bytes() for path in (*detector_files(folder), folder / "state.safetensors")}
    for n in range(flips):
        path = sorted(files)[n % len(files)]
        place = rng.randrange(8 * len(files[path]))
        damaged = bytearray(files[path])
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(CorruptStateError, match=path.name):
            TinyLogBERT.from_pretrained(folder)
        path.write_bytes(files[path])
    loaded = TinyLogBERT.from_pretrained(folder)
    assert (state_sha256(loaded.to_state()), scores(loaded)) == (name, expected)


def test_features_that_another_program_left_are_adopted_and_fitted(folder: Path) -> None:
    for name in ("MANIFEST.json", "state.json", "state.safetensors", "detectors/knn_features.npy"):
        (folder / name).unlink()
    with pytest.warns(UserWarning, match=r"has no MANIFEST\.json"):
        loaded = TinyLogBERT.from_pretrained(folder)
    for name in METHODS[:4]:
        assert len(loaded.anomaly_methods[name].memory_features) == len(LINES)
        assert loaded.anomaly_methods[name].threshold_ >= 0
    with torch.no_grad():
        features = loaded(**tokens(loaded)).features
    assert not loaded.anomaly_methods["knn"].nearest(features)[0][:, 0].any(), "the very rows"


def test_features_of_another_width_are_refused(folder: Path) -> None:
    for name in ("MANIFEST.json", "state.json", "state.safetensors"):
        (folder / name).unlink()
    np.save(folder / "detectors" / "knn_features.npy", np.zeros((4, 3), np.float32))
    with unsealed_is_no_news(), pytest.raises(CorruptStateError, match=r"knn_features\.npy: rows \[4, 3\]"):
        TinyLogBERT.from_pretrained(folder)


def test_memory_and_detectors_come_from_the_hub_too(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "snapshots" / "1"
    asked = []

    def cached_file(name: str, file: str, **options: Any) -> str | None:
        asked.append((name, file))
        if not (saved / file).is_file():
            return None
        (cache / file).parent.mkdir(parents=True, exist_ok=True)
        if not (cache / file).exists():
            (cache / file).symlink_to(saved / file)
        return str(cache / file)

    from transformers.utils import hub

    monkeypatch.setattr(hub, "cached_file", cached_file)
    loaded = TinyLogBERT.from_pretrained("me/bert")
    assert ("me/bert", "detectors/lof_params.json") in asked
    assert state_sha256(loaded.to_state()) == state_sha256(TinyLogBERT.from_pretrained(saved).to_state())


def test_detector_files_say_in_words_what_they_are(saved: Path) -> None:
    told = {path.name: json.loads(path.read_text()) for path in detector_files(saved) if path.suffix == ".json"}
    assert told["detector_config.json"] == {"detection_method": "lof", "fusion_mode": "fisher"}
    assert told["knn_params.json"]["settings"]["n_neighbors"] == 5
    assert told["knn_params.json"]["training"]["n_rows"] == len(LINES)
    record = told["ensemble_performance.json"]["performance"]
    assert set(record["members"]) == set(METHODS)
    assert sum(one["weight"] for one in record["members"].values()) == pytest.approx(1)
