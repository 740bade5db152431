"""Is every damage to a folder noticed and named, and is a hostile one refused at once, with nothing run?"""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from folder_states import ARRANGEMENT, contents, name_of, state

from jamais.errors import CorruptStateError, StateError
from jamais.persistence import digests, json_text
from jamais.persistence.faces.folder import read_folder, verify_folder, write_folder

WEIGHTS = {"safetensors": "model.safetensors", "bin": "pytorch_model.bin"}


def saved(folder: Path, seed: int = 1, weights: str = "safetensors") -> Path:
    write_folder(folder, state(seed), "thing", weights=weights, arrangement=ARRANGEMENT)
    return folder


def outcome(folder: Path, wanted: str) -> str:
    """Read a folder that was tampered with: refused, the same state, or silently another one."""
    try:
        tree, type_name = read_folder(folder)
    except CorruptStateError:
        return "refused"
    return "same" if (name_of(tree), type_name) == (wanted, "thing") else "SILENT"


# --- accidents


@pytest.mark.parametrize(
    ("weights", "flips"),
    [
        ("safetensors", 250),
        ("bin", 100),
        pytest.param("safetensors", 3000, marks=pytest.mark.slow),
        pytest.param("bin", 3000, marks=pytest.mark.slow),
    ],
)
def test_no_flipped_bit_in_any_file_goes_unnoticed(tmp_path: Path, weights: str, flips: int) -> None:
    folder = saved(tmp_path / "f", weights=weights)
    files, wanted = contents(folder), name_of(state(1))
    assert len(files) == 11
    rng = random.Random(0)
    seen = {"refused": 0, "same": 0}
    for n in range(flips):
        name = sorted(files)[n % len(files)]
        place = rng.randrange(8 * len(files[name]))
        damaged = bytearray(files[name])
        damaged[place // 8] ^= 1 << place % 8
        (folder / name).write_bytes(damaged)
        found = outcome(folder, wanted)
        assert found in seen, f"{name}: bit {place}"
        # The bytes of tokenizer files do not count: a space more or less in them says nothing.
        assert found == "refused" or name == "tokenizer_config.json", name
        seen[found] += 1
        (folder / name).write_bytes(files[name])
    assert seen["refused"] > 0.85 * flips
    assert outcome(folder, wanted) == "same"


def test_no_truncation_of_the_manifest_goes_unnoticed(tmp_path: Path) -> None:
    folder = saved(tmp_path / "f")
    whole = (folder / "MANIFEST.json").read_bytes()
    for length in [*range(0, len(whole) - 2, 37), len(whole) - 2]:  # the last byte is a line break
        (folder / "MANIFEST.json").write_bytes(whole[:length])
        with pytest.raises(CorruptStateError, match=r"MANIFEST\.json"):
            read_folder(folder)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_files_that_are_cut_padded_emptied_or_gone_are_named(tmp_path: Path, weights: str) -> None:
    folder = saved(tmp_path / "f", weights=weights)
    kept = contents(folder)
    for name in set(kept) - {"MANIFEST.json", "tokenizer_config.json", "vocab.txt"}:
        for damaged in (kept[name][:-1], kept[name] + b"\0", kept[name][: len(kept[name]) // 2], b"", None):
            (folder / name).unlink() if damaged is None else (folder / name).write_bytes(damaged)
            with pytest.raises(CorruptStateError, match=name.replace(".", r"\.")):
                read_folder(folder)
            assert name in verify_folder(folder)[0]
        (folder / name).write_bytes(kept[name])
    assert name_of(read_folder(folder)[0]) == name_of(state(1))


def test_a_damaged_tensor_is_named(tmp_path: Path) -> None:
    from safetensors import safe_open

    folder = saved(tmp_path / "f")
    whole = (folder / "model.safetensors").read_bytes()
    wanted = state(1)["model"]["layer.BF16"].tobytes()
    at = whole.index(wanted, 8 + int.from_bytes(whole[:8], "little"))
    (folder / "model.safetensors").write_bytes(whole[:at] + bytes([wanted[0] ^ 1]) + whole[at + 1 :])
    with safe_open(folder / "model.safetensors", "np") as opened:  # the usual reader sees nothing wrong
        assert len(opened.keys()) == 15
    with pytest.raises(CorruptStateError, match=r"model\.safetensors: tensor encoder\.layer\.BF16 is not what was wr"):
        read_folder(folder)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_files_of_two_saves_are_never_read_as_one_state(tmp_path: Path, weights: str) -> None:
    old, new = saved(tmp_path / "old", 1, weights), saved(tmp_path / "new", 2, weights)
    names = [name for name, data in contents(old).items() if data != contents(new)[name]]
    assert len(names) == 7
    for name in names:
        mixed = tmp_path / "mixed"
        shutil.copytree(new, mixed)
        shutil.copy(old / name, mixed / name)
        with pytest.raises(CorruptStateError) as error:
            read_folder(mixed)
        blamed = set(names) - {"MANIFEST.json", name} if name == "MANIFEST.json" else {name}
        assert all(one in str(error.value) for one in sorted(blamed)[:6]), name
        if name != "MANIFEST.json":
            assert not any(one in str(error.value) for one in set(names) - {name})
        shutil.rmtree(mixed)


def test_a_manifest_that_was_taken_away_is_noticed(tmp_path: Path) -> None:
    folder = saved(tmp_path / "f")
    (folder / "MANIFEST.json").unlink()
    with pytest.raises(CorruptStateError, match=r"MANIFEST\.json is missing"):
        read_folder(folder)


def test_json_that_was_edited_by_hand_wants_to_be_accepted(tmp_path: Path) -> None:
    folder = saved(tmp_path / "f")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "size": 8}))
    with pytest.raises(CorruptStateError, match=r"config\.json: was edited or damaged .* accept_edits=True"):
        read_folder(folder)
    assert "config.json" in verify_folder(folder, full=True)[0]
    tree, _ = read_folder(folder, accept_edits=True)
    assert tree["config"] == {**config, "size": 8}
    (folder / "detectors" / "detector_config.json").write_text("{}")
    assert read_folder(folder, accept_edits=True)[0]["config"]["size"] == 8
    for name, text in [("config.json", "{"), ("detectors/knn_params.json", '{"rows": {"$array": "<f4 3"}}')]:
        kept = (folder / name).read_text()
        (folder / name).write_text(text)
        with pytest.raises(CorruptStateError):
            read_folder(folder, accept_edits=True)
        (folder / name).write_text(kept)
    (folder / "detectors" / "knn_features.npy").write_bytes(b"")
    with pytest.raises(CorruptStateError, match="knn_features"):
        read_folder(folder, accept_edits=True)


