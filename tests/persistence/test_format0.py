"""Are stores of format 0 read for ever, is every changed byte in them noticed, and do hostile ones get nowhere?"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bitwise import same
from safetensors.numpy import save

from jamais.errors import CorruptStateError, StateError
from jamais.persistence import Retention, VersionStore
from jamais.persistence.json_text import dump

GOLDEN = Path(__file__).parents[1] / "golden" / "0" / "store"


def small(seed: int) -> dict[str, Any]:
    """What the golden store holds: written by the release that had format 0."""
    rng = np.random.default_rng(seed)
    return {
        "encoder": {"w": np.random.default_rng(0).integers(-9, 9, (70, 250)).astype("<f4")},
        "memory": {
            "rows": (rng.integers(-50, 50, (5, 3)) / 8).astype("<f8"),
            "when": np.array([seed], "M8[us]"),
            "n": np.array(seed),
        },
        "lines": [f"行 {seed}", None, True, float("-inf"), 2**70],
        "$odd": {"a/b~c": "\udc80"},
    }


@pytest.fixture
def store(tmp_path: Path) -> VersionStore:
    return VersionStore(shutil.copytree(GOLDEN, tmp_path / "app"))


def test_a_golden_store_is_read_and_goes_on_in_the_format_of_today(store: VersionStore) -> None:
    assert same(store.load(1)[0], small(1))
    assert same(store.load()[0], small(2))
    assert [info.reason for info in store.history()] == ["fit 日本", "learn"]
    assert store.verify() == []
    assert store.commit(small(3), reason="on", kind="logs", parent=2) == 3
    assert [(info.number, info.parent) for info in store.history()] == [(1, None), (2, 1), (3, 2)]
    assert same(store.load()[0], small(3))
    assert same(store.load(2)[0], small(2))
    assert store.gc(Retention(latest=1)).versions == (1, 2)
    assert [info.number for info in store.history()] == [3]
    assert store.verify() == []


def newest(store: VersionStore) -> Path:
    return store.folder / "versions" / "0002"


def assert_noticed_or_harmless(store: VersionStore, where: str) -> bool:
    """Assert that version 2 is refused, and 1 given instead, or what it was; say whether it was refused."""
    try:
        loaded, info = store.load(2)
    except CorruptStateError:
        loaded, info = store.load()
        assert info.number == 1, where
        assert info.warnings[0].startswith(f"version 2 is damaged ({newest(store)}/"), where
        assert info.warnings[-1] == "version 1 was loaded instead"
        assert same(loaded, small(1)), where
        assert store.verify(), where
        return True
    assert same(loaded, small(2)), where
    assert (info.reason, info.kind, info.parent, info.metrics) == ("learn", "logs", 1, {}), where
    return False


def test_any_flipped_bit_is_noticed_or_harmless(store: VersionStore) -> None:
    pick = random.Random(0)
    for path in sorted(newest(store).iterdir()):
        good = path.read_bytes()
        noticed = 0
        places = pick.sample(range(len(good)), min(150, len(good)))
        for place in places:
            bad = bytearray(good)
            bad[place] ^= 1 << pick.randrange(8)
            path.write_bytes(bad)
            noticed += assert_noticed_or_harmless(store, f"{path.name} byte {place}")
        # Only white space between the words of a manifest means nothing.
        assert noticed == len(places) or (path.name == "manifest.json" and noticed > len(places) // 2)
        path.write_bytes(good)
    assert store.load()[1].warnings == ()


def test_any_truncation_growth_zeroes_or_loss_is_noticed(store: VersionStore) -> None:
    for path in sorted(newest(store).iterdir()):
        good = path.read_bytes()
        bad = [good[:n] for n in range(0, len(good) - 2, max(1, len(good) // 40))]
        bad += [good + b"\0", good + good, b"\0" * len(good)]
        for data in bad:
            path.write_bytes(data)
            assert assert_noticed_or_harmless(store, f"{path.name} {len(data)} of {len(good)} bytes")
        path.unlink()
        assert assert_noticed_or_harmless(store, f"{path.name} missing")
        path.write_bytes(good)


def test_files_swapped_between_versions_are_noticed(store: VersionStore) -> None:
    old = store.folder / "versions" / "0001"
    for name in ("state.json", "tensors.safetensors", "manifest.json"):
        good = (newest(store) / name).read_bytes()
        shutil.copy(old / name, newest(store) / name)
        assert assert_noticed_or_harmless(store, name)
        (newest(store) / name).write_bytes(good)
    shutil.copytree(old, store.folder / "versions" / "0003")
    with pytest.raises(CorruptStateError, match="describes version 1, not 3"):
        store.load(3)


def test_a_damaged_newest_version_does_not_stop_the_work(store: VersionStore) -> None:
    (newest(store) / "manifest.json").write_text("{}")
    assert store.current == 1
    assert store.info().number == 1
    first, second = store.history()
    assert (first.warnings, second.number) == ((), 2)
    assert "damaged" in second.warnings[0]
    _, info = store.load()
    assert store.commit(small(3), reason="go on", kind="logs", parent=info.number) == 3
    assert same(store.load()[0], small(3))
    assert len(store.verify()) == 1


def test_when_all_is_damaged_the_error_names_every_file(store: VersionStore) -> None:
    for number in ("0001", "0002"):
        (store.folder / "versions" / number / "state.json").write_text("{")
    with pytest.raises(CorruptStateError, match=r"(?s)no version is whole.*0002/state.json.*0001/state.json"):
        store.load()
    assert store.info().warnings
    assert store.current is None


def test_a_file_that_does_not_belong_is_reported_by_verify(store: VersionStore) -> None:
    (newest(store) / "model.pkl").write_bytes(b"x")
    assert store.verify() == [f"{newest(store) / 'model.pkl'}: does not belong here"]


# --- hostile: the digests are right, the content is not


def forge(store: VersionStore, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change version 2's manifest and sign it again."""
    path = newest(store) / "manifest.json"
    body = json.loads(path.read_text())["manifest"]
    body = change(body) or body
    digest = hashlib.sha256(dump(body, canonical=True)).hexdigest()
    path.write_bytes(dump({"manifest": body, "sha256": digest}))


