"""Is every changed byte noticed, and does a hostile store get nowhere?"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bitwise import same

from jamais.errors import CorruptStateError, StateError
from jamais.persistence import VersionStore
from jamais.persistence.json_text import dump


def small(seed: int) -> dict[str, Any]:
    rows = np.random.default_rng(seed).random((3, 4), dtype=np.float32)
    return {
        "memory": {"rows": rows, "when": np.full(2, seed, "M8[us]")},
        "lines": [f"日本 {seed}"],
        "nan": np.nan,
    }


@pytest.fixture
def store(tmp_path: Path) -> VersionStore:
    made = VersionStore(tmp_path / "app")
    made.commit(small(1), reason="old", kind="logs", metrics={"ap": 0.25}, parent=None)
    made.commit(small(2), reason="new", kind="logs", metrics={"ap": 0.75}, parent=1)
    return made


def content(store: VersionStore) -> list[Path]:
    """The files that version 2 consists of, its manifest first."""
    named = json.loads((store.folder / "versions" / "0002.json").read_text())["manifest"]["objects"]
    return [store.folder / "versions" / "0002.json", *(store.folder / "objects" / name for name, _ in named)]


def assert_noticed_or_harmless(store: VersionStore, where: str) -> bool:
    """Assert that version 2 is refused, and 1 given instead, or what it was; say whether it was refused."""
    try:
        loaded, info = store.load(2)
    except CorruptStateError:
        loaded, info = store.load()
        assert info.number == 1, where
        assert info.warnings[0].startswith(f"version 2 is damaged ({store.folder}/"), where
        assert info.warnings[-1] == "version 1 was loaded instead"
        assert same(loaded, small(1)), where
        assert store.verify(), where
        return True
    assert same(loaded, small(2)), where
    assert (info.reason, info.kind, info.parent, info.metrics) == ("new", "logs", 1, {"ap": 0.75}), where
    return False


def flip_and_look(store: VersionStore, flips: int) -> None:
    pick = random.Random(0)
    paths = content(store)
    for path in paths:
        good = path.read_bytes()
        noticed = 0
        places = [pick.randrange(len(good)) for _ in range(flips // len(paths))]
        for place in places:
            bad = bytearray(good)
            bad[place] ^= 1 << pick.randrange(8)
            path.write_bytes(bad)
            noticed += assert_noticed_or_harmless(store, f"{path.name} byte {place}")
            if path.suffix == ".safetensors":
                assert store.verify(full=True), "what loading has no use for (the header) is found by a full check"
        # Loading has no use for white space in a manifest, nor for the header of an object.
        assert noticed > len(places) // 8, path
        path.write_bytes(good)
    assert store.load()[1].warnings == ()


def test_any_flipped_bit_is_noticed_or_harmless(store: VersionStore) -> None:
    flip_and_look(store, 300)


@pytest.mark.slow
def test_none_of_3000_flipped_bits_is_silent(store: VersionStore) -> None:
    flip_and_look(store, 3000)


def test_any_truncation_growth_zeroes_or_loss_is_noticed(store: VersionStore) -> None:
    for path in content(store):
        good = path.read_bytes()
        bad = [good[:n] for n in range(0, len(good) - 2, max(1, len(good) // 40))]
        bad += [good + b"\0", good + good, b"\0" * len(good)]
        for data in bad:
            path.write_bytes(data)
            assert assert_noticed_or_harmless(store, f"{path.name} {len(data)} of {len(good)} bytes")
        if path.parent.name == "objects":  # without a manifest there is no version that could be damaged
            path.unlink()
            assert assert_noticed_or_harmless(store, f"{path.name} missing")
        path.write_bytes(good)


def test_every_truncation_of_a_manifest_is_noticed(store: VersionStore) -> None:
    path = content(store)[0]
    good = path.read_bytes()
    for n in range(len(good) - 1):  # without its last line break it is whole
        path.write_bytes(good[:n])
        with pytest.raises(CorruptStateError):
            store.load(2)


def test_files_swapped_between_versions_are_noticed(store: VersionStore) -> None:
    versions = store.folder / "versions"
    shutil.copy(versions / "0001.json", versions / "0003.json")
    with pytest.raises(CorruptStateError, match="describes version 1, not 3"):
        store.load(3)
    (versions / "0003.json").unlink()
    mine = [path for path in content(store) if path.suffix == ".safetensors"]
    other = [path for path in (store.folder / "objects").glob("*.safetensors") if path not in mine]
    assert [path.stat().st_size for path in other] == [path.stat().st_size for path in mine]
    shutil.copy(other[0], mine[0])
    assert assert_noticed_or_harmless(store, "object of version 1")


def test_a_damaged_newest_version_does_not_stop_the_work(store: VersionStore) -> None:
    content(store)[0].write_text("{}")
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
    for path in (store.folder / "objects").iterdir():
        path.write_text("{")
    with pytest.raises(CorruptStateError, match=r"(?s)no version is whole.*version 2.*objects/.*version 1.*objects/"):
        store.load()
    assert store.info().warnings
    assert store.current is None


def test_damage_is_named_by_file_and_array(store: VersionStore) -> None:
    (path,) = (path for path in content(store) if path.suffix == ".safetensors")
    data = bytearray(path.read_bytes())
    at = data.index(small(2)["memory"]["rows"].tobytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptStateError, match=rf"{path.name}: array /memory/rows: not the bytes that were written"):
        store.load(2)


# --- hostile: the digests are right, the content is not


def forge(store: VersionStore, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change version 2's manifest and sign it again."""
    path = content(store)[0]
    body = json.loads(path.read_text())["manifest"]
    body = change(body) or body
    digest = hashlib.sha256(dump(body, canonical=True)).hexdigest()
    path.write_bytes(dump({"manifest": body, "sha256": digest}))


