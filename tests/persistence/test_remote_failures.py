"""Writers that race, die, hang or talk to a broken object store: is there exactly the old version or the new one?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bitwise import same
from crash_child import tree

pytest.importorskip("s3fs", reason="needs the extra `remote`")
pytest.importorskip("moto", reason="needs moto: pip install 'jamais[dev]'")
pytest.importorskip("flask_cors", reason="needs moto's server: pip install 'jamais[dev]'")

import remote_child
from object_server import ObjectServer, Request

from jamais.errors import InputError, StaleVersionError, StateError
from jamais.persistence import Retention, VersionStore
from jamais.persistence.versions.remote import Remote, marks


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectServer]:
    one = ObjectServer()
    yield one
    one.stop()


@pytest.fixture
def url(server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give the address of a store with one version."""
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    server.reset()
    place = server.bucket(f"b{time.monotonic_ns()}") + "/app"
    VersionStore(place).commit(tree(1), reason="old", kind="logs", parent=None)
    server.reset()
    return place


def committing(store: VersionStore, seed: int, said: list[Any]) -> threading.Thread:
    def work() -> None:
        try:
            said.append(store.commit(tree(seed), reason=f"racer {seed}", kind="logs", parent=parent))
        except Exception as error:
            said.append(error)

    parent = store.current
    return threading.Thread(target=work)


