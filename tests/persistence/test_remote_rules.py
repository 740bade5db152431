"""What holds for every kind of remote store, whatever server it talks to? On fsspec's store in memory."""

from __future__ import annotations

import importlib
import sys
import uuid
from typing import Any

import fsspec
import numpy as np
import pytest
from bitwise import same
from crash_child import tree
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st

from jamais.errors import CorruptStateError, InputError, MissingExtraError, StateError
from jamais.persistence import VersionStore
from jamais.persistence.versions.remote import Remote, reading
from jamais.persistence.versions.remote.bucket import Bucket


@pytest.fixture
def url() -> str:
    return f"memory://{uuid.uuid4().hex}/app"


def test_versions_come_back_from_a_store_in_memory(url: str) -> None:
    store = VersionStore(url)
    for number in (1, 2, 3):
        store.commit(tree(number), reason=f"{number}", kind="logs", parent=number - 1 or None, refs=("best",))
    assert same(VersionStore(url).load(2)[0], tree(2))
    assert [info.refs for info in store.history()] == [(), (), ("best",)]
    assert store.verify() == []


def test_a_long_log_keeps_its_order_and_is_read_in_few_requests(url: str, monkeypatch: Any) -> None:
    place = Remote(url)
    wanted = [f'{{"move": {n}}}'.encode() for n in range(250)]
    for line in wanted[:125]:
        place.append("refs/log.jsonl", line)
    other = Remote(url)  # another process goes on
    for line in wanted[125:]:
        other.append("refs/log.jsonl", line)
    assert place.lines("refs/log.jsonl") == wanted
    asked: list[str] = []
    real = Bucket.get
    monkeypatch.setattr(Bucket, "get", lambda self, name, ranges: asked.append(name) or real(self, name, ranges))
    assert place.lines("refs/log.jsonl") == wanted
    assert len(asked) == 3
    assert place.lines("refs/other.jsonl") == []


def test_two_that_write_to_the_log_at_once_both_get_their_line(url: str, monkeypatch: Any) -> None:
    one, other = Remote(url), Remote(url)
    one.append("refs/log.jsonl", b"1")
    real, late = Remote.put_new, []

    def slow(self: Remote, name: str, data: bytes) -> bool:
        if not late:
            late.append(name)
            other.append("refs/log.jsonl", b"2")
        return real(self, name, data)

    monkeypatch.setattr(Remote, "put_new", slow)
    one.append("refs/log.jsonl", b"3")
    assert one.lines("refs/log.jsonl") == [b"1", b"2", b"3"]


class LooksFirst(MemoryFileSystem):
    """A file system that can be read and written but cannot make a file only if there is none."""

    protocol = "looksfirst"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(MemoryFileSystem._strip_protocol(path.removeprefix("looksfirst://")))


def test_where_nothing_can_be_made_exclusively_a_store_is_read_and_not_written(url: str) -> None:
    fsspec.register_implementation("looksfirst", LooksFirst, clobber=True)
    VersionStore(url).commit(tree(1), reason="old", kind="logs", parent=None)
    store = VersionStore(url.replace("memory", "looksfirst"))
    assert same(store.load()[0], tree(1))
    assert store.verify() == []
    before = set(MemoryFileSystem.store)
    for parent, other in ((1, store), (None, VersionStore(url.replace("memory", "looksfirst") + "-new"))):
        with pytest.raises(StateError, match=r"two writers could both win.*Save to a folder, or to s3://"):
            other.commit({}, reason="new", kind="logs", parent=parent)
    with pytest.raises(StateError, match="two writers could both win"):
        store.promote("production", 1)
    with pytest.raises(StateError, match="two writers could both win"):
        store.gc()
    assert set(MemoryFileSystem.store) == before


def test_what_is_there_is_never_replaced_by_something_new(url: str) -> None:
    place = Remote(url)
    assert place.put_new("versions/0001.json", b"first") is True
    assert place.put_new("versions/0001.json", b"second") is False
    assert place.put_new("versions/0001.json", b"first") is True, "its own request, repeated"
    assert place.read("versions/0001.json", limit=10) == b"first"


