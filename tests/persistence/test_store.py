"""Does a store keep versions, tell their history, and refuse what would lose something?"""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bitwise import same
from crash_child import tree

from jamais.errors import InputError, StaleVersionError, StateError
from jamais.persistence import VersionStore
from jamais.version import __version__


def filled(folder: Path, versions: int = 3) -> VersionStore:
    store = VersionStore(folder / "app")
    for number in range(1, versions + 1):
        parent = number - 1 or None
        store.commit(tree(number), reason=f"step {number}", kind="logs", metrics={"ap": 0.5}, parent=parent)
    return store


def test_each_version_comes_back_as_it_was(tmp_path: Path) -> None:
    store = filled(tmp_path)
    for number in (1, 2, 3):
        loaded, info = store.load(number)
        assert same(loaded, tree(number))
        assert info.number == number
    loaded, info = VersionStore(str(tmp_path / "app")).load()
    assert same(loaded, tree(3))
    assert store.current == info.number == 3
    assert store.verify() == []


def test_history_says_what_was_done_without_opening_the_state(tmp_path: Path) -> None:
    store = VersionStore(tmp_path / "deeper" / "app")
    metrics = {"nan": math.nan, "inf": -math.inf, "f": float(np.float32(0.1)), "zero": -0.0}
    before = time.time()
    store.commit(tree(1), reason="fit 日本\n\udcff", kind="logs", metrics=metrics, parent=None)
    store.commit(tree(2), reason="learn", kind="series", parent=1)
    for path in (tmp_path / "deeper" / "app" / "objects").iterdir():
        path.write_bytes(b"\0" * path.stat().st_size)
    first, second = store.history()
    assert first.reason == "fit 日本\n?"
    assert same(dict(sorted(first.metrics.items())), dict(sorted(metrics.items())))
    assert (first.kind, first.parent, second.kind, second.parent) == ("logs", None, "series", 1)
    assert first.jamais_version == __version__
    assert 72_000 + 72_800 < first.size_bytes < 150_000
    made = time.strptime(first.time.split(".")[0], "%Y-%m-%dT%H:%M:%S")
    assert first.time.endswith("Z")
    assert abs(time.mktime(made) - time.mktime(time.gmtime(before))) < 60
    assert store.info() == second
    assert str(store.info(1)) == str(first)  # NaN is not equal to itself


def objects(store: VersionStore) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in (store.folder / "objects").iterdir()}


def test_unchanged_parts_are_stored_once_and_going_back_writes_nothing(tmp_path: Path) -> None:
    store = filled(tmp_path)
    encoder = 90 * 100 * 8
    assert sum(size > encoder for size in objects(store).values()) == 4, "one encoder, three memories"
    before = objects(store)
    store.commit(store.load(1)[0], reason="rollback", kind="logs", parent=3)
    assert objects(store) == before
    assert same(store.load(4)[0], tree(1))


def test_an_object_is_called_by_the_sha256_that_anybody_can_compute(tmp_path: Path) -> None:
    store = filled(tmp_path)
    for path in (store.folder / "objects").iterdir():
        assert path.name.partition(".")[0] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert {path.suffix for path in (store.folder / "objects").iterdir()} == {".json", ".safetensors"}


def grown(n: int, changed: int = -1) -> dict[str, Any]:
    rows = np.random.default_rng(0).random((40_000, 64), dtype=np.float32)[:n]
    if changed >= 0:
        rows[changed] = 7
    return {"model": {"w": np.random.default_rng(1).random((900, 1000))}, "memory": {"rows": rows}}


def test_a_memory_that_grew_by_a_row_costs_its_last_segment(tmp_path: Path) -> None:
    store = VersionStore(tmp_path / "app")
    steps = [grown(30_000), grown(30_001), grown(30_001, changed=3), grown(29_000, changed=3)]
    written = []
    for number, step in enumerate(steps, 1):
        before = sum(objects(store).values()) if number > 1 else 0
        store.commit(step, reason="", kind="logs", parent=number - 1 or None)
        written.append(sum(objects(store).values()) - before)
    assert written[0] > 14_000_000
    assert all(0 < size < 1_100_000 for size in written[1:]), written
    for number, step in enumerate(steps, 1):
        assert same(store.load(number)[0], step)
    assert store.verify() == []


def test_a_part_scattered_over_many_files_is_written_together_again(tmp_path: Path) -> None:
    store = VersionStore(tmp_path / "app")
    rows = np.random.default_rng(0).random((3000, 100))
    for number in range(1, 80):
        rows[number * 17 % 3000] = number
        store.commit({"rows": rows.copy()}, reason="", kind="logs", parent=number - 1 or None)
    named = json.loads((store.folder / "versions" / "0079.json").read_text())["manifest"]["objects"]
    used = sum(size for name, size in named if name.endswith(".safetensors"))
    assert len(named) <= 33
    assert used <= 2 * rows.nbytes + 200_000, "at most half of what a version needs is dead"
    assert same(store.load(40)[0].keys(), {"rows": 0}.keys())
    assert same(store.load()[0], {"rows": rows})


