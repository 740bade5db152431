"""Does every command about saved states tell in one line what is wrong, whatever lies at the path?"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_inspect import made

from jamais.persistence import VersionStore
from jamais.persistence.tensor_file import write_tensors

COMMANDS = [
    ["inspect", "X"],
    ["inspect", "X", "--arrays", "--json"],
    ["verify", "X"],
    ["verify", "X", "--full", "--json"],
    ["fsck", "X"],
    ["history", "X"],
    ["history", "X", "--log", "--json"],
    ["gc", "X", "--dry-run"],
    ["promote", "X", "--as", "name"],
    ["rollback", "X", "1"],
    ["rollback", "X", "1", "--only", "model"],
    ["diff", "X", "GOOD"],
    ["diff", "GOOD", "X"],
    ["diff", "X", "1", "2"],
    ["convert", "X", "OUT"],
    ["convert", "GOOD", "X", "--to", "bin"],
]


def sealed(path: Path, plain: bytes) -> None:
    """Write a state file whose seal is right and whose JSON is anything."""
    about = {"format": "jamais-state", "format_version": 1, "type": "t\x1b[2J", "jamais_version": {"a": 1}}
    with path.open("wb") as file:
        arrays = {"$state": np.frombuffer(plain, dtype=np.uint8)}
        write_tensors(file.fileno(), arrays, {"jamais": json.dumps(about)})


def text(path: Path, state: str, tensors: str = "{}", more: str = "") -> None:
    head = '"format": "jamais-state", "format_version": 1, "type": "t", "jamais_version": "1"'
    path.write_text(f'{{{head}, "state": {state}, {more}"tensors": {tensors}, "sha256": "x"}}')


def store(path: Path, change: Callable[[Path], Any]) -> None:
    made(path.parent, "store").rename(path)
    change(path)


def tensor(shape: str, **more: str) -> str:
    fields = {"dtype": '"F32"', "shape": shape, "xxh3": f'"{"0" * 32}"', "data": "[1]", **more}
    return f'{{"/a": {{{", ".join(f"{json.dumps(name)}: {value}" for name, value in fields.items())}}}}}'


def pipe_for_manifest(path: Path) -> None:
    (path / "versions" / "0001.json").unlink()
    os.mkfifo(path / "versions" / "0001.json")


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


WRONG: dict[str, Callable[[Path], Any]] = {
    "missing": lambda path: None,
    "rubbish": lambda path: path.write_bytes(bytes(range(256)) * 20),
    "empty": lambda path: path.touch(),
    "folder": lambda path: path.mkdir(),
    "pipe": lambda path: os.mkfifo(path),
    "dangling": lambda path: path.symlink_to("nowhere"),
    "loop": link_to_itself,
    "pickle": lambda path: path.write_bytes(b"\x80\x04" + b"x" * 50),
    "zip": lambda path: path.write_bytes(b"PK\x03\x04" + b"x" * 50),
    "long header": lambda path: path.write_bytes((1 << 60).to_bytes(8, "little") + b"{" * 90),
    "cut": lambda path: path.write_bytes(made(path.parent, "bin").read_bytes()[:-9]),
    "cut header": lambda path: path.write_bytes(made(path.parent, "bin").read_bytes()[:90]),
    "cut text": lambda path: path.write_bytes(made(path.parent, "numbers").read_bytes()[:-900]),
    "no state": lambda path: path.write_text('{"a": 1}'),
    "no JSON": lambda path: path.write_text('{"a": '),
    "zeros": lambda path: path.write_bytes(b"{" + b"\0" * 900),
    "bomb": lambda path: path.write_text('{"a":' * 100_000),
    "deep text": lambda path: text(path, '{"a":' * 800 + "1" + "}" * 800),
    "deep lists": lambda path: text(path, '{"a":' + "[" * 800 + "1" + "]" * 800 + "}"),
    "deep file": lambda path: sealed(path, b'{"a":' * 800 + b"1" + b"}" * 800),
    "odd text": lambda path: text(path, '{"a": 1e999, "b\\u001b": {"$part": "state"}, "c": {"$float": "z"}}'),
    "odd file": lambda path: sealed(path, b'{"a": 1e999, "b\\u001b[2J": {"$array": 3}, "\\ud800": 1}'),
    "no object": lambda path: sealed(path, b"[1, 2]"),
    "odd layers": lambda path: text(path, "{}", more='"layers": [3], '),
    "odd tensors": lambda path: text(path, "{}", '{"/a": 3}'),
    "negative": lambda path: text(path, '{"a": {"$array": "<f4 -1"}}', tensor("[-1]")),
    "huge": lambda path: text(path, '{"a": {"$array": "<f4"}}', tensor("[1000000000000, 1000000]")),
    "b64": lambda path: text(path, '{"a": {"$array": "<f4"}}', tensor("[99999999999]").replace('"data"', '"b64"')),
    "odd shape": lambda path: text(path, '{"a": {"$array": "<f4"}}', tensor("{}")),
    "no versions": lambda path: (path / "versions").mkdir(parents=True),
    "versions is a file": lambda path: (path.mkdir(), (path / "versions").write_text("x")),
    "manifest of rubbish": lambda path: store(path, lambda p: (p / "versions" / "0001.json").write_bytes(b"\xff" * 99)),
    "manifest is a pipe": lambda path: store(path, pipe_for_manifest),
    "no objects": lambda path: store(path, lambda p: shutil.rmtree(p / "objects")),
    "odd store": lambda path: store(path, lambda p: (p / "STORE.json").write_text("[]")),
    "newer store": lambda path: store(path, lambda p: (p / "STORE.json").write_text('{"format": "jamais-store"}')),
    "odd name": lambda path: store(path, lambda p: (p / "refs" / "best.json").write_text("\x1b[2J")),
    "odd log": lambda path: store(path, lambda p: (p / "refs" / "log.jsonl").write_bytes(b"\xff\n{}\n")),
    "folder without manifest": lambda path: (made(path.parent, "folder").rename(path) / "MANIFEST.json").unlink(),
    "folder of nothing": lambda path: (made(path.parent, "folder").rename(path) / "MANIFEST.json").write_text("{}"),
    "folder with a pipe": lambda path: (path.mkdir(), os.mkfifo(path / "config.json")),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_told_in_one_line(kind: str, tmp_path: Path, typed: Any) -> None:
    good = made(tmp_path, "bin").rename(tmp_path / "good.bin")
    for number, command in enumerate(COMMANDS):
        place = tmp_path / str(number)
        place.mkdir()
        path = place / "x"
        WRONG[kind](path)
        names = {"X": path, "GOOD": good, "OUT": place / "out.bin"}
        said = typed(*[names.get(one, one) for one in command])
        assert said.code in (0, 1, 2), command
        assert "Traceback" not in said.out + said.err
        assert "\x1b" not in said.out
        if said.code == 2:
            assert said.out == "", command
            assert said.err.count("\n") == 1, command
            assert said.err.startswith("jamais: "), command
        if command == ["verify", "X"]:
            harmless = ("odd name", "odd log")
            assert (said.code == 0) == (kind in harmless), said


@pytest.mark.parametrize("path", ["", ".", "/dev/null", "x" * 5000, "a\nb", "\udcff", "s3:/", "@3", "x@"])
def test_paths_that_name_nothing_are_mistakes(path: str, tmp_path: Path, typed: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    good = made(tmp_path.parent, "bin")
    for command in COMMANDS:
        if command[0] == "convert" and command[1] == "GOOD":
            continue
        names = {"X": path, "GOOD": str(good), "OUT": "out.bin"}
        said = typed(*[names.get(one, one) for one in command])
        assert said.code == 2, command
        assert said.err.count("\n") == 1, command
    good.unlink()
    assert list(tmp_path.iterdir()) == []


def test_only_stores_have_versions(tmp_path: Path, typed: Any) -> None:
    made(tmp_path, "bin")
    made(tmp_path, "store")
    for command in (["inspect", "bin@3"], ["diff", "bin@best", "bin"], ["convert", "bin", "x.json", "--version", "2"]):
        said = typed(command[0], *[tmp_path / one if one[0] in "bx" else one for one in command[1:]])
        assert said.code == 2
        assert "has no versions" in said.err
    assert "no version 9" in typed("inspect", f"{tmp_path / 'store'}@9").err


def test_a_path_with_an_at_sign_is_a_path_first(tmp_path: Path, typed: Any) -> None:
    made(tmp_path, "store")
    VersionStore(tmp_path / "store").promote("best", 1)
    made(tmp_path, "bin").rename(tmp_path / "store@best")
    assert "a binary state" in typed("inspect", tmp_path / "store@best").out
    assert "a store of versions" in typed("inspect", tmp_path / "store@1").out


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_may_not_be_read_is_told(tmp_path: Path, typed: Any) -> None:
    path = made(tmp_path, "bin")
    path.chmod(0)
    for command in ("inspect", "verify"):
        said = typed(command, path)
        assert (said.code, said.out) == (2, "")
        assert "check its permissions" in said.err