def started(*words: object) -> subprocess.Popen[str]:
    package = Path(__file__).parents[2] / "src"
    return subprocess.Popen(
        [sys.executable, remote_child.__file__, *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(package), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def is_manifest(request: Request) -> bool:
    return request.method == "PUT" and "/versions/" in request.key


@pytest.mark.slow
def test_of_two_writers_whose_manifests_arrive_together_exactly_one_wins(url: str, server: ObjectServer) -> None:
    stores = [VersionStore(url), VersionStore(url)]
    for number in range(2, 12):
        together = threading.Barrier(2)
        server.before = lambda request, together=together: is_manifest(request) and together.wait(20)  # type: ignore
        said: list[Any] = []
        both = [committing(store, number * 10 + i, said) for i, store in enumerate(stores)]
        for one in both:
            one.start()
        for one in both:
            one.join()
        assert sorted(type(one).__name__ for one in said) == ["StaleVersionError", "int"]
        assert number in said
        conditions = {one.condition for one in server.asked if is_manifest(one)}
        assert conditions == {"*"}
    store = VersionStore(url)
    assert [info.number for info in store.history()] == list(range(1, 12))
    assert store.verify() == []


def test_two_writers_of_the_same_content_do_not_harm_each_other(url: str, server: ObjectServer) -> None:
    together = threading.Barrier(2)
    server.before = lambda request: is_manifest(request) and together.wait(20)
    said: list[Any] = []
    both = [committing(VersionStore(url), 7, said) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert 2 in said
    assert VersionStore(url).verify() == [], "the loser left the objects that both had sent"
    assert same(VersionStore(url).load()[0], tree(7))


@pytest.mark.slow
def test_of_two_processes_that_commit_at_once_exactly_one_wins_each_round(url: str) -> None:
    child = started("race", url, 10)
    said, problems = child.communicate(timeout=300)
    assert said.splitlines() == ["['stale', 'won']"] * 10, problems
    store = VersionStore(url)
    assert [info.parent for info in store.history()] == [None, *range(1, 11)]
    assert store.verify() == []


@pytest.mark.slow
def test_a_writer_that_fails_before_the_manifest_leaves_the_old_version(url: str, monkeypatch: Any) -> None:
    def fail(*_: Any) -> bool:
        raise StateError("the network is gone")

    store = VersionStore(url)
    with monkeypatch.context() as patch:
        patch.setattr(Remote, "put_new", fail)
        with pytest.raises(StateError, match="the network is gone"):
            store.commit(tree(2), reason="new", kind="logs", parent=1)
    assert store.current == 1
    assert store.verify() == []
    assert store.commit(tree(2), reason="again", kind="logs", parent=1) == 2
    assert same(store.load()[0], tree(2))
    first = VersionStore(url + "-new")
    with monkeypatch.context() as patch:
        patch.setattr(Remote, "put_new", fail)
        with pytest.raises(StateError, match="the network is gone"):
            first.commit(tree(1), reason="first", kind="logs", parent=None)
    with pytest.raises(InputError, match="its first save did not finish"):
        first.load()
    assert first.commit(tree(1), reason="first", kind="logs", parent=None) == 1


@pytest.mark.slow
def test_a_writer_killed_at_any_request_leaves_the_old_version_or_the_new_one(
    url: str, server: ObjectServer, monkeypatch: Any, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    at, numbers, drafts = 0, [1], []
    while True:
        at += 1
        left, pid = [at], [0]

        def step(request: Request, left: list[int] = left, pid: list[int] = pid) -> None:
            left[0] -= request.method != "GET"
            if left[0] == 0 and pid[0]:
                os.kill(pid[0], signal.SIGKILL)

        child = started("commit", url, at)
        pid[0] = child.pid
        server.before = step
        child.communicate(timeout=60)
        server.reset()
        store = VersionStore(url)
        loaded, info = store.load()
        assert info.number in (numbers[-1], numbers[-1] + 1)
        assert same(loaded, tree(at)) or info.number == numbers[-1]
        assert info.warnings == ()
        assert store.verify() == []
        numbers.append(info.number)
        drafts.append(len(list(tmp_path.iterdir())))
        if child.returncode == 0:
            break
    assert at > 6, "the requests were counted"
    assert numbers[-1] < at, "some were killed before the manifest"
    assert max(drafts) == 1, "one that is killed leaves drafts, and whoever saves next on this machine removes them"
    assert drafts[-1] == 0


@pytest.mark.slow
def test_no_draft_is_left_on_this_machine(url: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    store = VersionStore(url)
    store.commit(tree(2), reason="new", kind="logs", parent=1)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(StateError, match=r"cannot write drafts for s3://.* in .*nowhere"):
        store.commit(tree(3), reason="new", kind="logs", parent=2)
    assert same(store.load()[0], tree(2))


def test_an_answer_that_gets_lost_is_not_taken_for_defeat(url: str, server: ObjectServer) -> None:
    lost: list[Request] = []

    def lose(request: Request) -> bool:
        if is_manifest(request) and not lost:
            lost.append(request)
            return True
        return False

    server.after = lose
    assert VersionStore(url).commit(tree(2), reason="new", kind="logs", parent=1) == 2
    assert len([one for one in server.asked if is_manifest(one)]) > 1
    assert same(VersionStore(url).load()[0], tree(2))


@pytest.mark.slow
def test_where_nobody_can_say_whether_it_was_saved_the_error_says_so(url: str, server: ObjectServer) -> None:
    gone = [False]

    def lose(request: Request) -> bool:
        gone[0] |= is_manifest(request)
        return gone[0]

    server.after = lose
    with pytest.raises(StateError, match=r"Whether versions/0002.json was written is not known"):
        VersionStore(url).commit(tree(2), reason="new", kind="logs", parent=1)
    server.reset()
    assert same(VersionStore(url).load()[0], tree(2)), "it was, and none of its objects was removed"
    assert VersionStore(url).verify() == []


@pytest.mark.slow
def test_a_server_that_ignores_the_condition_is_not_written_to(url: str, server: ObjectServer) -> None:
    server.forget_conditions = True
    store = VersionStore(url)
    with pytest.raises(StateError, match=r"this server ignores 'If-None-Match: \*'"):
        store.commit(tree(2), reason="new", kind="logs", parent=1)
    assert {one.key.rpartition("/")[2] for one in server.asked if one.method == "PUT"} == {"create-once.txt"}
    assert same(store.load()[0], tree(1))


@pytest.mark.slow
def test_a_server_that_words_its_refusal_otherwise_is_understood(url: str, server: ObjectServer) -> None:
    def plain(request: Request) -> tuple[str, bytes] | None:
        if request.condition and (request.key.endswith("create-once.txt") or request.key.endswith("0001.json")):
            return "412 Precondition Failed", b"<Error><Code>PreconditionFailed</Code><Message>no</Message></Error>"
        return None

    server.instead = plain
    place = Remote(url)
    with place.locked():
        assert place.put_new("versions/0001.json", b"other") is False
    assert VersionStore(url).verify() == []


@pytest.mark.slow
def test_a_sweep_gives_way_to_a_save_and_a_save_waits_for_a_sweep(url: str, server: ObjectServer) -> None:
    VersionStore(url).commit(tree(2), reason="next", kind="logs", parent=1)
    impatient = VersionStore(url, Remote(url, grace_s=1e-6))
    swept: list[Any] = []

    def sweep_now(request: Request) -> None:
        # Version 1 goes and takes the objects along that the save under way has found there, were it not held back.
        if is_manifest(request) and not swept:
            swept.append(impatient.gc(Retention(latest=1)))

    server.before = sweep_now
    store = VersionStore(url)
    back = store.load(1)[0]
    assert store.commit(back, reason="back to 1", kind="logs", parent=2) == 3
    assert swept[0].versions == swept[0].objects == ()
    assert swept[0].warnings == ("nothing was removed, as somebody is saving here: try again later",)
    assert store.verify() == []

    removing, order = threading.Event(), []
    said: list[Any] = []
    saver = committing(VersionStore(url), 5, said)

    def watch(request: Request) -> None:
        if request.method == "DELETE" and "/versions/" in request.key and not removing.is_set():
            removing.set()
            saver.start()
            time.sleep(0.3)
        if (request.method == "DELETE" and "/busy/" not in request.key) or is_manifest(request):
            order.append(request.method)

    server.before = watch
    assert impatient.gc(Retention(latest=1)).versions == (1, 2)
    saver.join()
    assert said == [4]
    assert order == sorted(order), "first everything was removed, then the manifest came"
    assert store.verify() == []


@pytest.mark.slow
def test_marks_of_the_dead_run_out_and_who_stood_still_too_long_stops(url: str, monkeypatch: Any) -> None:
    store, place = VersionStore(url), Remote(url)
    with place.locked():
        warned = store.gc(Retention(latest=1)).warnings
        assert warned
        monkeypatch.setitem(marks.LEASE_S, "save", 0.0)
        assert store.gc(Retention(latest=1)).warnings == ()
        assert not [name for name in place.names("busy") if name.startswith("save-")], "the dead one's mark is removed"
        with pytest.raises(StateError, match="stood still"):
            place.put_new("versions/0002.json", b"late")
    assert store.verify() == []


@pytest.mark.slow
def test_a_sweep_that_never_ends_is_reported(url: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(marks, "WAIT_S", 0.0)
    place = Remote(url)
    with place.locked(), place.alone() as alone:
        assert alone
        with pytest.raises(StateError, match="somebody has been tidying up"):
            VersionStore(url).commit(tree(2), reason="new", kind="logs", parent=1)


@pytest.mark.slow
def test_with_the_server_down_everything_ends_in_seconds_with_one_clear_error(url: str) -> None:
    down = Remote(url, options={"endpoint_url": "http://127.0.0.1:9"})
    store = VersionStore(url, down)
    for ask in (
        store.load,
        store.history,
        store.verify,
        store.refs,
        store.log,
        store.gc,
        lambda: store.current,
        lambda: store.promote("production"),
        lambda: store.commit(tree(2), reason="new", kind="logs", parent=1),
        lambda: store.commit(tree(2), reason="new", kind="logs", parent=None),
    ):
        start = time.monotonic()
        with pytest.raises(StateError, match=r"cannot be reached .*AWS_ENDPOINT_URL, and try again"):
            ask()
        assert time.monotonic() - start < 10


@pytest.mark.slow
def test_without_credentials_the_error_says_where_they_belong(url: str, monkeypatch: Any) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(StateError, match=r"does not accept these credentials .*AWS_ACCESS_KEY_ID"):
        VersionStore(url, Remote(url)).load()


@pytest.mark.slow
def test_a_stale_writer_can_go_on_after_loading_again(url: str) -> None:
    slow = VersionStore(url)
    VersionStore(url).commit(tree(2), reason="faster", kind="logs", parent=1)
    with pytest.raises(StaleVersionError):
        slow.commit(tree(3), reason="late", kind="logs", parent=1)
    assert slow.commit(tree(3), reason="again", kind="logs", parent=slow.load()[1].number) == 3