# --- malice


def sealed_again(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a manifest and give it the right digest, as somebody with bad intentions would."""
    body = json.loads((folder / "MANIFEST.json").read_text())
    del body["sha256"]
    change(body)
    body["sha256"] = digests.sha256(json_text.dump(body, canonical=True))
    (folder / "MANIFEST.json").write_text(json.dumps(body))


def replaced(folder: Path, name: str, data: bytes) -> None:
    """Put other bytes into a file and have the manifest say that this is right."""
    (folder / name).write_bytes(data)
    entry = {"size": len(data), "sha256": digests.sha256(data)}
    sealed_again(folder, lambda body: body["files"][name].update(entry))


def refused_at_once(folder: Path, match: str) -> None:
    began = time.process_time()  # of this process: other work on the machine does not count
    with pytest.raises(CorruptStateError, match=match):
        read_folder(folder)
    assert time.process_time() - began < 1.0


def first(body: dict[str, Any], file: str) -> dict[str, Any]:
    found: dict[str, Any] = next(entry for entry in body["arrays"].values() if entry["file"] == file)
    return found


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "a/../../secret", "..", "", "a//b", "MANIFEST.json", "a\nb"]
)
def test_a_manifest_never_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    folder = saved(tmp_path / "f")
    (tmp_path / "secret").write_text("{}")
    sealed_again(folder, lambda body: body["files"].update({name: {"size": 2, "sha256": "0" * 64}}))
    refused_at_once(folder, "not a manifest|is not allowed")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda b: first(b, "model.safetensors").update(shape=[1 << 40]), "more than its size"),
        (lambda b: first(b, "model.safetensors").update(shape=[-1, 2]), "a size of -1"),
        (lambda b: first(b, "model.safetensors").update(shape=[1 << 47] * 33), "dtype"),
        (lambda b: first(b, "model.safetensors").update(dtype="O"), "dtype 'O'"),
        (lambda b: first(b, "model.safetensors").update(file="config.json"), "not what|more than its size|one place"),
        (lambda b: first(b, "model.safetensors").update(file="nowhere"), "nowhere"),
        (lambda b: first(b, "model.safetensors").update(name="encoder.layer.F32"), "one place"),
        (lambda b: first(b, "state.safetensors").update(xxh3="x"), "is no xxh3"),
        (lambda b: b["files"]["config.json"].update(size=1 << 60), "a size of"),
        (lambda b: b["files"].pop("config.json"), "no listed file"),
        (lambda b: b["parts"].update({"config.json": ""}), "does not name config.json"),
        (lambda b: b["parts"].update({"config.json": "/model"}), "does not name config.json"),
        (lambda b: b["parts"].clear(), "unknown marker"),
        (lambda b: b["tokenizer"].update(tokens="/lines"), "no list of tokens"),
        (lambda b: b["tokenizer"].update(tokens=""), "no list of tokens"),
        (lambda b: b.update(arrays=[]), "not a manifest"),
        (lambda b: b.update(type=3), "not a manifest"),
        (lambda b: b.update(files=None), "not a manifest"),
    ],
)
def test_a_manifest_that_lies_is_refused(tmp_path: Path, change: Callable[[Any], None], said: str) -> None:
    folder = saved(tmp_path / "f")
    sealed_again(folder, change)
    refused_at_once(folder, said)


def test_a_manifest_of_a_later_format_says_which_jamais_reads_it(tmp_path: Path) -> None:
    folder = saved(tmp_path / "f")
    sealed_again(folder, lambda body: body.update(format_version=2, jamais_version="9.9"))
    with pytest.raises(StateError, match=r"format version 2, .* use jamais 9\.9"):
        read_folder(folder)


@pytest.mark.parametrize(
    "name", ["MANIFEST.json", "config.json", "model.safetensors", "vocab.txt", "detectors/knn_features.npy"]
)
def test_links_pipes_and_folders_in_place_of_files_are_refused(tmp_path: Path, name: str) -> None:
    folder = saved(tmp_path / "f")
    aside = tmp_path / "aside"
    (folder / name).rename(aside)
    for put in (lambda p: p.symlink_to(aside), os.mkfifo, lambda p: p.mkdir(), lambda p: p.symlink_to("/dev/zero")):
        put(folder / name)
        refused_at_once(folder, "not a plain file")
        (folder / name).rmdir() if (folder / name).is_dir() else (folder / name).unlink()


def test_a_link_in_place_of_the_folder_of_detectors_is_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path / "f")
    (folder / "detectors").rename(tmp_path / "elsewhere")
    (folder / "detectors").symlink_to(tmp_path / "elsewhere")
    refused_at_once(folder, "detectors: missing, or not a plain folder")


def npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


class Trap:
    """Makes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Any, Any]:
        return (os.mkdir, ("ran",))