def test_equal_rows_take_their_own_room_so_that_a_small_store_cannot_ask_for_much_memory(tmp_path: Path) -> None:
    store = VersionStore(tmp_path / "app")
    zeros = {"a": {"x": np.zeros((40, 8192))}, "b": {"y": np.zeros((40, 8192)), "z": np.zeros((40, 8192))}}
    store.commit(zeros, reason="", kind="logs", parent=None)
    store.commit({**zeros, "c": {"w": np.zeros((40, 8192))}}, reason="", kind="logs", parent=1)
    assert sum(objects(store).values()) > 4 * 40 * 8192 * 8
    assert same(store.load(2)[0]["c"]["w"], np.zeros((40, 8192)))


def test_a_damaged_object_is_not_handed_on_but_healed_by_the_next_save(tmp_path: Path) -> None:
    store = filled(tmp_path, 1)
    loaded, _ = store.load()
    for shared in (store.folder / "objects").iterdir():
        data = bytearray(shared.read_bytes())
        data[-1] ^= 1
        shared.write_bytes(data)
    assert len(store.verify()) >= 1
    store.commit(loaded, reason="again", kind="logs", parent=1)
    assert same(store.load(2)[0], tree(1))
    assert same(store.load(1)[0], tree(1))
    assert store.verify() == []


def test_where_hard_links_are_refused_a_version_still_comes_to_be(tmp_path: Path, monkeypatch: Any) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    store = filled(tmp_path)
    assert same(store.load()[0], tree(3))
    assert store.verify() == []


def test_a_version_deleted_by_hand_harms_no_other(tmp_path: Path) -> None:
    store = filled(tmp_path)
    (store.folder / "versions" / "0002.json").unlink()
    assert store.verify() == []
    assert [info.number for info in store.history()] == [1, 3]
    assert store.commit(tree(4), reason="on", kind="logs", parent=3) == 4


def test_a_stale_parent_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    store = filled(tmp_path)
    before = sorted((p, p.stat().st_mtime_ns) for p in store.folder.rglob("*"))
    for parent in (None, 1, 2, 4):
        with pytest.raises(StaleVersionError, match="is at version 3"):
            store.commit(tree(9), reason="late", kind="logs", parent=parent)
    assert sorted((p, p.stat().st_mtime_ns) for p in store.folder.rglob("*")) == before
    with pytest.raises(StaleVersionError, match="holds no version 3"):
        VersionStore(tmp_path / "other").commit(tree(9), reason="late", kind="logs", parent=3)
    assert not (tmp_path / "other").exists()


def test_a_leaf_that_cannot_be_saved_leaves_no_trace(tmp_path: Path) -> None:
    store = VersionStore(tmp_path / "app")
    with pytest.raises(StateError, match="/a/b"):
        store.commit({"a": {"b": object()}}, reason="fit", kind="logs", parent=None)
    assert not store.folder.exists()


def test_a_store_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    missing = VersionStore(tmp_path / "app")
    assert missing.current is None
    for ask in (missing.load, missing.info, missing.history, missing.verify):
        with pytest.raises(InputError, match=r"no watcher at .*app: jamais fit … --out"):
            ask()
    (tmp_path / "app").mkdir()
    with pytest.raises(InputError, match="is not a watcher"):
        missing.load()
    missing.commit({}, reason="an empty folder will do", kind="logs", parent=None)
    with pytest.raises(InputError, match="has no version 7; the newest are 1"):
        missing.load(7)
    (tmp_path / "new" / "versions").mkdir(parents=True)
    with pytest.raises(InputError, match="holds no version"):
        VersionStore(tmp_path / "new").load()


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="is not empty and not a watcher"):
        VersionStore(tmp_path).commit({}, reason="fit", kind="logs", parent=None)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(InputError, match="is a file"):
        VersionStore(tmp_path / "thesis.tex").commit({}, reason="fit", kind="logs", parent=None)


def test_files_are_readable_as_the_users_mask_allows(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        store = filled(tmp_path, 1)
    finally:
        os.umask(old)
    assert {p.stat().st_mode & 0o777 for p in store.folder.rglob("*") if p.is_file()} == {0o640}


def test_looking_at_a_store_imports_neither_torch_nor_safetensors(tmp_path: Path) -> None:
    store = filled(tmp_path, 2)
    code = (
        "import sys; from jamais.persistence import VersionStore; s = VersionStore(sys.argv[1])\n"
        "assert len(s.history()) == 2 and s.info().number == 2\n"
        "heavy = {'torch', 'safetensors', 'polars', 'transformers'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "s.load(); s.verify(); s.commit({}, reason='', kind='', parent=2)\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    package = Path(__file__).parents[2] / "src"
    done = subprocess.run(
        [sys.executable, "-c", code, str(store.folder)],
        env={**os.environ, "PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_what_was_read_is_shared_before_what_is_newer_and_may_be_rotten(tmp_path: Path) -> None:
    store = VersionStore(tmp_path / "app")
    rows = np.random.default_rng(0).random((40_000, 8))
    changed = rows.copy()
    changed[0] = 7
    store.commit({"rows": rows}, reason="", kind="logs", parent=None)
    first = set(objects(store))
    store.commit({"rows": changed, "more": {"w": rows[:20_000]}}, reason="", kind="logs", parent=1)
    for name in set(objects(store)) - first:
        path = store.folder / "objects" / name
        data = bytearray(path.read_bytes())
        data[20] ^= 1  # in a header: only sha256 tells
        path.write_bytes(data)
    loaded, _ = store.load(1, full=True)
    store.commit(loaded, reason="rollback", kind="logs", parent=2, like=1)
    assert same(store.load(3, full=True)[0], {"rows": rows})
