"""Does a saved log watcher show other libraries its encoder, vocabulary and memory, and come back whole?"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.reference.small_log import MODES, fitted, today

from jamais.persistence.faces.folder import read_folder, verify_folder, write_folder
from jamais.persistence.tree import state_sha256
from jamais.recipes.logs.arrangement import arrangement
from jamais.recipes.logs.recipe import LogRecipe
from jamais.watcher import Watcher


def recipe(mode: str) -> Any:
    return fitted(mode).recipe


def saved(folder: Path, mode: str = "lines", **options: Any) -> Path:
    tree = recipe(mode).state_dict()
    write_folder(folder, tree, "logs", arrangement=arrangement(tree), **options)
    return folder


@pytest.mark.parametrize("mode", MODES)
def test_a_watcher_of_any_kind_comes_back_whole(tmp_path: Path, mode: str) -> None:
    folder = saved(tmp_path / "w", mode)
    tree, kind = read_folder(folder)
    assert kind == "logs"
    assert state_sha256(tree) == state_sha256(recipe(mode).state_dict())
    assert state_sha256(LogRecipe.from_state(tree).state_dict()) == state_sha256(tree)
    assert verify_folder(folder, full=True) == []


def test_the_folder_is_the_one_that_the_guide_draws(tmp_path: Path) -> None:
    folder = saved(tmp_path / "w")
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == {
        "MANIFEST.json",
        "config.json",
        "detectors/detector_config.json",
        "detectors/ensemble_performance.json",
        "detectors/knn_features.npy",
        "detectors/knn_params.json",
        "model.safetensors",
        "state.json",
        "state.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    }
    saved(folder, weights="bin")
    assert (folder / "pytorch_model.bin").exists()
    assert not (folder / "model.safetensors").exists()


def test_memory_and_its_books_lie_where_people_look(tmp_path: Path) -> None:
    folder, memory = saved(tmp_path / "w"), recipe("lines").meaning.memory
    rows = np.load(folder / "detectors" / "knn_features.npy", allow_pickle=False)
    assert np.array_equal(rows, memory.rows)
    params = json.loads((folder / "detectors" / "knn_params.json").read_text())
    assert params["capacity"] == memory.capacity
    assert params["encoder_digest"] == recipe("lines").meaning.encoder.digest
    assert params["rows"] == {"$array": f"<f4 {len(rows)} {rows.shape[1]}"}


@pytest.mark.parametrize("mode", MODES)
def test_what_is_said_of_the_detector_is_what_the_watcher_does(tmp_path: Path, mode: str) -> None:
    folder, here = saved(tmp_path / "w", mode), recipe(mode)
    asked = json.loads((folder / "detectors" / "detector_config.json").read_text())
    assert asked == {
        "method": "knn",
        "n_neighbors": 1,
        "metric": "cosine",
        "memory_capacity": here.settings.memory.capacity,
        "alarm_rate": here.alarm_rate,
    }
    known = json.loads((folder / "detectors" / "ensemble_performance.json").read_text())
    member = known["members"]["knn"]
    assert known["evaluated_on_labels"] is None
    assert member["calibration_rows"] == here.calibration.n_rows
    assert member["threshold"] == here.threshold()
    assert member["threshold_is_extrapolated"] == (here.alarm_rate < here.calibration.finest_rate)
    assert member["scores"] == {"lines": "lines", "sessions": "sessions"}.get(mode, "windows")


def test_the_hugging_face_library_reads_the_encoder_of_a_watcher(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    import torch

    from jamais.models import TinyLogBERT, TinyLogBERTConfig

    folder, encoder = saved(tmp_path / "w"), recipe("lines").meaning.encoder
    model = TinyLogBERT.from_pretrained(folder)
    assert model.to_line_encoder().digest == encoder.digest
    assert isinstance(transformers.AutoModel.from_pretrained(folder), TinyLogBERT)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    lines = recipe("lines").parser.texts
    for line in lines:
        assert tokenizer(line)["input_ids"] == [2, *encoder.vocabulary.pieces(line), 3]
    with torch.no_grad():
        features = model(**tokenizer(lines, padding=True, return_tensors="pt")).features
    assert np.abs(features.numpy() - encoder.encode(lines)).max() < 1e-5
    config = json.loads((folder / "config.json").read_text())
    read = json.loads(TinyLogBERTConfig.from_pretrained(folder).to_json_string())
    # What config.json of an encoder does not say has its default: it has no detectors of its own.
    for name in ("transformers_version", "fit_memory_size", "contamination"):
        del read[name]
    assert read == config
    tokenizer.save_pretrained(folder)
    assert state_sha256(read_folder(folder)[0]) == state_sha256(recipe("lines").state_dict())


def test_a_watcher_scores_alike_after_its_folder(tmp_path: Path) -> None:
    loaded = LogRecipe.from_state(read_folder(saved(tmp_path / "w"))[0])

    assert Watcher(loaded).score(today()).equals(fitted("lines").score(today()))


def test_saving_a_watcher_needs_neither_torch_nor_transformers(tmp_path: Path) -> None:
    from jamais.persistence.faces.binary import write_binary

    write_binary(tmp_path / "w.bin", recipe("lines").state_dict(), "logs")
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from jamais.persistence.faces.binary import read_binary\n"
        "from jamais.persistence.faces.folder import write_folder\n"
        "from jamais.recipes.logs.arrangement import arrangement\n"
        f"tree, name = read_binary(Path({str(tmp_path / 'w.bin')!r}))\n"
        f"write_folder({str(tmp_path / 'f')!r}, tree, name, arrangement=arrangement(tree))\n"
        "print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert state_sha256(read_folder(tmp_path / "f")[0]) == state_sha256(recipe("lines").state_dict())
