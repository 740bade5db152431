"""Which hostile files are there? For each face of jamais, and for others where the same trick works on them."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import safetensors.torch
import torch
import torch.distributed.checkpoint as dcp

from benchmarks.quality.persistence import forgery
from benchmarks.quality.persistence.forgery import Trap, entry, header, saved
from benchmarks.quality.persistence.savers import JAMAIS
from jamais.persistence import VersionStore, load_model_auto
from jamais.persistence.faces.binary import read_binary
from jamais.persistence.faces.folder import read_folder
from jamais.persistence.faces.json_face import read_json
from jamais.persistence.faces.models import read_state

Read = Callable[[Path], Any]


@dataclass(frozen=True)
class Case:
    """One trick: makes its files in an empty folder; `readers` are those who then read there."""

    face: str
    name: str
    make: Callable[[Path], object]
    readers: Mapping[str, Read]


def corpus() -> Iterator[Case]:
    """Give all of them."""
    yield from _pickles()
    yield from _files()
    yield from _texts()
    yield from _folders()
    yield from _stores()


# --- pickles under any name, and archives


def _pickles() -> Iterator[Case]:
    def pickled(name: str) -> Callable[[Path], object]:
        return lambda folder: (folder / name).write_bytes(pickle.dumps(Trap()))

    def auto(name: str) -> Read:
        return lambda folder: read_state(folder / name)

    theirs: dict[str, Read] = {"pickle.load": lambda folder: pickle.loads((folder / "s.bin").read_bytes())}
    yield Case("any", "a pickle called .bin", pickled("s.bin"), {JAMAIS: auto("s.bin"), **theirs})
    for name in ("s.safetensors", "s.json", "MANIFEST.json"):
        yield Case("any", f"a pickle called {name}", pickled(name), {JAMAIS: auto(name)})
    theirs = {
        "torch.load": lambda folder: torch.load(folder / "s.bin"),
        "torch.load(weights_only=False)": lambda folder: torch.load(folder / "s.bin", weights_only=False),
    }
    yield Case("any", "code in a file of torch.save", _torch_trap, {JAMAIS: auto("s.bin"), **theirs})
    theirs = {"joblib.load": lambda folder: joblib.load(folder / "s.bin")}
    yield Case("any", "code in a file of joblib", _joblib_trap, {JAMAIS: auto("s.bin"), **theirs})
    theirs = {
        "np.load": lambda folder: np.load(folder / "s.npy"),
        "np.load(allow_pickle=True)": lambda folder: np.load(folder / "s.npy", allow_pickle=True),
    }
    yield Case("any", "code in a .npy file", _npy_trap, {JAMAIS: auto("s.npy"), **theirs})
    theirs = {"np.load": lambda folder: dict(np.load(folder / "s.npz"))}
    bomb: Callable[[Path], object] = lambda folder: forgery.npz_bomb(folder / "s.npz", 512)  # noqa: E731
    yield Case("any", "an .npz that unpacks to 512 MB", bomb, {JAMAIS: auto("s.npz"), **theirs})
    yield Case("any", "code in .metadata of DCP", _dcp, {JAMAIS: auto("d"), "dcp.load": _dcp_load})
    readers = {JAMAIS: auto("s.bin")}
    yield Case("any", "a pipe", lambda folder: os.mkfifo(folder / "s.bin"), readers)
    yield Case("any", "a link to /dev/zero", lambda folder: forgery.zeros_link(folder / "s.bin"), readers)


def _torch_trap(folder: Path) -> None:
    torch.save({"a": Trap()}, folder / "s.bin")


def _joblib_trap(folder: Path) -> None:
    joblib.dump(Trap(), folder / "s.bin")


def _npy_trap(folder: Path) -> None:
    (folder / "s.npy").write_bytes(forgery.npy_objects())


def _dcp(folder: Path) -> None:
    dcp.save({"a": torch.zeros(3)}, storage_writer=dcp.FileSystemWriter(folder / "d"), no_dist=True)
    (folder / "d" / ".metadata").write_bytes(pickle.dumps(Trap()))


def _dcp_load(folder: Path) -> Any:
    dcp.load({"a": torch.zeros(3)}, storage_reader=dcp.FileSystemReader(folder / "d"), no_dist=True)


# --- the single file


def _files() -> Iterator[Case]:
    def read(folder: Path) -> Any:
        return read_binary(folder / "s.safetensors")

    def theirs(folder: Path) -> Any:
        return safetensors.torch.load_file(folder / "s.safetensors")

    def case(name: str, data: bytes, *, peer: bool = True) -> Case:
        readers: dict[str, Read] = {JAMAIS: read, "safetensors load_file": theirs} if peer else {JAMAIS: read}
        return Case("single file", name, lambda folder: (folder / "s.safetensors").write_bytes(data), readers)

    many = ",".join(f'"t{i}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}' for i in range(1_500_000)).encode()
    allowed = {f"t{i}": entry([0], 0, 0) for i in range(65_000)}
    yield case("a header of 2^60 bytes", (1 << 60).to_bytes(8, "little") + b"{}")
    yield case("a header of 100 MB of blanks", (10**8 + 8).to_bytes(8, "little") + b" " * (10**8 + 8))
    yield case("a header of 1.5 million empty tensors", header(many))
    yield case("65,000 empty tensors, as many as is allowed", header(allowed), peer=False)
    yield case("two arrays on the same bytes", header({"/a": entry([2], 0, 8), "/b": entry([2], 4, 12)}, bytes(12)))
    yield case("a hole between two arrays", header({"/a": entry([1], 0, 4), "/b": entry([1], 8, 12)}, bytes(12)))
    yield case("a byte after the last array", header({"/a": entry([2], 0, 8)}, bytes(9)))
    yield case("a shape of 2^80 numbers", header({"/a": entry([1 << 40, 1 << 40], 0, 8)}, bytes(8)))
    yield case("a shape below zero", header({"/a": entry([-2, -1], 0, 8)}, bytes(8)))
    yield case("4 TiB that are not there", header({"/a": entry([1 << 40], 0, 1 << 42)}, bytes(8)))
    twice = b'"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
    yield case("a name that stands twice", header(twice + b"," + twice, bytes(4)))
    yield case("a header nested 200,000 deep", header(b'"a":' + b"[" * 200_000 + b"]" * 200_000))
    yield case("a number of 2 million digits in the header", header(b'"a":' + b"9" * 2_000_000))
    yield case("digests of 60,000 arrays that are not there", header({}, n_digests=60_000), peer=False)
    for what, text in _bad_json():
        yield case(f"its JSON: {what}", forgery.with_json(text), peer=False)
    yield Case("single file", "1 TiB of holes under one array", _holes, {JAMAIS: read})
    readers: dict[str, Read] = {JAMAIS: lambda folder: load_model_auto(folder / "s.bin")}
    yield Case("single file", "a type called os.system", _system, readers)


def _system(folder: Path) -> None:
    (folder / "s.bin").write_bytes(header({"$state": entry([2], 0, 2, "U8")}, b"{}", about=_SYSTEM))


_SYSTEM = {"format": "jamais-state", "format_version": 1, "type": "os.system", "digest": "xxh3-128"}


def _holes(folder: Path) -> None:
    text = b'{"a":{"$array":"<f4 274877906944"}}'
    size = len(text)
    entries = {"$state": entry([size], 0, size, "U8"), "/a": entry([1 << 38], size, size + (1 << 40))}
    head = header(entries, text)
    forgery.holes(folder / "s.safetensors", head, len(head) + (1 << 40))


def _bad_json() -> Iterator[tuple[str, bytes]]:
    yield "lists 200,000 deep", b"[" * 200_000 + b"]" * 200_000
    yield "objects 200,000 deep", b'{"a":' * 200_000 + b"1" + b"}" * 200_000
    yield "10 MB of opening brackets", b"[" * 10_000_000
    yield "a number of 2 million digits", b'{"a":' + b"9" * 2_000_000 + b"}"
    yield "1e400", b'{"a":1e400}'
    yield "bare NaN", b'{"a":NaN}'
    yield "a key that stands twice", b'{"a":1,"a":2}'
    yield "bad UTF-8", b'{"a":"\xff"}'
    yield "a marker that asks for a class", b'{"a":{"$class":"os.system"}}'
    yield "an array that is nowhere", b'{"a":{"$array":"<f4 1099511627776"}}'
    yield "an array of objects", b'{"a":{"$array":"|O 3"}}'


# --- the text


def _texts() -> Iterator[Case]:
    def read(folder: Path) -> Any:
        return read_json(folder / "s.json", accept_edits=True)  # no digest stands in the way

    def case(name: str, data: bytes) -> Case:
        return Case("JSON", name, lambda folder: (folder / "s.json").write_bytes(data), {JAMAIS: read})

    def changed(name: str, change: Callable[[Any], object]) -> Case:
        return Case("JSON", name, lambda folder: forgery.json_changed(folder, change), {JAMAIS: read})

    def tensor(document: Any) -> Any:
        return next(iter(document["tensors"].values()))

    for what, text in _bad_json():
        make: Callable[[Path], object] = partial(_with_text, forgery.json_with, text)
        yield Case("JSON", f"its state: {what}", make, {JAMAIS: read})
    yield case("10 MB of opening brackets", b"[" * 10_000_000)
    yield case('500,000 times "data":[', b'{"data":[' * 500_000)
    yield case('500,000 times "b64":"\\', b'"b64":"\\' * 500_000)
    yield case('500,000 times "data":["', b'{"data":["' * 500_000)
    yield case("UTF-16", '{"format": "jamais-state"}'.encode("utf-16"))
    yield Case("JSON", "1 TiB of holes", lambda folder: forgery.holes(folder / "s.json", b"{", 1 << 40), {JAMAIS: read})
    yield changed("a shape of 2^40 numbers", lambda document: tensor(document).update(shape=[1 << 40]))
    yield changed("a shape of 2^124 numbers", lambda document: tensor(document).update(shape=[1 << 62, 1 << 62]))
    yield changed("a shape below zero", lambda document: tensor(document).update(shape=[-16, -16]))
    yield changed("a dtype of objects", lambda document: tensor(document).update(dtype="object"))
    yield changed("objects among the numbers", lambda document: tensor(document).update(data=[{"a": []}] * 256))
    yield changed("a million empty lists as numbers", lambda document: tensor(document).update(data=[[]] * 10**6))
    yield changed("a class as a marker", lambda document: document["state"].update(x={"$class": "os.system"}))
    layers = [{"type": ["os"], "code": 1}]
    yield changed("a layer that is code", lambda document: document.update(layers=layers))


# --- the folder


def _folders() -> Iterator[Case]:
    readers: dict[str, Read] = {JAMAIS: lambda folder: read_folder(folder / "f")}

    def sealed(name: str, change: Callable[[Any], object]) -> Case:
        def make(folder: Path) -> None:
            saved("folder", folder)
            forgery.folder_sealed(folder, change)

        return Case("folder", name, make, readers)

    def first(body: Any) -> Any:
        return next(iter(body["arrays"].values()))

    for name in ("../../secret", "/etc/passwd", "a\n"):
        more = {name: {"size": 2, "sha256": "0" * 64}}
        yield sealed(f"a file called {name!r}", partial(_update, "files", more))
    yield sealed("an array of 2^40 numbers", lambda body: first(body).update(shape=[1 << 40]))
    yield sealed("a file of 2^60 bytes", lambda body: next(iter(body["files"].values())).update(size=1 << 60))
    many = {f"x{i}": {"size": 2, "sha256": "0" * 64} for i in range(200_000)}
    yield sealed("200,000 files that are not there", partial(_update, "files", many))
    yield sealed(
        "100,000 arrays on the same bytes",
        lambda body: body["arrays"].update({f"/x{i}": first(body) for i in range(100_000)}),
    )
    for what, text in _bad_json():
        yield Case("folder", f"state.json: {what}", partial(_with_text, forgery.folder_with_json, text), readers)
    brackets = partial(_overwritten, "folder", "f/MANIFEST.json", b"[" * 10_000_000)
    yield Case("folder", "MANIFEST.json of 10 MB of brackets", brackets, readers)
    yield from _odd_files("folder", ("f/MANIFEST.json", "f/state.json", "f/model.safetensors"), readers)
    yield from _bare_folders(readers)


def _bare_folders(readers: Mapping[str, Read]) -> Iterator[Case]:
    def with_file(name: str, what: str, data: bytes | Callable[[Path], object]) -> Case:
        def make(folder: Path) -> None:
            path = forgery.bare_folder(folder, name)
            path.write_bytes(data) if isinstance(data, bytes) else data(path)

        return Case("folder", f"without a manifest; {name}: {what}", make, readers)

    def npy(shape: str) -> bytes:
        return forgery.npy(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}")

    features = "detectors/knn_features.npy"
    yield with_file(features, "code", forgery.npy_objects())
    yield with_file(features, "4 TiB that are not there", npy("1099511627776,"))
    yield with_file(features, "a shape of 2^100 numbers", npy("1125899906842624, 1125899906842624"))
    yield with_file(features, "an expression as its header", forgery.npy(f"__import__('os').mkdir('{forgery.MARKER}')"))
    yield with_file(features, "9,000 brackets", forgery.npy("(" * 9000))
    yield with_file("pytorch_model.bin", "code", lambda path: torch.save({"a": torch.zeros(3), "b": Trap()}, path))
    yield with_file("pytorch_model.bin", "unpacks to 64 MB", _bomb)
    yield with_file("pytorch_model.bin", "cut in half", _half)
    yield with_file("pytorch_model.bin", "a pickle", pickle.dumps(Trap()))


def _bomb(path: Path) -> None:
    torch.save({"a": torch.zeros(3)}, path)
    path.write_bytes(forgery.compressed(path))


def _half(path: Path) -> None:
    torch.save({"a": torch.zeros(3000)}, path)
    os.truncate(path, path.stat().st_size // 2)


# --- the store


def _stores() -> Iterator[Case]:
    readers: dict[str, Read] = {JAMAIS: lambda folder: VersionStore(folder / "store").load()}

    def sealed(name: str, change: Callable[[Any], object]) -> Case:
        return Case("store", name, lambda folder: forgery.store_sealed(folder, change), readers)

    def first(body: Any) -> Any:
        return next(iter(body["arrays"].values()))

    def larger(body: Any) -> None:
        for one in body["objects"]:
            one[1] = 2**35

    yield sealed("an object called ../../etc/passwd", lambda body: body.update(objects=[["../../etc/passwd", 5]]))
    yield sealed("objects of 32 GiB that are not there", larger)
    yield sealed("an array of 2^46 rows", lambda body: first(body).update(rows=2**45, shape=[2**46, 1]))
    yield sealed(
        "100,000 arrays on the same bytes",
        lambda body: body["arrays"].update({f"/x{i}": first(body) for i in range(100_000)}),
    )
    yield sealed("a million keys", lambda body: body.update(keys=[f"k{i}" for i in range(1_000_000)]))
    yield sealed("bytes past the end of an object", lambda body: first(body)["segments"][0].__setitem__(1, 2**40))
    for what, text in _bad_json():
        yield Case("store", f"its JSON: {what}", partial(_with_text, forgery.store_with_json, text), readers)
    for file in ("versions/0001.json", "STORE.json"):
        brackets = partial(_overwritten, "store", f"store/{file}", b"[" * 10_000_000)
        yield Case("store", f"{file} of 10 MB of brackets", brackets, readers)
        yield Case("store", f"{file} of 1 TiB of holes", partial(_hollow, f"store/{file}"), readers)
    yield from _odd_files("store", ("store/versions/0001.json", "store/objects/*.safetensors"), readers)


def _odd_files(face: str, places: tuple[str, ...], readers: Mapping[str, Read]) -> Iterator[Case]:
    kinds: tuple[tuple[str, Callable[[Path], object]], ...] = (
        ("a pipe", os.mkfifo),
        ("a link to /dev/zero", forgery.zeros_link),
        ("a folder", os.mkdir),
    )
    for what, make in kinds:
        for place in places:
            swap = partial(_swapped, face, place, make)
            yield Case(face, f"{what} as {place.partition('/')[2]}", swap, readers)


def _swapped(face: str, place: str, make: Callable[[Path], object], folder: Path) -> None:
    forgery.in_place_of(face, folder, place, make)


def _with_text(make: Callable[[Path, bytes], object], text: bytes, folder: Path) -> None:
    make(folder, text)


def _update(key: str, more: Mapping[str, Any], body: Any) -> None:
    body[key].update(more)


def _overwritten(face: str, place: str, data: bytes, folder: Path) -> None:
    saved(face, folder)
    (folder / place).write_bytes(data)


def _hollow(place: str, folder: Path) -> None:
    saved("store", folder)
    forgery.holes(folder / place, b"{", 1 << 40)