def plant(store: VersionStore, data: bytes, suffix: str = "json") -> None:
    """Make other bytes the JSON of version 2, with their true digest."""
    name = f"{hashlib.sha256(data).hexdigest()}.{suffix}"
    (store.folder / "objects" / name).write_bytes(data)
    forge(store, lambda body: body["objects"].__setitem__(body["parts"][0], [name, len(data)]))


def rows_of(body: dict[str, Any]) -> dict[str, Any]:
    rows: dict[str, Any] = body["arrays"]["/memory/rows"]
    return rows


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.update(version="2"),
        lambda body: body.update(version=True),
        lambda body: body.update(version=3),
        lambda body: body.update(parent="1"),
        lambda body: body.update(kind=None),
        lambda body: body.update(metrics=[1]),
        lambda body: body.update(metrics={"a": "12"}),
        lambda body: body.update(metrics={"a": [1]}),
        lambda body: body.update(objects=None),
        lambda body: body.update(objects=[]),
        lambda body: body.update(objects=[["../../etc/passwd", 5]]),
        lambda body: body["objects"][0].__setitem__(0, "../objects/" + body["objects"][0][0]),
        lambda body: body["objects"][0].__setitem__(0, body["objects"][0][0] + "\n"),
        lambda body: body["objects"][0].__setitem__(1, -1),
        lambda body: body["objects"][0].__setitem__(1, 2**80),
        lambda body: body["objects"][0].__setitem__(1, 1.0),
        lambda body: body.update(parts=[7]),
        lambda body: body.update(parts=[-1]),
        lambda body: body.update(parts=[]),
        lambda body: body.update(keys=["memory"]),
        lambda body: body.update(keys=[*body["keys"], "more"]),
        lambda body: body.update(arrays=[]),
        lambda body: body["arrays"].pop("/memory/when"),
        lambda body: body["arrays"].update({"/x": rows_of(body)}),
        lambda body: rows_of(body).update(dtype="F33"),
        lambda body: rows_of(body).update(dtype=[]),
        lambda body: rows_of(body).update(shape=[2**40, 2**40]),
        lambda body: rows_of(body).update(shape=[4, 3]),
        lambda body: rows_of(body).update(shape=[-3, -4]),
        lambda body: rows_of(body).update(shape=[3.0, 4]),
        lambda body: rows_of(body).update(shape=[1] * 40),
        lambda body: rows_of(body).update(rows=1),
        lambda body: rows_of(body).update(rows=2**45, shape=[2**46, 1]),
        lambda body: rows_of(body).update(segments=[]),
        lambda body: rows_of(body)["segments"][0].__setitem__(0, 99),
        lambda body: rows_of(body)["segments"][0].__setitem__(0, -1),
        lambda body: rows_of(body)["segments"][0].__setitem__(1, 2**40),
        lambda body: rows_of(body)["segments"][0].__setitem__(1, -8),
        lambda body: rows_of(body)["segments"][0].__setitem__(1, 0),
        lambda body: rows_of(body)["segments"][0].__setitem__(2, "../x"),
        lambda body: body.pop("time"),
        lambda body: body.update(format="other"),
        lambda body: [1],
        lambda body: "x",
    ],
)
def test_a_manifest_of_another_shape_is_refused(store: VersionStore, change: Any) -> None:
    forge(store, change)
    with pytest.raises(CorruptStateError) as caught:
        store.load(2)
    assert len(str(caught.value)) < 700
    assert store.load()[1].number == 1
    assert len(store.history()) == 2


