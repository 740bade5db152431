"""Is a state that was saved as a folder the same when it comes back, and what of others survives beside it?"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from folder_states import ARRANGEMENT, TOKENS, contents, listing, name_of, state
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jamais.errors import CorruptStateError, InputError, StateError
from jamais.persistence import VersionStore
from jamais.persistence.dtypes import BY_NAME
from jamais.persistence.faces.arrangement import Arrangement, Weights
from jamais.persistence.faces.folder import read_folder, verify_folder, write_folder

WEIGHTS = {"safetensors": "model.safetensors", "bin": "pytorch_model.bin"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "saved"
    write_folder(target, state(1), "thing", arrangement=ARRANGEMENT)
    return target


# --- what is written


@pytest.mark.parametrize("weights", WEIGHTS)
def test_a_state_of_every_kind_comes_back_bit_for_bit(tmp_path: Path, weights: str) -> None:
    write_folder(tmp_path / "f", state(3), "thing", weights=weights, arrangement=ARRANGEMENT)
    tree, type_name = read_folder(tmp_path / "f")
    assert (name_of(tree), type_name) == (name_of(state(3)), "thing")
    assert list(tree) == list(state(3))
    assert tree["model"]["again"] is tree["model"]["layer.F32"]
    assert tree["optimizer"]["tied"] is tree["model"]["layer.F64"]
    assert verify_folder(tmp_path / "f") == verify_folder(tmp_path / "f", full=True) == []


@pytest.mark.parametrize("weights", WEIGHTS)
def test_the_folder_holds_the_files_that_were_asked_for_and_no_others(tmp_path: Path, weights: str) -> None:
    write_folder(tmp_path / "f", state(3), "thing", weights=weights, arrangement=ARRANGEMENT)
    assert listing(tmp_path / "f") == sorted(
        [
            "MANIFEST.json",
            "config.json",
            "detectors",
            "detectors/detector_config.json",
            "detectors/knn_features.npy",
            "detectors/knn_params.json",
            "detectors/notes.json",
            WEIGHTS[weights],
            "state.json",
            "state.safetensors",
            "tokenizer_config.json",
            "vocab.txt",
        ]
    )
    assert os.listdir(tmp_path) == ["f"]


def test_other_libraries_read_what_belongs_to_them(folder: Path) -> None:
    import torch
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", "np") as opened:
        assert opened.metadata()["format"] == "pt"
        # What numpy has a word for; the array of complex numbers lies elsewhere, the second name of one not at all.
        assert set(opened.keys()) == {f"encoder.layer.{name}" for name in BY_NAME}
        assert opened.get_tensor("encoder.layer.F32").tobytes() == state(1)["model"]["layer.F32"].tobytes()
    rows = np.load(folder / "detectors" / "knn_features.npy", allow_pickle=False)
    assert np.array_equal(rows, state(1)["memory"]["rows"])
    assert (folder / "vocab.txt").read_text("utf-8").splitlines() == list(TOKENS)
    assert json.loads((folder / "config.json").read_text()) == state(1)["config"]
    write_folder(folder, state(1), "thing", weights="bin", arrangement=ARRANGEMENT)
    loaded = torch.load(folder / "pytorch_model.bin", weights_only=True)
    assert loaded["encoder.layer.BF16"].dtype == torch.bfloat16
    bits = loaded["encoder.layer.BF16"].view(torch.int16).numpy()
    assert bits.tobytes() == state(1)["model"]["layer.BF16"].tobytes()


def test_the_same_state_gives_the_same_bytes_and_another_state_another_generation(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_folder(tmp_path / name, state(seed), "thing", arrangement=ARRANGEMENT)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    generations = {json.loads((tmp_path / n / "MANIFEST.json").read_text())["generation"] for n in "abc"}
    assert len(generations) == 2


def test_a_state_needs_no_arrangement(tmp_path: Path) -> None:
    write_folder(tmp_path / "deep" / "er", state(1), "thing")
    assert listing(tmp_path / "deep" / "er") == ["MANIFEST.json", "state.json", "state.safetensors"]
    assert name_of(read_folder(tmp_path / "deep" / "er")[0]) == name_of(state(1))
    write_folder(tmp_path / "empty", {}, "thing")
    assert read_folder(tmp_path / "empty") == ({}, "thing")


def test_tied_weights_whose_first_name_lies_elsewhere_are_in_the_weights_file(tmp_path: Path) -> None:
    shared = np.arange(6, dtype=np.float32)
    tree = {"anchor": {"w": shared}, "model": {"w": shared, "v": shared[:3]}}
    write_folder(tmp_path / "f", tree, "thing", arrangement=Arrangement(weights=Weights("/model")))
    from safetensors import safe_open

    with safe_open(tmp_path / "f" / "model.safetensors", "np") as opened:
        assert sorted(opened.keys()) == ["v", "w"]
    loaded = read_folder(tmp_path / "f")[0]
    assert loaded["anchor"]["w"] is loaded["model"]["w"]


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=6),
    st.lists(st.one_of(st.integers(), st.floats(), st.text(max_size=3)), max_size=3),
    st.builds(
        lambda name, shape, seed: (
            np.random.default_rng(seed)
            .integers(0, 2 if name == "BOOL" else 256, int(np.prod(shape)) * BY_NAME[name].itemsize, dtype=np.uint8)
            .view(BY_NAME[name])
            .reshape(shape)
        ),
        st.sampled_from(sorted(BY_NAME)),
        st.lists(st.integers(0, 3), max_size=3).map(tuple),
        st.integers(0, 99),
    ),
)
keys = st.text(max_size=5)
trees = st.dictionaries(keys, st.recursive(leaves, lambda inner: st.dictionaries(keys, inner, max_size=3)), max_size=4)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=trees, model=st.dictionaries(keys, leaves, max_size=4), weights=st.sampled_from(sorted(WEIGHTS)))
def test_any_state_comes_back_bit_for_bit(
    tmp_path: Path, tree: dict[str, Any], model: dict[str, Any], weights: str
) -> None:
    tree = {**tree, "model": model}
    shown = Arrangement(
        weights=Weights("/model", "p."),
        parts={"parts/model.json": "/model"},
        arrays={f"arrays/{n}.npy": f"/{key}" for n, key in enumerate(tree) if "/" not in key and "~" not in key},
    )
    write_folder(tmp_path / "f", tree, "thing", weights=weights, arrangement=shown)
    assert name_of(read_folder(tmp_path / "f")[0]) == name_of(tree)


def test_what_cannot_be_shown_as_asked_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    for wrong, said in [
        (Arrangement(parts={"a.json": "/lines"}), "which is no dict"),
        (Arrangement(tokens=("not", "there")), "in no list of the state"),
        (Arrangement(tokens=("twice", "twice")), "each token once"),
    ]:
        with pytest.raises(StateError, match=said):
            write_folder(tmp_path / "f", state(1), "thing", arrangement=wrong)
    with pytest.raises(StateError, match=r"state /a: cannot save builtins\.object"):
        write_folder(tmp_path / "f", {"a": object()}, "thing")
    with pytest.raises(StateError, match="'safetensors' or 'bin'"):
        write_folder(tmp_path / "f", {}, "thing", weights="pickle")
    assert os.listdir(tmp_path) == []


# --- what lies beside it


def test_what_others_put_there_stays_and_what_an_older_save_wrote_goes(folder: Path) -> None:
    (folder / "README.md").write_text("mine")
    (folder / "runs" / "1").mkdir(parents=True)
    (folder / "runs" / "1" / "events").write_text("a")
    (folder / "runs" / "empty").mkdir()
    (folder / "detectors" / "notes.txt").write_text("mine, too")
    (folder / "link").symlink_to("README.md")
    (folder / "nowhere").symlink_to("missing")
    (folder / "README.md").chmod(0o640)
    os.mkfifo(folder / "pipe")
    with open(folder / "runs" / "1" / "events", "a") as still_open:
        write_folder(folder, state(2), "thing", weights="bin", arrangement=Arrangement(weights=Weights("/model")))
        still_open.write("b")
    assert listing(folder) == [
        "MANIFEST.json",
        "README.md",
        "detectors",
        "detectors/notes.txt",
        "link",
        "nowhere",
        "pipe",
        "pytorch_model.bin",
        "runs",
        "runs/1",
        "runs/1/events",
        "runs/empty",
        "state.json",
        "state.safetensors",
    ]
    assert (folder / "README.md").read_text() == "mine"
    assert stat.S_IMODE((folder / "README.md").stat().st_mode) == 0o640
    assert (folder / "runs" / "1" / "events").read_text() == "ab", "a program that goes on writing writes to it"
    assert os.readlink(folder / "link") == "README.md"
    assert os.readlink(folder / "nowhere") == "missing"
    assert name_of(read_folder(folder)[0]) == name_of(state(2)), "what others put there is nobody's business"
    assert verify_folder(folder, full=True) == []


def test_a_folder_of_detectors_that_are_gone_goes_too(folder: Path) -> None:
    write_folder(folder, state(2), "thing")
    assert "detectors" not in listing(folder)


@pytest.mark.parametrize(("first", "second"), [("safetensors", "bin"), ("bin", "safetensors")])
def test_the_other_weights_file_goes_in_the_same_step(tmp_path: Path, first: str, second: str) -> None:
    for weights in (first, second):
        write_folder(tmp_path / "f", state(1), "thing", weights=weights, arrangement=ARRANGEMENT)
    assert WEIGHTS[second] in listing(tmp_path / "f")
    assert WEIGHTS[first] not in listing(tmp_path / "f")


def test_old_weights_of_other_programs_go_under_all_their_names(tmp_path: Path) -> None:
    target = tmp_path / "f"
    target.mkdir()
    shards = ["model-00001-of-00002.safetensors", "pytorch_model.bin.index.json", "model.safetensors.index.json"]
    for name in [*shards, "pytorch_model.bin", "training_args.bin", "optimizer.pt"]:
        (target / name).write_text("old")
    write_folder(target, state(1), "thing", arrangement=ARRANGEMENT)
    found = listing(target)
    assert not set(found) & {*shards, "pytorch_model.bin"}
    assert {"training_args.bin", "optimizer.pt"} <= set(found)


def test_modes_are_those_of_the_files_replaced_or_what_the_umask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_folder(tmp_path / "f", state(1), "thing", arrangement=ARRANGEMENT)
        modes = {stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "f").rglob("*") if p.is_file()}
        assert modes == {0o640}
        (tmp_path / "f" / "state.json").chmod(0o604)
        (tmp_path / "f").chmod(0o750)
        write_folder(tmp_path / "f", state(2), "thing", arrangement=ARRANGEMENT)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "f" / "state.json").stat().st_mode) == 0o604
    assert stat.S_IMODE((tmp_path / "f" / "config.json").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o750


def test_folders_that_must_not_be_replaced_are_refused_untouched(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "people" / "me"))
    VersionStore(tmp_path / "store").commit({"a": 1}, reason="r", kind="k", parent=None)
    (tmp_path / "file").write_text("x")
    (tmp_path / "people" / "me").mkdir(parents=True)
    (tmp_path / "all").mkdir()
    (tmp_path / "all").chmod(0o1777)
    (folder / "state.safetensors").unlink()
    (folder / "state.safetensors").mkdir()
    for target, said in [
        ("/", "not a folder to save to"),
        (tmp_path / "people" / "me", "not a folder to save to"),
        (tmp_path / "people", "not a folder to save to"),
        (tmp_path / "file", "is a file"),
        (tmp_path / "store", "keeps versions"),
        (tmp_path / "all", "shared by all users"),
        ("/proc", "file system of its own"),
        (folder, "is a folder, in the way"),
    ]:
        with pytest.raises(InputError, match=said):
            write_folder(target, state(2), "thing")
    assert sorted(os.listdir(tmp_path)) == ["all", "file", "people", "saved", "store"]
    assert name_of(VersionStore(tmp_path / "store").load()[0]) == name_of({"a": 1})


def test_a_thing_of_another_type_is_not_replaced_by_surprise(folder: Path) -> None:
    before = contents(folder)
    with pytest.raises(InputError, match="holds a saved thing, which a model would replace: save to another folder"):
        write_folder(folder, state(2), "model")
    assert contents(folder) == before


def test_a_link_is_followed_and_stays_a_link(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "current").symlink_to("saved")
    write_folder(tmp_path / "current", state(2), "thing")
    assert (tmp_path / "current").is_symlink()
    assert name_of(read_folder(folder)[0]) == name_of(read_folder(tmp_path / "current")[0]) == name_of(state(2))


def test_the_working_folder_of_this_process_may_be_the_one_replaced(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "sub").mkdir()
    monkeypatch.chdir(folder / "sub")
    write_folder("..", state(2), "thing")
    assert os.getcwd() == str(folder / "sub")
    assert name_of(read_folder("..")[0]) == name_of(state(2))


def test_a_reader_whose_folder_is_replaced_again_and_again_sees_one_save_at_a_time(folder: Path) -> None:
    import threading

    wanted = {name_of(state(seed)) for seed in (1, 2)}
    stop = threading.Event()

    def write() -> None:
        for n in range(12):
            write_folder(folder, state(1 + n % 2), "thing", arrangement=ARRANGEMENT)
        stop.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = []
    while not stop.is_set():
        seen.append(name_of(read_folder(folder)[0]))
    writer.join()
    assert set(seen) <= wanted
    assert seen


# --- tokenizer files, which other programs rewrite


def tokenizer_json(tokens: tuple[str, ...]) -> str:
    vocab = {token: number for number, token in enumerate(tokens)}
    return json.dumps({"model": {"type": "WordPiece", "vocab": vocab}, "normalizer": None, "added_tokens": []})


def test_tokenizer_files_may_be_rewritten_or_left_out_as_long_as_they_number_the_words_alike(folder: Path) -> None:
    (folder / "vocab.txt").unlink()
    (folder / "tokenizer.json").write_text(tokenizer_json(TOKENS))
    (folder / "tokenizer_config.json").write_text(
        '{"unk_token": "[UNK]", "added_tokens_decoder": {"0": {"content": "[PAD]"}}}'
    )
    (folder / "special_tokens_map.json").write_text('{"unk_token": {"content": "[UNK]"}}')
    (folder / "added_tokens.json").write_text('{"die": 2}')
    assert name_of(read_folder(folder)[0]) == name_of(state(1))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("vocab.txt", "[PAD]\n[UNK]\nder\n", "token 'der' has number 2, where the vocabulary has 'die'"),
        ("vocab.txt", "[PAD]\n[UNK]\ndie\n", "token 'Платте', number 3, is missing"),
        ("vocab.txt", "\n".join([*TOKENS, "more"]), "token 'more' has number 6, where the vocabulary has only 6"),
        ("tokenizer.json", tokenizer_json((*TOKENS[:2], TOKENS[3], TOKENS[2], *TOKENS[4:])), "in the vocabulary 3"),
        ("tokenizer.json", "{}", "not what a tokenizer writes"),
        ("tokenizer_config.json", '{"unk_token": "<unk>"}', "token '<unk>' is not in the vocabulary"),
        ("special_tokens_map.json", '{"pad_token": "<pad>"}', "token '<pad>' is not in the vocabulary"),
        ("added_tokens.json", '{"die": 5}', "token 'die' has number 5, in the vocabulary 2"),
        ("added_tokens.json", "[", "not readable as JSON"),
    ],
)
def test_tokenizer_files_of_another_vocabulary_are_an_error_that_names_the_first_token(
    folder: Path, name: str, text: str, said: str
) -> None:
    (folder / name).write_text(text, "utf-8")
    with pytest.raises(CorruptStateError, match=said) as error:
        read_folder(folder)
    assert name in str(error.value)
    assert said in verify_folder(folder)[0]


def test_tokenizer_files_that_were_there_stay_if_they_agree(tmp_path: Path) -> None:
    target = tmp_path / "f"
    target.mkdir()
    (target / "tokenizer.json").write_text(tokenizer_json(TOKENS))
    (target / "special_tokens_map.json").write_text('{"unk_token": "[UNK]"}')
    theirs = contents(target)
    for _ in range(2):
        write_folder(target, state(1), "thing", arrangement=ARRANGEMENT)
        found = contents(target)
        assert {name: found[name] for name in theirs} == theirs
        assert {"vocab.txt", "tokenizer_config.json"} <= found.keys()
        assert name_of(read_folder(target)[0]) == name_of(state(1))


def test_tokenizer_files_that_disagree_are_replaced_with_a_warning(tmp_path: Path) -> None:
    target = tmp_path / "f"
    target.mkdir()
    (target / "added_tokens.json").write_text('{"new": 6}')
    with pytest.warns(UserWarning, match=r"added_tokens\.json is replaced.*token 'new' has number 6"):
        write_folder(target, state(1), "thing", arrangement=ARRANGEMENT)
    assert "added_tokens.json" not in listing(target)
    (target / "vocab.txt").write_text("other\n")
    with pytest.warns(UserWarning, match=r"vocab\.txt is replaced.*token 'other'"):
        write_folder(target, state(1), "thing", arrangement=ARRANGEMENT)
    assert name_of(read_folder(target)[0]) == name_of(state(1))


def test_a_new_vocabulary_replaces_the_older_one_of_ours_without_a_word(folder: Path) -> None:
    from dataclasses import replace

    tree = state(1)
    tree["vocabulary"]["tokens"] = ["other", "words"]
    write_folder(folder, tree, "thing", arrangement=replace(ARRANGEMENT, tokens=("other", "words")))
    assert (folder / "vocab.txt").read_text() == "other\nwords\n"
    assert name_of(read_folder(folder)[0]) == name_of(tree)


def test_a_tokenizer_that_cuts_in_another_way_is_a_warning(tmp_path: Path) -> None:
    from dataclasses import replace

    text = tokenizer_json(TOKENS)
    config = b'{"model_max_length": 128}'
    shown = replace(ARRANGEMENT, derived={"tokenizer.json": text.encode(), "tokenizer_config.json": config})
    write_folder(tmp_path / "f", state(1), "thing", arrangement=shown)
    (tmp_path / "f" / "tokenizer.json").write_text(text.replace('"normalizer": null', '"normalizer": {"type": "NFC"}'))
    with pytest.warns(UserWarning, match=r"tokenizer\.json: normalizer is not what was written"):
        read_folder(tmp_path / "f")
    (tmp_path / "f" / "tokenizer.json").write_text(text)
    (tmp_path / "f" / "tokenizer_config.json").write_text('{"model_max_length": 129}')
    with pytest.warns(UserWarning, match="model_max_length is '129', '128' was written"):
        read_folder(tmp_path / "f")


# --- folders of other programs


def test_a_folder_without_a_manifest_is_read_with_a_warning(tmp_path: Path) -> None:
    import torch

    target = tmp_path / "seed"
    (target / "detectors").mkdir(parents=True)
    (target / "config.json").write_text('{"hidden_size": 4}')
    (target / "vocab.txt").write_text("a\nb\n")
    weights = {"w": torch.ones(2, 3, dtype=torch.bfloat16), "v": torch.zeros(())}
    torch.save({**weights, "tied": weights["w"]}, target / "pytorch_model.bin")
    features = np.asfortranarray(np.arange(12, dtype=">f8").reshape(3, 4))
    np.save(target / "detectors" / "lof_features.npy", features)
    (target / "detectors" / "lof_params.json").write_text('{"k": 20}')
    (target / "detectors" / "detector_config.json").write_text('{"method": "lof"}')
    (target / "detectors" / "ensemble_performance.json").write_text('{"lof": NaN, "knn": -Infinity}')
    (target / "detectors" / "whatever.txt").write_text("")
    with pytest.warns(UserWarning, match=r"has no MANIFEST\.json"):
        tree, type_name = read_folder(target)
    assert type_name == "folder"
    assert tree["config"] == {"hidden_size": 4}
    assert tree["tokens"] == ["a", "b"]
    assert tree["model"]["w"].dtype == ml_dtypes.bfloat16
    assert tree["model"]["tied"] is tree["model"]["w"]
    assert tree["model"]["v"].shape == ()
    assert tree["detectors"]["lof"]["params"] == {"k": 20}
    assert tree["detectors"]["lof"]["features"].dtype == np.dtype("<f8")
    assert np.array_equal(tree["detectors"]["lof"]["features"], features)
    assert tree["detector_config"] == {"method": "lof"}
    assert np.isnan(tree["ensemble_performance"]["lof"])
    assert verify_folder(target) == [f"{target}: has no MANIFEST.json: nothing tells whether it is whole"]
    write_folder(tmp_path / "ours", tree, type_name, arrangement=Arrangement(weights=Weights("/model")))
    assert name_of(read_folder(tmp_path / "ours")[0]) == name_of(tree)


def test_shards_are_read_by_their_index_and_safetensors_before_torch(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    ones, twos = np.ones(2, np.float32), np.full(2, 2, np.float32)
    save_file({"a": ones}, tmp_path / "model-00001-of-00002.safetensors")
    save_file({"b": twos}, tmp_path / "model-00002-of-00002.safetensors")
    index = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    (tmp_path / "pytorch_model.bin").write_text("stale")
    with pytest.warns(UserWarning, match="no MANIFEST"):
        tree, _ = read_folder(tmp_path)
    assert set(tree["model"]) == {"a", "b"}
    index["b"] = "model-00001-of-00002.safetensors"
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    with pytest.raises(CorruptStateError, match="lacks b"):
        read_folder(tmp_path)
    index["b"] = "../model-00001-of-00002.safetensors"
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    with pytest.raises(CorruptStateError, match="no shards"):
        read_folder(tmp_path)


def test_no_folder_and_a_folder_of_nothing_are_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder at"):
        read_folder(tmp_path / "missing")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file"):
        read_folder(tmp_path / "file")
    with pytest.raises(InputError, match="holds no model"):
        read_folder(tmp_path)