def plant(store: VersionStore, name: str, data: bytes) -> None:
    """Put a file into version 2 and list it in the manifest with its true digest."""
    (newest(store) / name).write_bytes(data)
    described = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    forge(store, lambda body: body["files"].update({name: described}))


@pytest.mark.parametrize(
    "name",
    [
        "../0001/state.json",
        "/etc/passwd",
        "a/b",
        "..",
        ".",
        "",
        ".hidden",
        "manifest.json",
        "a\0b",
        "a\n",
        "ü",
        "C:\\x",
    ],
)
def test_a_path_that_leaves_the_folder_is_refused(store: VersionStore, name: str) -> None:
    forge(store, lambda body: body["files"].update({name: body["files"]["state.json"]}))
    with pytest.raises(CorruptStateError, match="is not allowed"):
        store.load(2)


def test_links_pipes_and_folders_are_not_read(store: VersionStore, tmp_path: Path) -> None:
    path = newest(store) / "state.json"
    kept = tmp_path / "elsewhere.json"
    shutil.move(path, kept)
    makers: list[Callable[[], object]] = [
        lambda: path.symlink_to(kept),
        lambda: os.mkfifo(path),
        lambda: path.mkdir(),
    ]
    for make in makers:
        make()
        with pytest.raises(CorruptStateError, match=r"state.json: not a plain file|state.json: .* bytes"):
            store.load(2)
        assert store.current == 1
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()
    shutil.move(kept, path)
    shutil.move(newest(store), tmp_path / "moved")
    newest(store).symlink_to(tmp_path / "moved")
    with pytest.raises(CorruptStateError, match="is a link"):
        store.load(2)


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.update(version="2"),
        lambda body: body.update(version=True),
        lambda body: body.update(parent="1"),
        lambda body: body.update(kind=None),
        lambda body: body.update(metrics=[1]),
        lambda body: body.update(metrics={"a": "12"}),
        lambda body: body.update(metrics={"a": [1]}),
        lambda body: body.update(files=None),
        lambda body: body.update(files={}),
        lambda body: body.pop("time"),
        lambda body: body.update(format="other"),
        lambda body: body["files"]["state.json"].update(size=-1),
        lambda body: body["files"]["state.json"].update(size=2**80),
        lambda body: body["files"]["state.json"].update(size=1.0),
        lambda body: body["files"]["state.json"].update(sha256="../x"),
        lambda body: [1],
        lambda body: "x",
    ],
)
def test_a_manifest_of_another_shape_is_refused(store: VersionStore, change: Any) -> None:
    forge(store, change)
    with pytest.raises(CorruptStateError):
        store.load(2)
    assert store.load()[1].number == 1
    assert len(store.history()) == 2


