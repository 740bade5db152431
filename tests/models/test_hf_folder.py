"""Is a folder of `save_pretrained` whole, verified, and readable by all who should read it?"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch

from jamais.errors import CorruptStateError, InputError
from jamais.models import TinyLogBERT, TinyLogBERTConfig
from jamais.models.tinylogbert import EncoderSettings, LineEncoder
from jamais.persistence.faces.folder import read_folder, verify_folder, write_folder
from jamais.persistence.tree import state_sha256

transformers = pytest.importorskip("transformers")

TINY = EncoderSettings(layers=2, width=32, heads=2, inner=48, vocabulary=640, steps=2, batch=8, device="cpu")
TEXTS = ["connection refused from <*>", "服务启动失败 é", "user <*> logged in again and again"]


@pytest.fixture(scope="module")
def encoder() -> LineEncoder:
    return LineEncoder.train(TEXTS, [1, 5, 9], settings=TINY, seed=1)


@pytest.fixture
def model(encoder: LineEncoder) -> TinyLogBERT:
    return TinyLogBERT.from_line_encoder(encoder)


@pytest.fixture
def folder(model: TinyLogBERT, tmp_path: Path) -> Path:
    model.save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def equal(left: Any, right: Any) -> bool:
    ours, theirs = left.state_dict(), right.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def changed(model: TinyLogBERT) -> TinyLogBERT:
    with torch.no_grad():
        model.encoder.words.weight.add_(1.0)
    return model


def ids(folder: Path) -> Any:
    return transformers.AutoTokenizer.from_pretrained(folder)(TEXTS, padding=True, return_tensors="pt")["input_ids"]


# --- both orders, and what lies beside


def test_the_model_first_and_its_tokenizer_second(model: TinyLogBERT, folder: Path) -> None:
    wanted = ids(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer(TEXTS, padding="max_length", truncation=True, max_length=64)  # which the tokenizer then remembers
    tokenizer.save_pretrained(folder)
    assert equal(TinyLogBERT.from_pretrained(folder), model)
    (folder / "vocab.txt").unlink()  # transformers 5 writes none
    loaded = TinyLogBERT.from_pretrained(folder)
    assert loaded.vocabulary.to_json() == model.vocabulary.to_json()
    assert torch.equal(ids(folder), wanted)


def test_the_tokenizer_first_and_its_model_second(model: TinyLogBERT, folder: Path, tmp_path: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    target = tmp_path / "other"
    tokenizer.save_pretrained(target)
    theirs = {path.name: path.read_bytes() for path in target.iterdir()}
    model.save_pretrained(target)
    assert {name: (target / name).read_bytes() for name in theirs} == theirs, "it agrees, so it stays"
    assert {"vocab.txt", "tokenizer_config.json", "tokenizer.json", "MANIFEST.json"} <= names(target)
    assert equal(TinyLogBERT.from_pretrained(target), model)
    assert torch.equal(ids(target), ids(folder))


def test_a_tokenizer_of_another_vocabulary_is_replaced_before_and_refused_after(
    model: TinyLogBERT, tmp_path: Path
) -> None:
    other = LineEncoder.train(["quite other words entirely"], [1], settings=TINY, seed=1)
    TinyLogBERT.from_line_encoder(other).save_pretrained(tmp_path / "other")
    wrong = transformers.AutoTokenizer.from_pretrained(tmp_path / "other")
    wrong.save_pretrained(tmp_path / "f")
    with pytest.warns(UserWarning, match=r"tokenizer\.json is replaced, as it does not fit this vocabulary: token"):
        model.save_pretrained(tmp_path / "f")
    assert equal(TinyLogBERT.from_pretrained(tmp_path / "f"), model)
    wrong.save_pretrained(tmp_path / "f")
    with pytest.raises(CorruptStateError, match=r"tokenizer\.json: another vocabulary: token '\S+' has number 51\d"):
        TinyLogBERT.from_pretrained(tmp_path / "f")


def test_files_of_others_survive_every_save(model: TinyLogBERT, folder: Path) -> None:
    (folder / "README.md").write_text("mine")
    (folder / "runs").mkdir()
    (folder / "runs" / "events").write_text("mine")
    (folder / "training_args.bin").write_bytes(b"theirs")
    changed(model).save_pretrained(folder)
    assert (folder / "runs" / "events").read_text() == "mine"
    assert {"README.md", "training_args.bin"} <= names(folder)
    assert equal(TinyLogBERT.from_pretrained(folder), model)


# --- formats


def test_who_should_read_the_folder_can(model: TinyLogBERT, folder: Path) -> None:
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", "pt") as opened:
        assert opened.metadata()["format"] == "pt"
        assert torch.equal(opened.get_tensor("encoder.words.weight"), model.encoder.words.weight)
    loaded = transformers.AutoModel.from_pretrained(folder)
    assert isinstance(loaded, TinyLogBERT)
    assert equal(loaded, model)
    assert isinstance(transformers.AutoConfig.from_pretrained(folder), TinyLogBERTConfig)
    assert len((folder / "vocab.txt").read_text("utf-8").splitlines()) == len(model.vocabulary)


@pytest.mark.slow  # another process imports torch and transformers
def test_auto_model_reads_the_folder_in_a_new_process_that_asked_for_tinylogbert(folder: Path) -> None:
    code = (
        "import sys, jamais; assert 'transformers' not in sys.modules\n"
        "from jamais.models import TinyLogBERT\nfrom transformers import AutoModel\n"
        f"print(type(AutoModel.from_pretrained({str(folder)!r})).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "TinyLogBERT"


def test_pytorch_model_bin_is_of_plain_tensors_and_replaces_safetensors(model: TinyLogBERT, folder: Path) -> None:
    changed(model).save_pretrained(folder, safe_serialization=False)
    assert "pytorch_model.bin" in names(folder)
    assert "model.safetensors" not in names(folder)
    plain = torch.load(folder / "pytorch_model.bin", weights_only=True)
    assert all(type(tensor) is torch.Tensor for tensor in plain.values())
    assert equal(TinyLogBERT.from_pretrained(folder), model)
    assert verify_folder(folder, full=True) == []
    changed(model).save_pretrained(folder)
    assert "pytorch_model.bin" not in names(folder)
    assert equal(TinyLogBERT.from_pretrained(folder), model)


@pytest.mark.parametrize("safe", [True, False])
def test_shards_and_their_index_are_sealed_and_read(model: TinyLogBERT, folder: Path, safe: bool) -> None:
    changed(model).save_pretrained(folder, max_shard_size="30KB", safe_serialization=safe)
    stem, suffix = ("model", "safetensors") if safe else ("pytorch_model", "bin")
    shards = sorted(name for name in names(folder) if name.endswith(suffix) and name != "state.safetensors")
    assert len(shards) > 2
    assert all(name.startswith(f"{stem}-0000") for name in shards)
    assert f"{stem}.{suffix}.index.json" in names(folder)
    assert "model.safetensors" not in names(folder)
    assert equal(TinyLogBERT.from_pretrained(folder), model)
    tree, type_name = read_folder(folder)
    assert type_name == "tinylogbert"
    assert state_sha256(tree) == state_sha256(model.to_state())
    whole = (folder / shards[1]).read_bytes()
    (folder / shards[1]).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(CorruptStateError, match=shards[1]):
        TinyLogBERT.from_pretrained(folder)
    model.save_pretrained(folder)
    assert not [name for name in names(folder) if "-0000" in name or "index" in name]


def test_a_variant_lies_beside_the_weights_it_is_a_variant_of(model: TinyLogBERT, folder: Path) -> None:
    half = TinyLogBERT.from_pretrained(folder).half()
    half.save_pretrained(folder, variant="fp16")
    assert {"model.safetensors", "model.fp16.safetensors"} <= names(folder)
    # The library writes the dtype of the last save into config.json.
    assert equal(TinyLogBERT.from_pretrained(folder, dtype=torch.float32), model)
    assert equal(TinyLogBERT.from_pretrained(folder, variant="fp16"), half)
    assert verify_folder(folder, full=True) == []
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-1] + b"\x7f")
    with pytest.raises(CorruptStateError, match=r"model\.safetensors"):
        TinyLogBERT.from_pretrained(folder, variant="fp16")
    model.save_pretrained(folder)
    assert "model.fp16.safetensors" not in names(folder), "it would be of an older model"


def test_without_its_configuration_the_one_that_is_there_is_left_alone(model: TinyLogBERT, folder: Path) -> None:
    before = (folder / "config.json").read_bytes()
    changed(model).save_pretrained(folder, save_config=False)
    assert (folder / "config.json").read_bytes() == before
    assert equal(TinyLogBERT.from_pretrained(folder), model)
    assert state_sha256(read_folder(folder)[0]) == state_sha256(model.to_state())
    model.save_pretrained(folder.parent / "bare", save_config=False)
    assert "config.json" not in names(folder.parent / "bare")
    assert equal(TinyLogBERT.from_pretrained(folder.parent / "bare", config=model.config), model)


def test_loading_info_dtype_and_subfolder_are_those_of_the_library(model: TinyLogBERT, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "sub")
    loaded, info = TinyLogBERT.from_pretrained(tmp_path, subfolder="sub", output_loading_info=True)
    assert not info["missing_keys"]
    assert equal(loaded, model)
    assert TinyLogBERT.from_pretrained(tmp_path / "sub", dtype=torch.bfloat16).dtype == torch.bfloat16


def test_other_processes_of_a_training_write_nothing(model: TinyLogBERT, folder: Path) -> None:
    before = (folder / "MANIFEST.json").read_bytes()
    changed(model).save_pretrained(folder, is_main_process=False)
    assert (folder / "MANIFEST.json").read_bytes() == before


def test_files_are_readable_by_whom_the_umask_allows(folder: Path) -> None:
    assert len({path.stat().st_mode for path in folder.rglob("*") if path.is_file()}) == 1, (
        "safetensors alone would be 0600"
    )


def test_pushing_uploads_the_whole_folder(model: TinyLogBERT, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pushed: dict[str, Any] = {}

    def upload(self: Any, working_dir: str, repo_id: str, *args: Any, **kwargs: Any) -> None:
        pushed.update(repo_id=repo_id, names=names(Path(working_dir)), message=kwargs.get("commit_message"))

    class Api:
        def create_repo(self, repo_id: str, **kwargs: Any) -> Any:
            pushed["created"] = repo_id
            return type("Repo", (), {"repo_id": repo_id})

    class Card:
        def save(self, path: str) -> None:
            Path(path).write_text("card")

    from transformers.utils import hub

    monkeypatch.setattr(hub, "hf_api", Api)
    monkeypatch.setattr(hub, "create_and_tag_model_card", lambda *args, **kwargs: Card())
    monkeypatch.setattr(TinyLogBERT, "_upload_modified_files", upload)
    model.save_pretrained(folder, push_to_hub=True, repo_id="me/bert", commit_message="first")
    assert (pushed["created"], pushed["repo_id"], pushed["message"]) == ("me/bert", "me/bert", "first")
    assert {"config.json", "model.safetensors", "vocab.txt", "MANIFEST.json", "README.md"} <= pushed["names"]
    assert "README.md" not in names(folder)


# --- damage


def test_a_damaged_weight_is_named_by_file_and_tensor(model: TinyLogBERT, folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    wanted = model.encoder.words.weight.detach().numpy().tobytes()
    at = whole.index(wanted)
    (folder / "model.safetensors").write_bytes(whole[: at + 5] + bytes([whole[at + 5] ^ 4]) + whole[at + 6 :])
    with pytest.raises(
        CorruptStateError, match=r"model\.safetensors: tensor encoder\.words\.weight is not what was written"
    ):
        TinyLogBERT.from_pretrained(folder)


def test_an_edited_configuration_is_refused_and_named(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 1e-5}))
    with pytest.raises(CorruptStateError, match=r"config\.json: was edited or damaged"):
        TinyLogBERT.from_pretrained(folder)


@pytest.mark.parametrize("flips", [40, pytest.param(1000, marks=pytest.mark.slow)])
def test_no_flipped_bit_changes_the_model_that_is_loaded(model: TinyLogBERT, folder: Path, flips: int) -> None:
    rng = random.Random(1)
    files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    refused = 0
    for n in range(flips):
        path = sorted(files)[n % len(files)]
        place = rng.randrange(8 * len(files[path]))
        damaged = bytearray(files[path])
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            with warnings.catch_warnings(record=True):
                warnings.simplefilter("always")
                loaded = TinyLogBERT.from_pretrained(folder)
            assert equal(loaded, model), f"{path.name}: bit {place}"
            assert loaded.vocabulary.to_json() == model.vocabulary.to_json()
            assert "token" in path.name, "only tokenizer files are compared by content"
        except CorruptStateError:
            refused += 1
        path.write_bytes(files[path])
    assert refused > 0.7 * flips
    assert equal(TinyLogBERT.from_pretrained(folder), model)


def test_files_of_two_saves_are_refused(model: TinyLogBERT, folder: Path, tmp_path: Path) -> None:
    changed(model).save_pretrained(tmp_path / "new")
    shutil.copy(tmp_path / "new" / "model.safetensors", folder)
    with pytest.raises(CorruptStateError, match=r"model\.safetensors: tensor encoder\.words\.weight"):
        TinyLogBERT.from_pretrained(folder)


def test_a_folder_made_by_others_is_loaded_with_a_warning(model: TinyLogBERT, folder: Path) -> None:
    for name in ("MANIFEST.json", "state.json"):
        (folder / name).unlink()
    with pytest.warns(UserWarning, match=r"has no MANIFEST\.json"):
        loaded = TinyLogBERT.from_pretrained(folder)
    assert equal(loaded, model)
    with pytest.warns(UserWarning, match=r"has no MANIFEST\.json"):
        tree, type_name = read_folder(folder)
    assert type_name == "folder"
    assert equal(TinyLogBERT.from_state(tree), model)


class Trap:
    def __reduce__(self) -> tuple[Any, Any]:
        return (os.mkdir, ("ran",))


def test_a_pickle_that_names_code_never_reaches_torch(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("MANIFEST.json", "state.json", "model.safetensors"):
        (folder / name).unlink()
    torch.save({"encoder.norm.weight": Trap()}, folder / "pytorch_model.bin")
    with (
        pytest.warns(UserWarning, match="no MANIFEST"),
        pytest.raises(CorruptStateError, match="its pickle names 'posix mkdir'"),
    ):
        TinyLogBERT.from_pretrained(folder)
    assert not (tmp_path / "ran").exists()


def test_a_cache_of_links_is_read_as_the_hub_makes_one(model: TinyLogBERT, folder: Path, tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "1"
    folder.rename(blobs)
    snapshot.mkdir(parents=True)
    for path in blobs.iterdir():
        (snapshot / path.name).symlink_to(path)
    assert equal(TinyLogBERT.from_pretrained(snapshot), model)
    with pytest.raises(CorruptStateError, match="not a plain file"):
        read_folder(snapshot)


def test_no_folder_and_no_hub_is_the_librarys_own_error() -> None:
    with pytest.raises(OSError, match="huggingface"):
        TinyLogBERT.from_pretrained("nowhere/at-all", local_files_only=True)


def test_a_file_is_no_folder_to_save_to(model: TinyLogBERT, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file"):
        model.save_pretrained(tmp_path / "file")


# --- the state


def test_a_state_makes_the_same_model_and_the_same_folder(model: TinyLogBERT, folder: Path, tmp_path: Path) -> None:
    before = torch.get_rng_state()
    loaded = TinyLogBERT.from_state(model.to_state())
    assert torch.equal(torch.get_rng_state(), before), "no weight was drawn"
    assert equal(loaded, model)
    assert not loaded.training
    assert loaded.to_line_encoder().digest == model.to_line_encoder().digest
    assert state_sha256(read_folder(folder)[0]) == state_sha256(model.to_state())
    write_folder(tmp_path / "w", model.to_state(), "tinylogbert", arrangement=TinyLogBERT.arrangement(model.to_state()))
    assert equal(TinyLogBERT.from_pretrained(tmp_path / "w"), model)
    assert names(tmp_path / "w") == names(folder)
    for name in ("config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json", "state.json"):
        assert (tmp_path / "w" / name).read_bytes() == (folder / name).read_bytes(), name


def test_a_state_does_not_change_with_the_model(model: TinyLogBERT) -> None:
    tree = model.to_state()
    name = state_sha256(tree)
    changed(model)
    assert state_sha256(tree) == name
    loaded = TinyLogBERT.from_state(tree)
    changed(loaded)
    assert state_sha256(tree) == name


def test_bfloat16_weights_come_back_bit_for_bit(model: TinyLogBERT, tmp_path: Path) -> None:
    model.to(torch.bfloat16)
    tree = model.to_state()
    assert tree["model"]["encoder.norm.weight"].dtype == ml_dtypes.bfloat16
    assert equal(TinyLogBERT.from_state(tree), model)
    for safe in (True, False):
        model.save_pretrained(tmp_path, safe_serialization=safe)
        assert state_sha256(read_folder(tmp_path)[0]) == state_sha256(tree)
        loaded = TinyLogBERT.from_pretrained(tmp_path)
        assert loaded.dtype == torch.bfloat16
        assert equal(loaded, model)


def test_a_state_that_does_not_fit_is_refused(model: TinyLogBERT) -> None:
    tree = model.to_state()
    del tree["model"]["encoder.norm.weight"]
    with pytest.raises(CorruptStateError, match=r"encoder\.norm\.weight"):
        TinyLogBERT.from_state(tree)
    tree = model.to_state()
    tree["model"]["encoder.norm.weight"] = np.zeros(3, np.float32)
    with pytest.raises(CorruptStateError, match="size mismatch"):
        TinyLogBERT.from_state(tree)


def test_a_line_encoder_is_shown_as_the_model_it_is(encoder: LineEncoder, model: TinyLogBERT, tmp_path: Path) -> None:
    tree = encoder.to_state()
    write_folder(tmp_path / "f", tree, "line-encoder", arrangement=LineEncoder.arrangement(tree))
    loaded = TinyLogBERT.from_pretrained(tmp_path / "f")
    assert equal(loaded, model)
    assert loaded.to_line_encoder().digest == encoder.digest
    assert LineEncoder.from_state(read_folder(tmp_path / "f")[0]).digest == encoder.digest
    model.save_pretrained(tmp_path / "hf")
    assert torch.equal(ids(tmp_path / "f"), ids(tmp_path / "hf"))
    ours, theirs = (json.loads((tmp_path / name / "config.json").read_text()) for name in ("f", "hf"))
    for word in ("transformers_version", "fit_memory_size", "contamination"):  # an encoder alone remembers nothing
        del theirs[word]
    assert ours == theirs


def test_saving_an_encoder_needs_neither_torch_nor_transformers(encoder: LineEncoder, tmp_path: Path) -> None:
    from jamais.persistence.faces.binary import write_binary

    write_binary(tmp_path / "encoder.bin", encoder.to_state(), "line-encoder")
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from jamais.persistence.faces.binary import read_binary\n"
        "from jamais.persistence.faces.folder import write_folder\n"
        "from jamais.models.tinylogbert.line_encoder import LineEncoder\n"
        f"tree, name = read_binary(Path({str(tmp_path / 'encoder.bin')!r}))\n"
        f"write_folder({str(tmp_path / 'f')!r}, tree, name, arrangement=LineEncoder.arrangement(tree))\n"
        "print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert TinyLogBERT.from_pretrained(tmp_path / "f").to_line_encoder().digest == encoder.digest
