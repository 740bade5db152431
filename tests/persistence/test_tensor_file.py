"""Is the single file a valid safetensors file, is every bit of it covered, and do hostile ones get nowhere?"""

from __future__ import annotations

import json
import os
import pickle
import random
import signal
import time
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import safetensors
from bitwise import same
from safetensors.numpy import load_file, save_file

from jamais.errors import CorruptStateError, StateError
from jamais.persistence import digests, tensor_file
from jamais.persistence.faces.binary import open_binary, read_binary, write_binary
from jamais.persistence.faces.recognise import Face, face_of
from jamais.persistence.tensor_file import TensorFile, write_tensors


def small() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "model": {"weight": rng.random((3, 4), dtype=np.float32), "偏置": rng.random(4)},
        "flags": np.array([True, False]),
        "none": np.zeros((0, 3)),
        "one": np.array(7, dtype=np.int16),
        "half": np.arange(5).astype(ml_dtypes.bfloat16),
        "words": ["日本", None, 2.5],
    }


@pytest.fixture(params=[digests.FAST, digests.STRONG])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    write_binary(tmp_path / "state.bin", small(), "any", digest=request.param)
    return tmp_path / "state.bin"


def test_other_readers_of_safetensors_read_it(path: Path) -> None:
    with safetensors.safe_open(path, "np") as opened:
        assert set(opened.keys()) == {
            "$state", "/model/weight", "/model/偏置", "/flags", "/none", "/one", "/half"
        }  # fmt: skip
        assert same(opened.get_tensor("/model/weight"), small()["model"]["weight"])
        assert json.loads(opened.get_tensor("$state").tobytes())["words"] == ["日本", None, 2.5]
        assert json.loads(opened.metadata()["jamais"])["type"] == "any"
    assert same(load_file(path)["/one"], small()["one"])


def test_files_of_other_writers_are_read_when_asked_for(tmp_path: Path) -> None:
    arrays = {"b": np.arange(6.0).reshape(2, 3), "a": np.array([1, 2], np.int8)}
    save_file(arrays, tmp_path / "x.safetensors", metadata={"format": "np"})
    with TensorFile.open(tmp_path / "x.safetensors", sealed=False) as opened:
        assert opened.metadata == {"format": "np"}
        for name, array in arrays.items():
            assert same(opened.read(name), array)
    with pytest.raises(CorruptStateError, match="no seal of jamais"):
        TensorFile.open(tmp_path / "x.safetensors")


def test_an_array_alone_is_read_and_checked_without_the_others(tmp_path: Path) -> None:
    path = tmp_path / "state.bin"
    write_binary(path, small(), "any")
    data = bytearray(path.read_bytes())
    data[data.index(small()["model"]["weight"].tobytes())] ^= 1
    path.write_bytes(data)
    with open_binary(path) as opened:
        assert opened.type_name == "any"
        assert opened.plain["words"] == ["日本", None, 2.5]
        assert same(opened.array("/one"), small()["one"])
        with pytest.raises(CorruptStateError, match="array /model/weight: not the bytes that were written"):
            opened.array("/model/weight")


def flip_and_look(path: Path, flips: int) -> None:
    good = path.read_bytes()
    pick = random.Random(0)
    for _ in range(flips):
        bad = bytearray(good)
        place = pick.randrange(len(good))
        bad[place] ^= 1 << pick.randrange(8)
        path.write_bytes(bad)
        with pytest.raises(CorruptStateError):
            read_binary(path)


def test_every_flipped_bit_is_an_error(path: Path) -> None:
    flip_and_look(path, 400)


@pytest.mark.slow
def test_each_of_3000_flipped_bits_is_an_error(path: Path) -> None:
    flip_and_look(path, 3000)


def test_every_truncation_and_growth_is_an_error(path: Path) -> None:
    good = path.read_bytes()
    for bad in [*(good[:n] for n in range(len(good))), good + b"\0", good * 2, b"\0" * len(good)]:
        path.write_bytes(bad)
        with pytest.raises(CorruptStateError):
            read_binary(path)


# --- hostile: the seal is right, the content is not


def sealed(entries: str, metadata: Mapping[str, str] | None = None, data: bytes = b"", listed: str = "{}") -> bytes:
    """Make a file with a true seal over any header."""
    texts = {"sha256": "0" * 64, "digests": listed, **(metadata or {})}
    header = ('{"__metadata__":' + json.dumps(texts, separators=(",", ":")) + entries + "}").encode()
    raw = len(header).to_bytes(8, "little") + header
    return raw.replace(b"0" * 64, digests.sha256(raw).encode(), 1) + data


def entry(name: str, dtype: str = "U8", shape: str = "[8]", offsets: str = "[0,8]") -> str:
    return f',"{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}'