def test_a_newer_format_is_refused_with_the_version_that_wrote_it_and_never_skipped(
    store: VersionStore,
) -> None:
    forge(store, lambda body: body.update(format_version=1, jamais_version="9.9"))
    for ask in (store.load, lambda: store.load(2)):
        with pytest.raises(StateError, match=r"format version 1, jamais .* reads 0 here: use jamais 9.9") as caught:
            ask()
        assert not isinstance(caught.value, CorruptStateError)
    with pytest.raises(StateError, match="format version 1"):
        store.commit(small(3), reason="over it", kind="logs", parent=1)


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"a": 1, "a": 2}',
        b'{"a": NaN}',
        b'{"a": ' + b"9" * 10_000 + b"}",
        b'{"a": "\xff"}',
        b'{"a": 1} x',
        b"",
        b"null",
    ],
)
def test_json_bombs_and_twins_are_refused(store: VersionStore, text: bytes) -> None:
    plant(store, "state.json", text)
    with pytest.raises(CorruptStateError, match=r"state.json"):
        store.load(2)
    (newest(store) / "manifest.json").write_bytes(text)
    with pytest.raises(CorruptStateError, match=r"manifest.json"):
        store.load(2)


def test_tensor_files_that_are_none_are_refused(store: VersionStore) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (os.mkdir, (str(store.folder / "exploded"),))

    def header(text: str, data: bytes = b"") -> bytes:
        return len(text).to_bytes(8, "little") + text.encode() + data

    many = ",".join(f'"{i}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}' for i in range(70_000))
    hostile = {
        "pickle": pickle.dumps(Bomb()),
        "nothing": b"",
        "short": b"\0\0",
        "endless header": (2**60).to_bytes(8, "little") + b"{}",
        "header past the end": (100).to_bytes(8, "little") + b"{}",
        "too many": header("{" + many + "}"),
        "huge shape": header('{"/x":{"dtype":"F64","shape":[4611686018427387904,8],"data_offsets":[0,8]}}', b"\0" * 8),
        "past the end": header('{"/x":{"dtype":"U8","shape":[99],"data_offsets":[0,99]}}', b"\0" * 8),
        "other dtype": header('{"/x":{"dtype":"BF16","shape":[4],"data_offsets":[0,8]}}', b"\0" * 8),
        "not mentioned": save({"/x": np.zeros(2)}),
        "twice": save({"/memory/rows": np.zeros((3, 4), np.float32)}),
    }
    for what, data in hostile.items():
        plant(store, "more.safetensors", data)
        with pytest.raises(CorruptStateError, match=r"more\.safetensors|/x") as caught:
            store.load(2)
        assert len(str(caught.value)) < 600, what
    assert not (store.folder / "exploded").exists()


def test_a_file_listed_larger_than_it_is_allocates_nothing(store: VersionStore) -> None:
    forge(store, lambda body: body["files"]["state.json"].update(size=2**35))
    with pytest.raises(CorruptStateError, match=f"the manifest says {2**35}"):
        store.load(2)


def test_a_huge_manifest_is_not_read(store: VersionStore) -> None:
    os.truncate(newest(store) / "manifest.json", 2**40)
    with pytest.raises(CorruptStateError, match="at most"):
        store.load(2)
    with pytest.raises(StateError, match="shorten the reason"):
        store.commit(small(3), reason="x" * 2**23, kind="logs", parent=1)
    assert sorted(os.listdir(store.folder / "versions")) == ["0001", "0002"]