def pickled_array() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([Trap()], dtype=object), allow_pickle=True)
    return stream.getvalue()


HOSTILE_NPY = {
    "4 TiB": (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (549755813888,), }"), "not the 0 bytes"),
    "overflow": (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999999, 999999999999999), }"), "not"),
    "pickle": (pickled_array(), "pickled objects"),
    "code": (npy("{'descr': __import__('os'), 'fortran_order': False, 'shape': (), }"), "no plain array"),
    "brackets": (npy("(" * 9000), "no plain array"),
    "record": (
        npy("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,), }", b"8 bytes."),
        "no plain array",
    ),
    "text": (npy("{'descr': '<U2', 'fortran_order': False, 'shape': (1,), }", b"8 bytes."), "dtype <U2"),
    "long header": (b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + b" " * 99, "does not fit"),
    "empty": (b"", "not a .npy file"),
}


@pytest.mark.parametrize("case", HOSTILE_NPY)
def test_hostile_npy_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    monkeypatch.chdir(tmp_path)
    data, said = HOSTILE_NPY[case]
    (tmp_path / "seed" / "detectors").mkdir(parents=True)
    (tmp_path / "seed" / "config.json").write_text("{}")
    (tmp_path / "seed" / "detectors" / "knn_features.npy").write_bytes(data)
    refused_at_once(tmp_path / "seed", said)
    folder = saved(tmp_path / "f")
    replaced(folder, "detectors/knn_features.npy", data)
    refused_at_once(folder, "not what|more than its size|not a manifest")
    assert not (tmp_path / "ran").exists()


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(f"archive/{name}", data)
    return stream.getvalue()


def overlapping() -> bytes:
    whole = bytearray(zipped({"data.pkl": b"x" * 400, "a": b"", "b": b""}))
    at = whole.index(b"PK\x01\x02")
    for _ in range(2):  # let the directory say that the others are as large as the first
        at = whole.index(b"PK\x01\x02", at + 4)
        whole[at + 20 : at + 28] = struct.pack("<II", 400, 400)
    return bytes(whole)


def tensors_of_nothing() -> bytes:
    import torch

    stream = io.BytesIO()
    huge = torch.zeros(1).expand(1 << 20, 1 << 20)
    torch.save({"w": huge}, stream)
    return stream.getvalue()


def torch_saved(value: Any, **options: Any) -> bytes:
    import torch

    stream = io.BytesIO()
    torch.save(value, stream, **options)
    return stream.getvalue()


