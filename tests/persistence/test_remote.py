"""Do versions live in an object store as they do in a folder? Against moto's S3 over real HTTP."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bitwise import same
from crash_child import tree
from tests.reference.small_log import TINY, normal, today

pytest.importorskip("s3fs", reason="needs the extra `remote`")
pytest.importorskip("moto", reason="needs moto: pip install 'jamais[dev]'")
pytest.importorskip("flask_cors", reason="needs moto's server: pip install 'jamais[dev]'")

from object_server import ObjectServer

from jamais.errors import CorruptStateError, InputError, StaleVersionError, StateError
from jamais.persistence import Retention, VersionStore
from jamais.persistence.versions.remote import Remote


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectServer]:
    one = ObjectServer()
    yield one
    one.stop()


@pytest.fixture
def url(server: ObjectServer, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    server.reset()
    return server.bucket(hashlib.sha256(request.node.name.encode()).hexdigest()[:20]) + "/stores/app"


def filled(url: str, versions: int = 3) -> VersionStore:
    store = VersionStore(url)
    for number in range(1, versions + 1):
        store.commit(tree(number), reason=f"step {number}", kind="logs", metrics={"ap": 0.5}, parent=number - 1 or None)
    return store


def files(url: str) -> Any:
    """Give the object store as a stranger sees it: a dict of names below the store."""
    import fsspec

    return fsspec.get_mapper(url)


def test_each_version_comes_back_as_it_was_and_history_tells_of_it(url: str, server: ObjectServer) -> None:
    store = filled(url)
    other = VersionStore(url)
    for number in (1, 2, 3):
        loaded, info = other.load(number)
        assert same(loaded, tree(number))
        assert (info.number, info.reason, info.warnings) == (number, f"step {number}", ())
    assert other.current == store.current == 3
    assert [info.parent for info in other.history()] == [None, 1, 2]
    assert other.verify() == []
    assert other.lies_at(url)
    assert not other.lies_at(url + "2")
    assert {one.key.split("/")[2] for one in server.asked if one.key.count("/") > 2} >= {"objects", "versions", "busy"}
    assert not [name for name in files(url) if name.startswith("busy/")], "marks are taken away"


@pytest.mark.slow
def test_names_move_and_the_log_tells_who_moved_them(url: str) -> None:
    store = filled(url)
    store.promote("production", 2, reason="good in staging")
    store.commit(tree(4), reason="better", kind="logs", parent=3, refs=("best", "production"))
    store.unname("best", reason="not so good")
    other = VersionStore(url)
    assert other.refs() == {"production": 4, "last": 4}
    assert [(one.name, one.before, one.version, one.why) for one in other.log()] == [
        ("production", None, 2, "good in staging"),
        ("best", None, 4, "better"),
        ("production", 2, 4, "better"),
        ("best", 4, None, "not so good"),
    ]
    assert same(other.load("production")[0], tree(4))


@pytest.mark.slow
def test_a_store_copied_to_a_disk_is_the_same_store_and_back_again(url: str, tmp_path: Path) -> None:
    filled(url).promote("production", 2, reason="first")
    for name, data in files(url).items():
        (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "copy" / name).write_bytes(data)
    disk = VersionStore(tmp_path / "copy")
    assert disk.verify() == []
    disk.commit(tree(4), reason="on disk", kind="logs", parent=3, refs=("best",))
    assert [move.name for move in disk.log()] == ["production", "best"]
    back = files(url + "-back")
    for path in sorted((tmp_path / "copy").rglob("*")):
        if path.is_file():
            back[str(path.relative_to(tmp_path / "copy"))] = path.read_bytes()
    store = VersionStore(url + "-back")
    assert same(store.load()[0], tree(4))
    assert store.commit(tree(5), reason="in the store", kind="logs", parent=4) == 5
    assert store.verify() == []
    store.unname("best")
    assert sorted(move.name for move in store.log()) == ["best", "best", "production"]
    assert store.refs() == {"production": 2, "last": 5}


def test_a_stale_parent_is_refused_and_no_object_is_sent(url: str, server: ObjectServer) -> None:
    store = filled(url)
    server.reset()
    for parent in (None, 1, 2, 4):
        with pytest.raises(StaleVersionError, match="is at version 3"):
            store.commit(tree(9), reason="late", kind="logs", parent=parent)
    assert not [one for one in server.asked if one.method == "PUT" and "/busy/" not in one.key]
    with pytest.raises(StaleVersionError, match="holds no version 3"):
        VersionStore(url + "-other").commit(tree(9), reason="late", kind="logs", parent=3)


@pytest.mark.slow
def test_a_store_that_is_not_there_says_what_to_do(url: str) -> None:
    missing = VersionStore(url)
    assert missing.current is None
    for ask in (missing.load, missing.info, missing.history, missing.verify):
        with pytest.raises(InputError, match=r"no watcher at s3://.*app: jamais fit … --out"):
            ask()


@pytest.mark.slow
def test_a_prefix_of_somebody_else_is_left_alone(url: str) -> None:
    files(url)["thesis.tex"] = b"mine"
    with pytest.raises(InputError, match="is not empty and not a watcher"):
        VersionStore(url).commit({}, reason="fit", kind="logs", parent=None)
    assert list(files(url)) == ["thesis.tex"]


@pytest.mark.slow
def test_a_change_of_the_memory_sends_a_few_percent_and_fetches_nothing_that_was_just_loaded(
    url: str, server: ObjectServer
) -> None:
    rng = np.random.default_rng(0)
    state = {"encoder": {"w": rng.random((2500, 1000))}, "memory": {"rows": rng.random((200, 100)), "n": 200}}
    VersionStore(url).commit(state, reason="fit", kind="logs", parent=None)
    first = server.sent()
    assert first > 20_000_000
    assert [one for one in server.asked if one.method == "POST"], "a large object goes up in parts"
    store = VersionStore(url)
    loaded, _ = store.load()
    assert same(loaded, state)
    server.reset()
    loaded["memory"]["rows"] = np.concatenate([loaded["memory"]["rows"], rng.random((1, 100))])
    store.commit(loaded, reason="learn", kind="logs", parent=1)
    assert server.sent() < 0.05 * first
    assert sum(server.given.values()) < 0.05 * first
    assert same(VersionStore(url).load()[0], loaded)


@pytest.mark.slow
def test_a_process_that_did_not_load_compares_what_it_takes_over_once(url: str, server: ObjectServer) -> None:
    filled(url, 1)
    store = VersionStore(url)
    store.commit(tree(2), reason="new", kind="logs", parent=1)
    (encoder,) = {one.key for one in server.asked if one.method == "GET" and "/objects/" in one.key}
    server.reset()
    store.commit(tree(3), reason="new", kind="logs", parent=2)
    assert server.given.get(encoder, 0) == 0


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["flip", "cut", "longer", "missing"])
@pytest.mark.parametrize("folder", ["objects", "versions"])
def test_damage_in_the_object_store_is_noticed_and_named(url: str, folder: str, damage: str) -> None:
    store = filled(url, 2)
    assert same(store.load()[0], tree(2)), "from here on this store has read it all once"
    there = files(url)
    of = [{name for name, _ in json.loads(there[f"versions/{n:04d}.json"])["manifest"]["objects"]} for n in (1, 2)]
    name = "versions/0002.json" if folder == "versions" else f"objects/{min(of[1] - of[0])}"
    data = there[name]
    if damage == "flip":
        there[name] = data[:-9] + bytes([data[-9] ^ 4]) + data[-8:]
    elif damage == "missing":
        del there[name]
    else:
        there[name] = data[:-2] if damage == "cut" else data + b"x"
    for one in (store, VersionStore(url)):
        loaded, info = one.load()
        assert same(loaded, tree(1))
        if (folder, damage) == ("versions", "missing"):
            assert (info.number, info.warnings) == (1, ()), "the version was never there"
        else:
            assert name in " ".join(info.warnings)
            with pytest.raises(CorruptStateError, match=name):
                one.load(2)
            assert any(name in problem for problem in one.verify())
    assert VersionStore(url).commit(tree(5), reason="on", kind="logs", parent=store.current) in (2, 3)


@pytest.mark.slow
def test_a_clean_up_keeps_what_is_young_and_what_is_needed(url: str) -> None:
    store = filled(url)
    waste = f"objects/{hashlib.sha256(b'left by a dead writer').hexdigest()}.json"
    files(url)[waste] = b"left by a dead writer"
    swept = store.gc(Retention(latest=2))
    assert swept.versions == (1,)
    assert swept.objects == ()
    assert waste in files(url)
    time.sleep(0.05)
    impatient = VersionStore(url, Remote(url, grace_s=0.01))
    planned = impatient.gc(Retention(latest=2), dry_run=True)
    swept = impatient.gc(Retention(latest=2))
    assert swept.objects == planned.objects
    assert waste.partition("/")[2] in swept.objects
    assert waste not in files(url)
    assert [info.number for info in store.history()] == [2, 3]
    assert store.verify() == []
    assert impatient.gc(Retention(latest=2)).objects == ()


@pytest.mark.slow
def test_a_wrong_clock_on_this_machine_makes_nothing_old(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(url, 1)
    waste = f"objects/{hashlib.sha256(b'x').hexdigest()}.json"
    files(url)[waste] = b"x"
    real = time.time
    monkeypatch.setattr("jamais.persistence.versions.remote.marks.time.time", lambda: real() + 1e7)
    assert store.gc().objects == ()
    assert waste in files(url)


@pytest.mark.slow
def test_missing_buckets_and_rights_are_said(url: str, server: ObjectServer) -> None:
    with pytest.raises(InputError, match="no such bucket"):
        VersionStore("s3://no-such-bucket-here/app").commit({}, reason="fit", kind="logs", parent=None)
    store = filled(url, 1)
    body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
    server.instead = lambda request: ("403 Forbidden", body)
    for ask in (store.load, store.history, store.verify, store.refs, store.gc):
        with pytest.raises(StateError, match=r"does not accept these credentials.*AWS_ACCESS_KEY_ID"):
            ask()
    server.instead = lambda request: ("403 Forbidden", body) if request.method == "PUT" else None
    with pytest.raises(StateError, match="does not accept these credentials"):
        store.commit(tree(2), reason="new", kind="logs", parent=1)
    assert same(store.load()[0], tree(1))


@pytest.mark.slow
def test_the_two_words_of_the_api_take_an_address(url: str) -> None:
    import jamais

    watcher = jamais.fit(normal(60), kind="logs", settings=TINY, out=url)
    again = jamais.load(url)
    assert again.version == watcher.version == 1
    assert again.score(today()).equals(watcher.score(today()))
    again.set_alarm_rate(0.01)
    assert again.save() == 2
    assert again.save(url) == 3, "the same store by its address"
    with pytest.raises(StaleVersionError):
        watcher.save()
    assert jamais.load(url).alarm_rate == 0.01