EIGHT = b"\0" * 8
ABOUT = '{"format":"jamais-state","format_version":1,"type":%s}'
LISTED = json.dumps({"x": digests.fast(EIGHT)})
HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "short": b"\0\0",
    "endless header": (2**60).to_bytes(8, "little") + b"{}",
    "header past the end": (100).to_bytes(8, "little") + b"{}",
    "huge shape": sealed(entry("x", "F64", "[4611686018427387904,8]"), data=EIGHT, listed=LISTED),
    "overflowing shape": sealed(entry("x", "F64", "[4294967296,4294967296,4294967296]", "[0,0]"), listed=LISTED),
    "terabytes": sealed(entry("x", "U8", "[4398046511104]", "[0,4398046511104]"), data=EIGHT, listed=LISTED),
    "negative": sealed(entry("x", "U8", "[-8]", "[0,-8]"), data=EIGHT, listed=LISTED),
    "backwards": sealed(entry("x", "U8", "[8]", "[8,0]"), data=EIGHT, listed=LISTED),
    "a hole": sealed(entry("x", "U8", "[4]", "[4,8]"), data=EIGHT, listed=LISTED),
    "overlap": sealed(entry("x") + entry("y"), data=EIGHT, listed=json.dumps({"x": "0" * 32, "y": "0" * 32})),
    "a tail": sealed(entry("x"), data=EIGHT + b"more", listed=LISTED),
    "twice": sealed(entry("x") + entry("x"), data=EIGHT, listed=LISTED),
    "other dtype": sealed(entry("x", "F4"), data=EIGHT, listed=LISTED),
    "shape of floats": sealed(entry("x", "U8", "[8.0]"), data=EIGHT, listed=LISTED),
    "shape of true": sealed(entry("x", "U8", "[8,true]"), data=EIGHT, listed=LISTED),
    "shape is a text": sealed(entry("x", "U8", '"8"'), data=EIGHT, listed=LISTED),
    "forty dimensions": sealed(entry("x", "U8", str([8] + [1] * 40).replace(" ", "")), data=EIGHT, listed=LISTED),
    "no digests": sealed(entry("x"), data=EIGHT, listed="{}"),
    "digests of nothing": sealed(entry("x"), data=EIGHT, listed="null"),
    "digest is a list": sealed(entry("x"), data=EIGHT, listed='{"x":[]}'),
    "wrong digest": sealed(entry("x"), data=b"\1" * 8, listed=LISTED),
    "metadata is a number": sealed(entry("x"), {"jamais": 5}, EIGHT, LISTED),  # type: ignore[dict-item]
    "not of a state": sealed(entry("x"), {"jamais": "{}"}, EIGHT, LISTED),
    "no state": sealed(entry("x"), {"jamais": ABOUT % '"t"'}, EIGHT, LISTED),
    "type is a list": sealed(entry("x"), {"jamais": ABOUT % "[]"}, EIGHT, LISTED),
    "deep": sealed(',"x":' + "[" * 100_000 + "]" * 100_000),
    "JSON bomb": sealed(',"x":[' + "[]," * 3_000_000 + "[]]"),
    "many arrays": sealed("".join(entry(f"{i}", "U8", "[0]", "[0,0]") for i in range(200_000))),
    "header of 20 MB": sealed(',"x":"' + "x" * 20_000_000 + '"'),
    "not UTF-8": sealed(entry("x"), data=EIGHT, listed=LISTED).replace(b'"dtype"', b'"\xff\xff\xff\xff\xff"'),
    "pickle": pickle.dumps({"a": 1}),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_is_refused_clearly_and_at_once(what: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.bin"
    path.write_bytes(HOSTILE[what])
    tracemalloc.start()
    begin = time.process_time()
    with pytest.raises(CorruptStateError) as caught:
        read_binary(path)
    taken, (_, peak) = time.process_time() - begin, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < 3.0, "tracing allocations makes it slower than it is"
    assert peak < 16 * max(len(HOSTILE[what]), 100_000)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 700


def test_links_and_pipes_are_not_read_and_a_missing_file_says_so(tmp_path: Path) -> None:
    write_binary(tmp_path / "real", small(), "any")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", ".", "nowhere"):
        with pytest.raises(CorruptStateError, match=r"not a plain file|missing"):
            read_binary(tmp_path / name)


def test_a_file_of_holes_larger_than_memory_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: Any) -> Any:
        raise MemoryError

    write_binary(tmp_path / "x.bin", small(), "any")
    monkeypatch.setattr("jamais.persistence.dtypes.np.empty", no_room)
    with pytest.raises(StateError, match="is more than fits into memory here"):
        read_binary(tmp_path / "x.bin")