HOSTILE_BIN: dict[str, tuple[Callable[[], bytes], str]] = {
    "runs code": (lambda: torch_saved({"w": Trap()}), "names 'posix mkdir', only plain tensors are read"),
    "bare pickle": (
        lambda: torch_saved({"w": Trap()}, _use_new_zipfile_serialization=False),
        "not a zip of torch.save",
    ),
    "array": (lambda: torch_saved({"w": np.zeros(2)}), "names 'numpy"),
    "bytes on demand": (
        lambda: zipped({"data.pkl": b"\x80\x02c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R."}),
        "bytearray",
    ),
    "stack global": (lambda: zipped({"data.pkl": b"\x80\x04\x8c\x02os\x8c\x06system\x93."}), "STACK_GLOBAL"),
    "no tensors": (lambda: torch_saved({"w": [1, 2]}), "'w' is no tensor"),
    "no dict": (lambda: torch_saved([1, 2]), "holds list"),
    "bomb": (
        lambda: zipped({"data.pkl": b"\x80\x02}.", "data/0": bytes(50_000_000)}, zipfile.ZIP_DEFLATED),
        "compressed",
    ),
    "overlap": (overlapping, "overlap"),
    "tensor of 4 TiB": (tensors_of_nothing, "say more than the file"),
    "two pickles": (lambda: zipped({"data.pkl": b".", "x/data.pkl": b"."}), "has 2 pickles"),
    "broken pickle": (lambda: zipped({"data.pkl": b"\x80\x02}q"}), "its pickle is broken"),
    "cut": (lambda: torch_saved({})[:-30], "its end is missing"),
    "many members": (
        lambda: zipped({"data.pkl": b".", **{str(n): b"" for n in range(70_000)}}),
        "directory of|more than",
    ),
    "text": (lambda: b"PK\x03\x04 and nothing of the kind", "its end is missing"),
}


@pytest.mark.parametrize("case", HOSTILE_BIN)
def test_hostile_torch_files_are_refused_and_nothing_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.chdir(tmp_path)
    make, said = HOSTILE_BIN[case]
    data = make()
    (tmp_path / "seed").mkdir()
    (tmp_path / "seed" / "pytorch_model.bin").write_bytes(data)
    refused_at_once(tmp_path / "seed", said)
    folder = saved(tmp_path / "f", weights="bin")
    replaced(folder, "pytorch_model.bin", data)
    refused_at_once(folder, f"{said}|more than its size")
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow  # to make the file takes seconds, to refuse it does not
def test_a_torch_file_of_many_members_is_refused_at_once(tmp_path: Path) -> None:
    many = zipped({"data.pkl": b".", **{str(n): b"" for n in range(70_000)}})
    (tmp_path / "pytorch_model.bin").write_bytes(many)
    refused_at_once(tmp_path, "more than 16384 tensors")


def tensors_file(header: bytes, data: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "little") + header + data


HOSTILE_SAFETENSORS = {
    "long header": b"\xff" * 7 + b"\0{}",
    "many arrays": tensors_file(
        b"{" + b",".join(b'"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}' % n for n in range(149_000)) + b"}"
    ),
    "overlap": tensors_file(
        b'{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}',
        b"data",
    ),
    "shape": tensors_file(b'{"a":{"dtype":"F64","shape":[549755813888],"data_offsets":[0,4]}}', b"data"),
    "twice": tensors_file(b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0]}}'),
    "deep": tensors_file(b"[" * 100_000),
}


@pytest.mark.parametrize("case", HOSTILE_SAFETENSORS)
def test_hostile_safetensors_files_are_refused(tmp_path: Path, case: str) -> None:
    (tmp_path / "seed").mkdir()
    (tmp_path / "seed" / "model.safetensors").write_bytes(HOSTILE_SAFETENSORS[case])
    refused_at_once(tmp_path / "seed", r"model\.safetensors")
    folder = saved(tmp_path / "f")
    replaced(folder, "model.safetensors", HOSTILE_SAFETENSORS[case])
    refused_at_once(folder, r"model\.safetensors")


def test_a_file_of_one_and_a_half_million_tensors_is_refused_at_once(tmp_path: Path) -> None:
    entry = b'"%07d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    header = b"{" + b",".join(entry % n for n in range(1_500_000)) + b"}"
    (tmp_path / "model.safetensors").write_bytes(tensors_file(header))
    refused_at_once(tmp_path, "does not fit")


def test_hostile_json_is_refused(tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors.index.json"):
        for text in ("[" * 200_000, '{"a": ' * 200_000, "{", "\xff", '{"weight_map": 3}' if "index" in name else "1e"):
            folder = tmp_path / "seed"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            (folder / name).write_bytes(text.encode("latin-1"))
            refused_at_once(folder, name)
    folder = saved(tmp_path / "f")
    replaced(folder, "state.json", b'{"a": ' * 200_000)
    refused_at_once(folder, "deeper|readable")
    replaced(folder, "state.json", b"[]")
    refused_at_once(folder, "not an object")


def test_a_manifest_of_many_megabytes_is_refused_at_once(tmp_path: Path) -> None:
    folder = saved(tmp_path / "f")
    (folder / "MANIFEST.json").write_bytes(b" " * (40 * 1024 * 1024))
    refused_at_once(folder, "at most")