def test_many_arrays_over_the_same_bytes_are_refused_before_anything_is_allocated(store: VersionStore) -> None:
    def repeat(body: dict[str, Any]) -> None:
        body["arrays"].update({f"/x{i}": rows_of(body) for i in range(30_000)})

    forge(store, repeat)
    tracemalloc.start()
    with pytest.raises(CorruptStateError, match="larger than its objects"):
        store.load(2)
    tracemalloc.stop()


def test_a_manifest_of_more_arrays_than_are_saved_is_refused_unparsed(store: VersionStore) -> None:
    forge(store, lambda body: body["arrays"].update({f"/x{i}": rows_of(body) for i in range(100_000)}))
    begin = time.process_time()
    with pytest.raises(CorruptStateError, match="more arrays than are ever saved"):
        store.load(2)
    assert time.process_time() - begin < 1.0


def test_links_and_pipes_and_folders_are_not_read(store: VersionStore, tmp_path: Path) -> None:
    for path in content(store):
        kept = tmp_path / "elsewhere"
        shutil.move(path, kept)
        makers: list[Callable[[Path], object]] = [lambda p: p.symlink_to(tmp_path / "elsewhere"), os.mkfifo, os.mkdir]
        for make in makers:
            make(path)
            with pytest.raises(CorruptStateError, match=r"not a plain file"):
                store.load(2)
            assert store.current == 1
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()
        shutil.move(kept, path)
    assert store.current == 2


def test_a_newer_format_is_refused_with_the_version_that_wrote_it_and_never_skipped(store: VersionStore) -> None:
    forge(store, lambda body: body.update(format_version=2, jamais_version="9.9"))
    for ask in (store.load, lambda: store.load(2)):
        with pytest.raises(StateError, match=r"format version 2, jamais .* reads 0 to 1: use jamais 9.9") as caught:
            ask()
        assert not isinstance(caught.value, CorruptStateError)
    with pytest.raises(StateError, match="format version 2"):
        store.commit(small(3), reason="over it", kind="logs", parent=1)


@pytest.mark.parametrize(
    "about",
    [
        '{"format": "jamais-store", "format_version": 2}',
        '{"format": "jamais-store", "format_version": 1, "needs": ["x"]}',
    ],
)
def test_a_store_that_needs_a_newer_program_is_neither_read_nor_written(store: VersionStore, about: str) -> None:
    (store.folder / "STORE.json").write_text(about)
    for ask in (store.load, store.verify, store.gc, lambda: store.commit({}, reason="", kind="", parent=2)):
        with pytest.raises(StateError, match="needs a newer jamais"):
            ask()


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"a": 1, "a": 2}',
        b'{"a": NaN}',
        b'{"a": ' + b"9" * 10_000 + b"}",
        b'{"a": 1e400}',
        b'{"a": "\xff"}',
        b'{"a": 1} x',
        b"",
        b"null",
    ],
)
def test_json_bombs_and_twins_are_refused(store: VersionStore, text: bytes) -> None:
    plant(store, text)
    with pytest.raises(CorruptStateError, match=r"objects/.*json"):
        store.load(2)
    content(store)[0].write_bytes(text)
    with pytest.raises(CorruptStateError, match=r"0002.json"):
        store.load(2)


def test_a_file_listed_larger_than_it_is_allocates_nothing(store: VersionStore) -> None:
    forge(store, lambda body: [one.__setitem__(1, 2**35) for one in body["objects"]] and None)
    with pytest.raises(CorruptStateError, match=f"the manifest says {2**35}"):
        store.load(2)


def test_a_huge_manifest_is_not_read(store: VersionStore) -> None:
    os.truncate(content(store)[0], 2**40)
    with pytest.raises(CorruptStateError, match="at most"):
        store.load(2)
    with pytest.raises(StateError, match="shorten the reason"):
        store.commit(small(3), reason="x" * 2**23, kind="logs", parent=1)
    assert sorted(os.listdir(store.folder / "versions")) == ["0001.json", "0002.json"]
    assert not [name for name in os.listdir(store.folder / "objects") if name.startswith(".tmp")]