def test_a_newer_format_names_the_program_that_wrote_it(tmp_path: Path) -> None:
    about = '{"format":"jamais-state","format_version":2,"type":"t","jamais_version":"9.9"}'
    (tmp_path / "new.bin").write_bytes(sealed(entry("x"), {"jamais": about}, EIGHT, LISTED))
    with pytest.raises(StateError, match=r"format version 2, jamais .* reads 1: use jamais 9.9"):
        read_binary(tmp_path / "new.bin")


def test_more_than_a_reader_would_accept_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_binary(tmp_path / "state.bin", {"old": 1}, "any")
    monkeypatch.setattr(tensor_file, "MAX_TENSORS", 10)
    with pytest.raises(StateError, match="12 arrays, at most 10 are saved"):
        write_binary(tmp_path / "state.bin", {str(i): np.zeros(1) for i in range(11)}, "any")
    monkeypatch.undo()
    monkeypatch.setattr(tensor_file, "MAX_HEADER_BYTES", 1000)
    with pytest.raises(StateError, match="shorter, plainer names"):
        write_binary(tmp_path / "state.bin", {"x" * 500: np.zeros(1)}, "any")
    monkeypatch.undo()
    assert read_binary(tmp_path / "state.bin")[0] == {"old": 1}
    assert os.listdir(tmp_path) == ["state.bin"]


def test_names_full_of_commas_are_refused_when_they_are_written_not_when_they_are_read(tmp_path: Path) -> None:
    write_binary(tmp_path / "x.bin", {"[{," * 100 + str(i): np.zeros(1) for i in range(500)}, "any")
    assert len(read_binary(tmp_path / "x.bin")[0]) == 500
    with pytest.raises(StateError, match="plainer names"):
        write_binary(tmp_path / "x.bin", {"," * 600 + str(i): np.zeros(1) for i in range(1000)}, "any")
    with pytest.raises(StateError, match="cannot be called __metadata__"):
        write_tensors(-1, {"__metadata__": np.zeros(1)}, {})


def test_a_header_whose_length_looks_like_a_space_and_a_brace_is_no_json(tmp_path: Path) -> None:
    for extra in range(30_000, 31_600, 8):
        write_binary(tmp_path / "x.bin", {"x" * (extra // 2): np.zeros(1)}, "any")
        if (tmp_path / "x.bin").read_bytes()[:2] == b" {":
            break
    else:
        pytest.fail("no header of 31,520 bytes was made")
    assert face_of(tmp_path / "x.bin") is Face.BINARY


def failing(call: str, at: int, error: OSError) -> Callable[..., Any]:
    real, left = getattr(os, call), [at]

    def fail(*args: Any, **kwargs: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            raise error
        return real(*args, **kwargs)

    return fail


@pytest.mark.parametrize("call", ["open", "write", "fsync", "rename", "lseek"])
def test_a_disk_that_refuses_leaves_the_old_file(call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for at in range(1, 4):
        write_binary(tmp_path / "state.bin", {"old": 1}, "any")
        refused = False
        with monkeypatch.context() as patch:
            patch.setattr(os, call, failing(call, at, OSError(28, "No space left on device")))
            try:
                write_binary(tmp_path / "state.bin", small(), "any")
            except OSError:
                refused = True
        assert os.listdir(tmp_path) == ["state.bin"]
        # The last open and flush are the folder's: then the new file is there, only not yet for certain.
        after_rename = (call, at) in {("open", 2), ("fsync", 3)}
        wanted = {"old": 1} if refused and not after_rename else small()
        assert same(read_binary(tmp_path / "state.bin")[0], wanted), at
        assert refused == (at <= {"open": 2, "write": 3, "fsync": 3, "rename": 1, "lseek": 1}[call])


def test_the_umask_and_the_mode_of_the_old_file_are_respected(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_binary(tmp_path / "new.bin", small(), "any")
    finally:
        os.umask(old)
    assert (tmp_path / "new.bin").stat().st_mode & 0o777 == 0o640
    (tmp_path / "new.bin").chmod(0o604)
    write_binary(tmp_path / "new.bin", small(), "any")
    assert (tmp_path / "new.bin").stat().st_mode & 0o777 == 0o604


def test_what_a_dead_writer_left_is_removed_by_the_next(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        os.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
        write_binary(tmp_path / "state.bin", small(), "any")
    os.waitpid(pid, 0)
    (left,) = os.listdir(tmp_path)
    assert left.startswith(".tmp-")
    write_binary(tmp_path / "other.bin", small(), "any")
    assert left in os.listdir(tmp_path), "it may be needed to understand another file"
    write_binary(tmp_path / "state.bin", small(), "any")
    assert sorted(os.listdir(tmp_path)) == ["other.bin", "state.bin"]
