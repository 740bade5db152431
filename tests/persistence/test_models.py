"""Is whatever is registered saved in one call and found again in one, told apart by content?"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.reference import small_log, small_series

import jamais
from jamais import registry
from jamais.detectors import KNN, LOF, Cluster, Ensemble, IForest, Reconstruction
from jamais.errors import CorruptStateError, InputError, StateError
from jamais.memory import CoresetMemory, CoverMemory, FeatureMemory, ReservoirMemory, RingMemory
from jamais.memory.clusters import ClusterMemory
from jamais.persistence import (
    VersionStore,
    load_model_auto,
    load_model_binary,
    load_model_folder,
    load_model_json,
    save_model_binary,
    save_model_folder,
    save_model_json,
)
from jamais.persistence.faces.binary import write_binary
from jamais.persistence.faces.models import state_of, thing_of
from jamais.persistence.tree import state_sha256

ROWS = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
FACES: dict[str, tuple[Callable[..., None], Callable[..., Any]]] = {
    "model.bin": (save_model_binary, load_model_binary),
    "model.json": (save_model_json, load_model_json),
    "model": (save_model_folder, load_model_folder),
}


def memory() -> CoverMemory:
    made = CoverMemory(capacity=20)
    made.add(ROWS, digest="e" * 64)
    return made


def feature_memory() -> FeatureMemory:
    made = FeatureMemory(20, calibration=10)
    made.add(ROWS[:30], times=np.arange(30))
    made.detain(ROWS[30:34], source="night")
    made.remember_abnormal(ROWS[34:36])
    return made


def filled(memory: Any) -> Any:
    memory.add(ROWS, times=np.arange(40), source="rack 1")
    return memory


def taught(detector: Any) -> Any:
    detector.fit(ROWS[:30]).set_alarm_rate(0.1)
    detector.partial_fit(ROWS[30:], times=np.arange(10), source="later").partial_fit(ROWS[:3] * 9, trust="unknown")
    detector.memory.remember_abnormal(ROWS[:2] + 20)
    detector.forget(detector.memory.ids[:2])
    return detector


def watcher() -> jamais.Watcher:
    return jamais.fit([str(line) for line in small_log.said(300, seed=1)], kind="logs", settings=small_log.TINY)


def vocab() -> Any:
    from jamais.models import Vocab

    return Vocab(["中国", "历史", "day"])


def llm() -> Any:
    from jamais.models import LLM

    made = LLM(vocab(), width=16, n_layers=1, n_heads=2)
    made.train(["中国历史"], 2, 0.01)
    return made


def hugging() -> Any:
    pytest.importorskip("transformers")
    from jamais.models import TinyLogBERT, TinyLogBERTConfig

    return TinyLogBERT(
        TinyLogBERTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    )


def line_encoder() -> Any:
    from jamais.models.tinylogbert import EncoderSettings, LineEncoder

    small = EncoderSettings(layers=1, width=16, heads=2, inner=32, steps=0)
    return LineEncoder.train(["disk is full", "user logged in"], [3, 5], settings=small, seed=0)


def dec() -> Any:
    from jamais.learning import online_update
    from jamais.models import DEC

    made = DEC({"dims": [5, 4, 3], "n_clusters": 2, "pretrain_epochs": 2, "maxiter": 4, "exemplars": 9})
    made.fit(ROWS)
    return online_update(made, ROWS[:20] * 9)


def memto() -> Any:
    from jamais.models import MEMTO

    made = MEMTO(5, latent_dim=8, n_heads=2, n_layers=1, num_memory_items=3, d_ff=8, window=10)
    return made.fit([ROWS.reshape(4, 10, 5)])


def memto_windows() -> Any:
    from jamais.models.memto import MEMTOWindows

    return MEMTOWindows(memto())


def patch_encoder() -> Any:
    from jamais.learning import train_patches
    from jamais.models import PatchEncoder

    made = PatchEncoder(5, past=16, width=4, hidden=6, seed=3)
    train_patches(made, ROWS, steps=2)
    return made


def surprise() -> Any:
    from jamais.detectors.windows.described.surprise import Surprise

    return Surprise.learned(np.rint(ROWS.astype(np.float64) * 256))


def window_banks() -> Any:
    from jamais.detectors.windows import BankSettings, WindowBanks

    made = WindowBanks(BankSettings(prototypes=16))
    made.fit(small_series.normal(200))
    made.learn(small_series.shifted(small_series.normal(80, 1), 20, 40))
    return made


def cluster_memory() -> Any:
    made = ClusterMemory(exemplars=10, seed=3)
    made.begin(ROWS[:30], np.arange(30) % 2)
    made.learn(ROWS[30:])
    return made


def embeddings() -> jamais.Watcher:
    watcher = jamais.fit(
        np.repeat(ROWS, 4, axis=0) + np.arange(5), kind="embeddings", settings={"clusters.n_clusters": 2}
    )
    watcher.learn(ROWS * 9, trust="unknown")
    return watcher


THINGS: dict[str, Callable[[], Any]] = {
    "cover-memory": memory,
    "cluster": lambda: taught(Cluster()),
    "cluster-memory": cluster_memory,
    "coreset-memory": lambda: filled(CoresetMemory(20)),
    "dec": dec,
    "embeddings": embeddings,
    "ensemble": lambda: taught(Ensemble()),
    "feature-memory": feature_memory,
    "iforest": lambda: taught(IForest(n_estimators=20)),
    "knn": lambda: taught(KNN(3)),
    "line-encoder": line_encoder,
    "llm": llm,
    "lof": lambda: taught(LOF(5)),
    "logs": watcher,
    "memto": memto,
    "memto-windows": memto_windows,
    "patch-encoder": patch_encoder,
    "reconstruction": lambda: taught(Reconstruction()),
    "reservoir-memory": lambda: filled(ReservoirMemory(20)),
    "ring-memory": lambda: filled(RingMemory(20)),
    "series": lambda: small_series.watcher(),
    "surprise": surprise,
    "tinylogbert": hugging,
    "vocab": vocab,
    "window-banks": window_banks,
}


def test_every_registered_type_is_tried_here() -> None:
    assert sorted(THINGS) == registry.names()


@pytest.mark.parametrize("name", THINGS)
def test_everything_comes_back_from_every_face_with_the_same_sha256(name: str, tmp_path: Path) -> None:
    thing = THINGS[name]()
    wanted = state_sha256(state_of(thing)[1])
    for at, (save, load) in FACES.items():
        path = tmp_path / "deeper" / at
        save(thing, path, verify=True)
        for again in (load(path), load_model_auto(str(path))):
            assert type(again) is type(thing)
            assert registry.name_of(again) == name
            assert state_sha256(state_of(again)[1]) == wanted, at
    name_in_store, tree = state_of(thing)
    VersionStore(tmp_path / "store").commit(tree, reason="", kind=name_in_store, parent=None)
    assert state_sha256(state_of(load_model_auto(tmp_path / "store"))[1]) == wanted


def test_the_faces_turn_into_one_another_without_a_bit_lost(tmp_path: Path) -> None:
    thing = memory()
    wanted = state_sha256(thing.state_dict())
    for step, at in enumerate(["model.bin", "model.json", "model", "model.json", "model.bin"]):
        FACES[at][0](thing, tmp_path / f"{step}" / at)
        thing = load_model_auto(tmp_path / f"{step}" / at)
    assert state_sha256(thing.state_dict()) == wanted
    assert (tmp_path / "0" / "model.bin").read_bytes() == (tmp_path / "4" / "model.bin").read_bytes()
    assert (tmp_path / "1" / "model.json").read_bytes() == (tmp_path / "3" / "model.json").read_bytes()


def test_a_folder_of_another_program_loads_with_a_warning(tmp_path: Path) -> None:
    thing = hugging()
    save_model_folder(thing, tmp_path / "model")
    for name in ("MANIFEST.json", "state.json"):
        (tmp_path / "model" / name).unlink()
    with pytest.warns(UserWarning, match="MANIFEST"):
        again = load_model_auto(tmp_path / "model")
    assert type(again) is type(thing)
    for name, tensor in thing.state_dict().items():
        assert tensor.equal(again.state_dict()[name])
    (tmp_path / "model" / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.warns(UserWarning, match="MANIFEST"), pytest.raises(StateError, match="unknown type 'gpt2'"):
        load_model_auto(tmp_path / "model")


def test_content_decides_and_a_wrong_suffix_is_a_warning(tmp_path: Path) -> None:
    save_model_binary(memory(), tmp_path / "really binary.json")
    save_model_json(memory(), tmp_path / "really json.bin")
    for name in ("really binary.json", "really json.bin"):
        with pytest.warns(UserWarning, match=r"is called \.(json|bin) but holds a (binary|JSON) state"):
            assert isinstance(load_model_auto(tmp_path / name), CoverMemory)
    with pytest.raises(InputError, match="holds a JSON state, not a binary state: load_model_auto takes any"):
        load_model_binary(tmp_path / "really json.bin")


def test_a_link_to_a_saved_model_is_followed(tmp_path: Path) -> None:
    for at, (save, load) in FACES.items():
        save(memory(), tmp_path / at)
        (tmp_path / f"latest {at}").symlink_to(tmp_path / at)
        assert isinstance(load(tmp_path / f"latest {at}"), CoverMemory)
    save_model_binary(memory(), tmp_path / "latest model.bin")
    assert (tmp_path / "latest model.bin").is_symlink(), "what it points to was replaced"


@pytest.mark.parametrize("name", ["日" * 80 + ".bin", "x" * 250 + ".bin"])
def test_long_names_are_no_trouble(name: str, tmp_path: Path) -> None:
    save_model_binary(memory(), tmp_path / name)
    assert os.listdir(tmp_path) == [name]


def test_what_cannot_be_saved_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot save dict: give a watcher or one of cluster, cluster-memory"):
        save_model_binary({}, tmp_path / "x.bin")
    with pytest.raises(InputError, match="digest is one of xxh3-128, sha256, got 'md5'"):
        save_model_binary(memory(), tmp_path / "x.bin", digest="md5")
    assert os.listdir(tmp_path) == []


def test_other_files_are_refused_with_what_they_are(tmp_path: Path) -> None:
    import pickle
    import zipfile

    with zipfile.ZipFile(tmp_path / "torch.bin", "w") as archive:
        archive.writestr("data.pkl", "x")
    (tmp_path / "pickle.bin").write_bytes(pickle.dumps({"a": 1}))
    np.save(tmp_path / "array.npy", ROWS)
    (tmp_path / "empty.bin").touch()
    (tmp_path / "text.bin").write_text("hello")
    (tmp_path / "folder").mkdir()
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    says = {
        "torch.bin": "a file of torch.save",
        "pickle.bin": "reading it could run code, so jamais never does",
        "array.npy": "an array of numpy",
        "empty.bin": "is empty",
        "text.bin": "begins with b'hello'",
        "folder": "neither a store of versions nor a model folder",
        "nowhere": "no such file or folder",
        "circle": "cannot be followed",
        "dangling": "cannot be followed",
    }
    for name, text in says.items():
        with pytest.raises(InputError, match=text):
            load_model_auto(tmp_path / name)


def test_a_state_of_an_unknown_type_or_of_another_jamais_is_told(tmp_path: Path) -> None:
    write_binary(tmp_path / "x.bin", {"a": 1}, "os.system")
    with pytest.raises(StateError, match=r"unknown type 'os.system' .* update jamais"):
        load_model_binary(tmp_path / "x.bin")
    write_binary(tmp_path / "x.bin", {"a": 1}, "knn")
    with pytest.raises(CorruptStateError, match="not the state of a KNN"):
        load_model_binary(tmp_path / "x.bin")
    with pytest.raises(StateError, match=r"written by another jamais \(KeyError"):
        thing_of("logs", {"a": 1})


def test_verify_notices_a_disk_that_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = memory()
    other.add(ROWS + 9, digest="e" * 64)
    real = jamais.persistence.faces.models.write_binary
    monkeypatch.setattr(
        "jamais.persistence.faces.models.write_binary",
        lambda target, tree, name, digest: real(target, other.state_dict(), name, digest=digest),
    )
    with pytest.raises(CorruptStateError, match="reads back as something else"):
        save_model_binary(memory(), tmp_path / "x.bin", verify=True)


def test_a_full_disk_is_told_and_the_old_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_model_binary(KNN(3).fit(ROWS), tmp_path / "x.bin")

    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(StateError, match=r"No space left on device.*nothing was changed"):
            save_model_binary(memory(), tmp_path / "x.bin")
    assert isinstance(load_model_auto(tmp_path / "x.bin"), KNN)
