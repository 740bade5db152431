"""Does a DEC come back from every face with all that it knows, and is a state that does not fit refused?"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from jamais.errors import CorruptStateError
from jamais.learning import online_update
from jamais.models import DEC
from jamais.persistence import (
    load_model_auto,
    load_model_binary,
    load_model_folder,
    load_model_json,
    save_model_binary,
    save_model_folder,
    save_model_json,
)
from jamais.persistence.faces.models import state_of, thing_of
from jamais.persistence.tree import state_sha256

CONFIG: dict[str, Any] = {"dims": [5, 8, 3], "n_clusters": 2, "pretrain_epochs": 5, "maxiter": 10, "exemplars": 15}


def rows(axis: int, n: int = 40) -> np.ndarray:
    made = np.random.default_rng(axis).normal(size=(n, 5)) * 0.3
    made[:, axis] += 4
    return made.astype(np.float32)


@pytest.fixture(scope="module")
def grown() -> DEC:
    model = DEC({**CONFIG, "save_dir": "somewhere"})
    model._saves = False
    model.fit(np.concatenate([rows(0), rows(1)]))
    online_update(model, np.concatenate([rows(3), rows(4, 3)]))
    assert model.n_clusters == 3
    assert len(model.pending)
    return model


def sha(model: DEC) -> str:
    return state_sha256(state_of(model)[1])


@pytest.mark.parametrize(
    ("save", "load", "name"),
    [
        (save_model_binary, load_model_binary, "models/dec.bin"),
        (save_model_json, load_model_json, "models/dec.json"),
        (save_model_folder, load_model_folder, "models/dec"),
    ],
)
def test_a_grown_model_comes_back_from_every_face(
    grown: DEC, tmp_path: Path, save: Callable[..., None], load: Callable[..., Any], name: str
) -> None:
    save(grown, tmp_path / name, verify=True)
    for again in (load(tmp_path / name), load_model_auto(tmp_path / name)):
        assert sha(again) == sha(grown)
        assert again.predict(rows(3)).tolist() == grown.predict(rows(3)).tolist()
        assert again.progress == grown.progress
        assert again.clustering.history_centers_mask.tolist() == [True, True, False]
        for part in ("fisher", "anchors", "reach", "handicaps"):
            assert torch.equal(getattr(again.clustering, part), getattr(grown.clustering, part))


def test_the_weights_are_plain_safetensors_for_others(grown: DEC, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    save_model_folder(grown, tmp_path / "dec")
    arrays = load_file(tmp_path / "dec" / "model.safetensors")
    assert np.array_equal(arrays["clustering.clusters"], grown.clustering.clusters.detach().numpy())
    save_model_json(grown, tmp_path / "dec.json")
    assert [layer["type"] for layer in json.loads((tmp_path / "dec.json").read_text())["layers"]] == ["Linear"] * 4


def test_no_path_of_a_machine_is_in_the_state(grown: DEC) -> None:
    assert "somewhere" not in repr(state_of(grown)[1])


def test_torchs_own_state_dict_resizes_too(grown: DEC) -> None:
    other = DEC(CONFIG)
    other.load_state_dict(grown.state_dict())
    assert other.n_clusters == 3
    assert torch.equal(other(torch.from_numpy(rows(3))), grown(torch.from_numpy(rows(3))))


def without(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda tree: tree["model"].pop(name)


def put(part: str, name: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda tree: tree[part].__setitem__(name, value)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda tree: tree.pop("memory"), "not the state of a DEC"),
        (without("clustering.fisher"), r"missing or unknown: clustering\.fisher"),
        (put("model", "x", np.zeros(1)), "missing or unknown: x"),
        (put("model", "clustering.clusters", np.zeros((0, 3), np.float32)), "missing or unknown: centres"),
        (put("model", "clustering.clusters", np.zeros((9, 3), np.float32)), "anchors: saved|mask: saved"),
        (put("model", "clustering.clusters", np.full((3, 3), np.nan, np.float32)), "clusters: holds a number that"),
        (put("model", "autoencoder.encoder.0.bias", np.zeros(7, np.float32)), r"saved \[7\], here \[8\]"),
        (put("model", "clustering.reach", np.zeros(3, np.float32)), "reach: wanted an array of <f8"),
        (put("config", "dims", [5, 3]), "model: missing or unknown"),
        (put("config", "dims", "wide"), "config: setting dims"),
        (put("config", "unknown", 1), "config: not that of a DEC"),
        (put("config", "exemplars", 3), r"memory\.0: is not the one of this config"),
        (put("progress", "updates", -1), "counts do not fit"),
        (put("progress", "events", [1]), "events texts"),
        (put("progress", "losses", "none"), "wanted pretrained, losses"),
        (lambda tree: tree["memory"].pop("0"), "memory: no cluster 0 of 2"),
        (lambda tree: tree["memory"].pop("2"), "memory: of 2 clusters, the model has 3"),
        (lambda tree: tree.__setitem__("memory", 3), "memory: wanted a dict"),
        (lambda tree: tree.__setitem__("pending", np.zeros((2, 9), np.float32)), r"pending: saved \[2, 9\]"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_by_name(grown: DEC, spoil: Callable[[Any], object], says: str) -> None:
    tree = copy.deepcopy(state_of(grown)[1])
    spoil(tree)
    with pytest.raises(CorruptStateError, match=says):
        thing_of("dec", tree)


def test_a_loaded_model_is_fitted_again_without_writing_anywhere(
    grown: DEC, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    again: DEC = thing_of(*state_of(grown))
    again.fit(np.concatenate([rows(0), rows(1)]))
    assert again.n_clusters == 2
    assert list(tmp_path.iterdir()) == []