def test_more_bytes_than_allowed_are_not_read(url: str) -> None:
    place = Remote(url)
    place.put("a", b"12345")
    place.put("empty", b"")
    assert place.read("a", limit=5, size=5) == b"12345"
    assert place.read("empty", limit=5) == b""
    for limit, size, what in (
        (4, None, "more than the 4 bytes"),
        (9, 4, "more than 4 bytes"),
        (9, 6, "5 bytes, the m"),
    ):
        with pytest.raises(CorruptStateError, match=what):
            place.read("a", limit=limit, size=size)
    with pytest.raises(CorruptStateError, match="b: missing"):
        place.read("b", limit=9)
    with pytest.raises(CorruptStateError, match="b: missing"), place.opened("b"):
        pass
    assert place.size("b") is place.size("") is None
    assert place.names("nowhere") == []


@given(size=st.integers(1, 200), cuts=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200)), max_size=20))
@settings(deadline=None, max_examples=60)
def test_any_piece_of_an_object_is_what_was_written(size: int, cuts: list[tuple[int, int]]) -> None:
    data = np.random.default_rng(size).bytes(size)
    place = Remote(f"memory://{uuid.uuid4().hex}/app")
    place.put("objects/x", data)
    real = reading.BLOCK_BYTES
    reading.BLOCK_BYTES = 16
    try:
        with place.opened("objects/x") as opened:
            assert opened.size == size
            for start, length in cuts:
                target = bytearray(length)
                if start + length <= size:
                    opened.read_into(memoryview(target), start)
                    assert bytes(target) == data[start : start + length]
                elif length:
                    with pytest.raises(CorruptStateError, match="ends at"):
                        opened.read_into(memoryview(target), start)
    finally:
        reading.BLOCK_BYTES = real


def test_an_object_that_was_replaced_is_compared_again(url: str, monkeypatch: Any) -> None:
    place = Remote(url)
    tags = {"objects/x": "1"}
    real = Bucket.look
    monkeypatch.setattr(
        Bucket, "look", lambda self, name: __import__("dataclasses").replace(real(self, name), tag=tags[name])
    )
    place.put("objects/x", b"content")
    with place.opened("objects/x") as opened:
        opened.note_compared(0, "d")
    with place.opened("objects/x") as opened:
        assert opened.was_compared(0, "d")
        assert not opened.was_compared(1, "d")
    tags["objects/x"] = "2"
    with place.opened("objects/x") as opened:
        assert not opened.was_compared(0, "d")
    tags["objects/x"] = ""
    with place.opened("objects/x") as opened:
        opened.note_compared(0, "d")
    with place.opened("objects/x") as opened:
        assert not opened.was_compared(0, "d"), "without a tag nothing is known to be unchanged"


def test_addresses_that_lead_nowhere_are_refused_with_a_hint(monkeypatch: Any) -> None:
    for address, what in (("nothing://x/y", "no address that fsspec knows"), ("memory://", "names no bucket")):
        with pytest.raises(InputError, match=what):
            VersionStore(address).load()
    monkeypatch.setitem(sys.modules, "s3fs", None)
    for kind in ("s3", "gs"):
        monkeypatch.delitem(importlib.import_module("fsspec.registry")._registry, kind, raising=False)
    with pytest.raises(MissingExtraError, match=r"a store at s3://bucket/app needs .*pip install 'jamais\[remote\]'"):
        VersionStore("s3://bucket/app").load()
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(InputError, match=r"needs another package .*gcsfs"):
        VersionStore("gs://bucket/app").load()


def test_a_password_in_an_address_is_not_repeated() -> None:
    place = Remote("sftp://me:secret@host/app")
    assert str(place) == "sftp://…@host/app"
    with pytest.raises(InputError) as told:
        VersionStore("nothing://me:secret@host/app").load()
    assert "secret" not in str(told.value)


def test_an_address_with_a_file_of_this_machine_is_a_folder(tmp_path: Any) -> None:
    store = VersionStore(f"file://{tmp_path}/app")
    store.commit(tree(1), reason="old", kind="logs", parent=None)
    assert same(VersionStore(tmp_path / "app").load()[0], tree(1))
    assert store.lies_at(tmp_path / "app")
