"""Does an examination find everything that is wrong with a store, and nothing that is not?"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crash_child import tree

from jamais.errors import InputError, StateError
from jamais.persistence import Retention, VersionStore
from jamais.persistence.versions.checks import ERROR, NOTE, WARNING, Finding, check_versions, examine, whole_versions
from jamais.types import Event

GOLDEN = Path(__file__).parents[1] / "golden" / "0" / "store"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three versions of training and two names; not to be changed."""
    store = VersionStore(tmp_path_factory.mktemp("sound") / "app")
    for number in (1, 2, 3):
        refs = ("best",) if number == 2 else ()
        store.commit(tree(number), reason=f"step {number}", kind="training", parent=number - 1 or None, refs=refs)
    store.promote("production", 1, reason="works")
    return store.folder


@pytest.fixture
def store(sound: Path, tmp_path: Path) -> VersionStore:
    return VersionStore(shutil.copytree(sound, tmp_path / "app"))


def needed_by(folder: Path) -> dict[str, set[int]]:
    """Read from the manifests, as anybody could, which versions need which object."""
    needed: dict[str, set[int]] = {}
    for path in (folder / "versions").glob("*.json"):
        for name, _ in json.loads(path.read_text())["manifest"]["objects"]:
            needed.setdefault(name, set()).add(int(path.stem))
    return needed


def errors(found: list[Finding]) -> list[Finding]:
    return [one for one in found if one.level == ERROR]


def only(found: list[Finding], level: str, where: str, what: str) -> Finding:
    (one,) = found
    assert (one.level, one.where) == (level, where), one
    assert what in one.what, one
    return one


def flip(path: Path, at: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.write_bytes(data)


def everything(folder: Path) -> list[tuple[str, int, bytes]]:
    return [
        (str(path), path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in sorted(folder.rglob("*"))
    ]


def test_a_sound_store_has_no_findings_and_is_not_touched(store: VersionStore) -> None:
    before = everything(store.folder)
    assert examine(store) == []
    assert examine(store, full=False) == []
    assert everything(store.folder) == before


def test_every_damaged_object_is_named_with_all_versions_that_need_it(store: VersionStore) -> None:
    for name, versions in needed_by(store.folder).items():
        path = store.folder / "objects" / name
        kept = path.read_bytes()
        flip(path, len(kept) - 3)
        found = errors(examine(store))
        named = [one for one in found if one.where.startswith("objects/")]
        damaged = only(named, ERROR, f"objects/{name}", "not the bytes that were written")
        assert set(damaged.versions) == versions
        if name.endswith("safetensors"):
            assert "array" in damaged.what
        path.write_bytes(kept[:-1])
        assert "bytes, the manifest says" in errors(examine(store))[0].what
        path.unlink()
        assert "missing" in errors(examine(store))[0].what
        path.write_bytes(kept)
    assert examine(store) == []


def test_the_damaged_arrays_are_named(store: VersionStore) -> None:
    manifest = json.loads((store.folder / "versions" / "0003.json").read_text())["manifest"]
    number, offset, _ = manifest["arrays"]["/encoder/w"]["segments"][0]
    name = manifest["objects"][number][0]
    flip(store.folder / "objects" / name, offset + 8)
    damaged = only(errors(examine(store))[:1], ERROR, f"objects/{name}", "array /encoder/w: not the bytes")
    assert damaged.versions == (1, 2, 3)


def test_what_the_fast_digests_leave_out_is_found_by_the_full_ones(store: VersionStore) -> None:
    (name, *_) = sorted(path.name for path in (store.folder / "objects").glob("*.safetensors"))
    flip(store.folder / "objects" / name, 12)  # in the header of the file, which loading does not need
    assert examine(store, full=False) == []
    assert errors(examine(store))[0].where == f"objects/{name}"


def test_no_flipped_bit_is_missed_anywhere(store: VersionStore) -> None:
    chance = random.Random(5)
    paths = sorted([*store.folder.glob("objects/*"), *store.folder.glob("versions/*"), *store.folder.glob("refs/*")])
    for _ in range(60):
        path = chance.choice(paths)
        at, bit = chance.randrange(path.stat().st_size), chance.randrange(8)
        flip(path, at, bit)
        found = examine(store)
        texts_of_a_name = path.parent.name == "refs"  # a changed reason is not sealed; its place in the log is
        level = {ERROR, WARNING} if texts_of_a_name else {ERROR}
        assert {one.level for one in found} & level, (path.name, at, bit)
        flip(path, at, bit)
    assert examine(store) == []


def test_versions_are_damaged_exactly_where_they_do_not_load(store: VersionStore) -> None:
    chance = random.Random(6)
    paths = sorted([*store.folder.glob("objects/*"), *store.folder.glob("versions/*")])
    for _ in range(40):
        path = chance.choice(paths)
        at = chance.randrange(path.stat().st_size)
        flip(path, at)
        found, _ = check_versions(store.place, store.shelf, full=False)
        assert whole_versions([1, 2, 3], found) == [number for number in (1, 2, 3) if loads(store, number)]
        flip(path, at)


def loads(store: VersionStore, number: int) -> bool:
    try:
        store.load(number)
    except StateError:
        return False
    return True


def test_a_version_that_needs_only_the_sound_part_of_an_object_is_whole(tmp_path: Path) -> None:
    store = VersionStore(tmp_path / "app")
    for number, a in ((1, np.zeros(500)), (2, np.ones(500)), (3, np.zeros(500))):  # 3 takes b from the newest, 2
        tree = {"part": {"a": a, "b": np.arange(700.0)}}
        store.commit(tree, reason="", kind="training", parent=number - 1 or None)
    manifest = json.loads((store.folder / "versions" / "0002.json").read_text())["manifest"]
    at, offset, _ = manifest["arrays"]["/part/a"]["segments"][0]
    name = manifest["objects"][at][0]
    assert needed_by(store.folder)[name] == {2, 3}
    flip(store.folder / "objects" / name, offset)
    found, _ = check_versions(store.place, store.shelf, full=False)
    assert whole_versions([1, 2, 3], found) == [1, 3]
    assert loads(store, 3)
    found, _ = check_versions(store.place, store.shelf, full=True)
    assert [one.versions for one in found] == [(2,), (3,)]


def test_the_way_out_of_a_damaged_version_is_told(store: VersionStore) -> None:
    newest = store.folder / "versions" / "0003.json"
    flip(newest, 100)
    damaged = errors(examine(store))[0]
    assert (damaged.where, damaged.versions) == ("versions/0003.json", (3,))
    assert f"jamais rollback {store.folder} 2" in damaged.next_step
    flip(newest, 100)
    flip(store.folder / "versions" / "0001.json", 100)
    damaged = next(one for one in errors(examine(store)) if one.where.startswith("versions"))
    assert "version 3, the newest, is whole and stays in use" in damaged.next_step
    for number in (2, 3):
        flip(store.folder / "versions" / f"000{number}.json", 100)
    assert all("no version of" in one.next_step for one in errors(examine(store)) if one.where.startswith("versions"))


def test_objects_that_no_version_needs_are_a_note_until_they_are_swept(store: VersionStore) -> None:
    (store.folder / "versions" / "0003.json").unlink()
    loose = only(examine(store), NOTE, "objects", "that no version needs")
    assert loose.next_step == f"jamais gc {store.folder} removes them"
    store.gc()
    assert examine(store) == []


def test_objects_are_not_called_waste_while_a_manifest_cannot_be_read(store: VersionStore) -> None:
    flip(store.folder / "versions" / "0003.json", 100)
    note = next(one for one in examine(store) if one.where == "objects")
    assert "no sound version needs" in note.what
    assert "mend the damaged manifest first" in note.next_step


def test_what_dead_writers_left_and_what_is_foreign_is_told(store: VersionStore) -> None:
    for name in (".tmp-1", "objects/.tmp-2", "versions/.tmp-0004.json", "refs/.tmp-best.json"):
        (store.folder / name).write_text("x")
    (store.folder / "watch-0123456789abcdef.json").write_text("{}")  # where `jamais watch` was
    assert {(one.level, one.what) for one in examine(store)} == {(NOTE, "left by a save that did not finish")}
    strange = ["notes.txt", "objects/abc", "versions/4.json", "refs/two words.json"]
    for name in strange:
        (store.folder / name).write_text("x")
    (store.folder / "versions" / "0002").mkdir()
    found = [one for one in examine(store) if one.level == WARNING]
    assert [one.where for one in found] == sorted([*strange, "versions/0002"])
    assert "is the one that counts" in next(one.what for one in found if one.where == "versions/0002")


def test_a_link_in_the_place_of_an_object_is_damage(store: VersionStore, tmp_path: Path) -> None:
    path = next((store.folder / "objects").glob("*.json"))
    shutil.move(path, tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert errors(examine(store))[0].what == "not a plain file"


def test_names_that_mean_nothing_or_damage_are_errors(store: VersionStore) -> None:
    (store.folder / "versions" / "0001.json").unlink()
    lost = next(one for one in examine(store) if one.level == ERROR)
    assert (lost.where, lost.what) == ("refs/production.json", "means version 1, which is not there")
    assert lost.next_step == f"jamais promote {store.folder} N --as production"
    flip(store.folder / "versions" / "0002.json", 50)
    said = {one.where: one.what for one in errors(examine(store))}
    assert said["refs/best.json"] == "means version 2, which is damaged"
    (store.folder / "refs" / "best.json").write_text("{}")
    said = {one.where: one.what for one in errors(examine(store))}
    assert "does not say which version" in said["refs/best.json"]
    assert not said["refs/best.json"].startswith("refs/")
    shutil.copy(store.folder / "refs" / "production.json", store.folder / "refs" / "other.json")
    said = {one.what for one in errors(examine(store)) if one.where == "refs/other.json"}
    assert "is about the name 'production'" in said


def test_a_torn_line_of_the_log_is_a_warning(store: VersionStore) -> None:
    log = store.folder / "refs" / "log.jsonl"
    with log.open("ab") as file:
        file.write(b'{"name": "produ')
    only(examine(store), WARNING, "refs/log.jsonl", "line 3 is torn")
    store.promote("production", 3)
    only(examine(store), WARNING, "refs/log.jsonl", "line 3 is torn")


def test_moves_that_the_log_lacks_are_warnings(store: VersionStore) -> None:
    log = store.folder / "refs" / "log.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:-1]))
    only(examine(store), WARNING, "refs/log.jsonl", "does not tell that production came to mean version 1")
    store.promote("best", 3)  # the next move writes down what a kill kept out
    assert examine(store) == []
    store.promote("production", 2)
    store.promote("production", 3)
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join([*lines[:-2], lines[-1]]))
    only(examine(store), WARNING, "refs/log.jsonl", "production went from version 2 when it meant version 1")


def test_a_name_whose_file_is_gone_is_remembered_by_the_log(store: VersionStore) -> None:
    (store.folder / "refs" / "production.json").unlink()
    lost = only(
        examine(store), WARNING, "refs/log.jsonl", "production meant version 1, and refs/production.json is gone"
    )
    assert lost.next_step.startswith(f"jamais promote {store.folder} 1 --as production")
    store.promote("production", 1)
    store.unname("production")
    assert not [one for one in examine(store) if "gone" in one.what]


def test_parents_that_are_gone_are_a_note(store: VersionStore) -> None:
    store.unname("best")
    store.gc(Retention(latest=1))
    note = only(examine(store), NOTE, "versions/0003.json", "comes from version 2, which is gone")
    assert "complete in itself" in note.next_step


def test_the_file_that_names_the_format_may_be_missing_or_damaged(store: VersionStore) -> None:
    about = store.folder / "STORE.json"
    about.unlink()
    only(examine(store), WARNING, "STORE.json", "missing")
    about.write_text("[]")
    only(examine(store), ERROR, "STORE.json", "does not describe a store")
    about.write_text('{"format": "jamais-store", "format_version": 9}')
    with pytest.raises(StateError, match="newer jamais"):
        examine(store)


def test_what_everybody_may_change_is_a_warning(store: VersionStore) -> None:
    (store.folder / "objects").chmod(0o777)
    only(examine(store), WARNING, "objects", "everybody on this machine may change it")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads and writes everything")
def test_what_this_user_may_not_read_or_write_is_told(store: VersionStore) -> None:
    path = next((store.folder / "objects").glob("*.json"))
    path.chmod(0)
    (store.folder / "refs" / "log.jsonl").chmod(0)
    (store.folder / "versions").chmod(0o500)
    found = examine(store)
    (store.folder / "versions").chmod(0o700)
    said = {(one.level, one.where): one for one in found}
    assert "check its permissions" in said[ERROR, f"objects/{path.name}"].what
    assert "nothing is lost" in said[ERROR, f"objects/{path.name}"].next_step
    assert "check its permissions" in said[ERROR, "refs/log.jsonl"].what
    assert said[NOTE, "versions"].what == "this user may not write here, so cannot save"


def test_versions_of_format_0_are_examined_too(tmp_path: Path) -> None:
    store = VersionStore(shutil.copytree(GOLDEN, tmp_path / "old"))
    found = examine(store)
    assert {one.level for one in found} == {NOTE}
    assert "of format 0" in found[0].what
    path = next((store.folder / "versions" / "0001").glob("*.safetensors"))
    path.chmod(0o600)
    flip(path, path.stat().st_size - 1)
    assert errors(examine(store))[0].versions == (1,)


def test_what_is_no_store_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no watcher at"):
        examine(VersionStore(tmp_path / "nothing"))


def test_a_version_that_is_swept_meanwhile_is_no_damage(store: VersionStore) -> None:
    def sweeping(event: Event) -> None:
        if len(store.history()) > 2:
            store.gc(Retention(latest=1))

    store.unname("best")
    assert not errors(examine(store, on_event=sweeping))


def test_each_object_is_read_once_and_progress_is_told(store: VersionStore, monkeypatch: Any) -> None:
    read: list[str] = []
    events: list[Event] = []
    opened = type(store.place).opened

    def counting(place: Any, name: str) -> Iterator[Any]:
        read.append(name)
        return opened(place, name)

    monkeypatch.setattr(type(store.place), "opened", counting)
    found, manifests = check_versions(store.place, store.shelf, full=True, on_event=events.append)
    assert (found, sorted(manifests)) == ([], [1, 2, 3])
    assert sorted(read) == sorted(f"objects/{name}" for name in needed_by(store.folder))
    done = [event.done for event in events]
    assert done == sorted(done)
    assert done[-1] == events[-1].total == sum(path.stat().st_size for path in store.folder.glob("objects/*"))
