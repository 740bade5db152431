"""How is a dict of arrays a pytorch_model.bin, and how is one read without trusting its pickle?

It is the one pickle container that is ever read. Before torch sees it: its zip must be stored, not compressed, and
no larger than the file, and its pickle may name nothing but what plain tensors are made of. Then torch reads it
with `weights_only=True`.
"""

from __future__ import annotations

import os
import pickletools
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import ml_dtypes  # noqa: F401  registers bfloat16 and float8 with numpy
import numpy as np

from jamais.errors import CorruptStateError, StateError
from jamais.persistence import files
from jamais.persistence.dtypes import BY_NAME, NAMES, AnyArray

if TYPE_CHECKING:
    import torch

MAX_TENSORS = 16_384
"""Every member of a zip becomes an object before anything of it can be looked at."""
_MAX_DIRECTORY = 16 * 1024 * 1024
_MAX_PICKLE = 16 * 1024 * 1024
_TORCH_NAMES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
}
_STORAGES = ("Double", "Float", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
_ALLOWED = frozenset(
    ["collections OrderedDict", "torch.storage UntypedStorage"]
    + [f"torch._utils _rebuild_{what}" for what in ("tensor_v2", "tensor_v3", "parameter")]
    + [f"torch {name}Storage" for name in _STORAGES]
    + [f"torch {name}" for name in _TORCH_NAMES.values()]
)
# What zipfile raises for damage; NotImplementedError is its word for a way of packing it does not know.
_BROKEN_ZIP = (zipfile.BadZipFile, struct.error, OSError, EOFError, NotImplementedError, RuntimeError)
_RUNS = ("STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID")


def tensor_of(array: AnyArray) -> torch.Tensor:
    """Give a tensor with the same bits; the memory is shared where the array may be written to."""
    import torch

    name = _TORCH_NAMES[NAMES[array.dtype]]
    if not hasattr(torch, name):
        raise StateError(f"torch {torch.__version__} has no {name}: use a newer torch, or keep it in .safetensors")
    flat = np.asarray(array, order="C")
    if not flat.flags.writeable:
        flat = flat.copy()
    if array.dtype.isbuiltin == 1:
        return torch.from_numpy(flat)
    return torch.from_numpy(flat.view(f"i{array.itemsize}")).view(getattr(torch, name))


def array_of(tensor: torch.Tensor) -> AnyArray:
    """Give a numpy array with the same bits, on the CPU, sharing memory where that can be."""
    import torch

    plain = tensor.detach().cpu()
    if plain.layout != torch.strided or plain.is_quantized:
        raise StateError(f"a tensor of layout {plain.layout} is kept nowhere: make it dense")
    name = str(plain.dtype).removeprefix("torch.")
    known = {theirs: BY_NAME[ours] for ours, theirs in _TORCH_NAMES.items()}
    if name not in known:
        raise StateError(f"a tensor of dtype {name} is kept nowhere: use {', '.join(known)}")
    plain = plain.resolve_conj().resolve_neg()
    if known[name].isbuiltin == 1:
        made: AnyArray = plain.numpy()
        return made
    bits = plain.view({1: torch.int8, 2: torch.int16}[plain.element_size()])
    return bits.numpy().view(known[name])


def write_torch(handle: int, arrays: Mapping[str, AnyArray]) -> None:
    """Write plain tensors to an open, empty file as `torch.save` does; raise StateError for too many."""
    import torch

    if len(arrays) > MAX_TENSORS:
        raise StateError(f"{len(arrays)} tensors, at most {MAX_TENSORS} go into a .bin: use .safetensors")
    with os.fdopen(os.dup(handle), "wb") as stream:
        torch.save({name: tensor_of(array) for name, array in arrays.items()}, stream)


def read_torch(path: Path) -> dict[str, AnyArray]:
    """Read a dict of plain tensors; raise CorruptStateError for any other content, before torch sees it."""
    handle, size = files.open_plain(path)
    with os.fdopen(handle, "rb") as stream:
        check_torch(stream, size, str(path))
        import torch  # not before it is worth the seconds

        stream.seek(0)
        try:
            found = torch.load(stream, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises nearly every kind for a damaged file
            said = str(error).split("\n")[0][:200]
            raise CorruptStateError(f"{path}: torch cannot read it ({type(error).__name__}: {said})") from None
    return _plain(found, size, path)


def check_torch(stream: BinaryIO, size: int, where: str) -> None:
    """Raise CorruptStateError unless this is a stored zip of plain tensors whose pickle names nothing else."""
    stream.seek(0)
    if stream.read(4) != b"PK\x03\x04":
        raise CorruptStateError(
            f"{where}: not a zip of torch.save (a bare pickle is never read): save it again with torch >= 1.6"
        )
    _small_directory(stream, size, where)
    try:
        with zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
            _only_stored(members, size, where)
            pickles = [one for one in members if one.filename.endswith("data.pkl")]
            if len(pickles) != 1 or pickles[0].file_size > _MAX_PICKLE:
                raise CorruptStateError(f"{where}: has {len(pickles)} pickles, or too large a one")
            _only_tensors(archive.read(pickles[0]), where)
    except (*_BROKEN_ZIP, ValueError) as error:
        if isinstance(error, CorruptStateError):
            raise
        raise CorruptStateError(f"{where}: not a whole zip ({error})") from None


def _small_directory(stream: BinaryIO, size: int, where: str) -> None:
    # Python builds an object of every entry before anything can be counted.
    stream.seek(max(0, size - 22))
    end = stream.read(22)
    if len(end) < 22 or end[:4] != b"PK\x05\x06":
        raise CorruptStateError(f"{where}: its end is missing")
    length = struct.unpack("<I", end[12:16])[0]
    stream.seek(max(0, size - 22 - 20 - 56))
    wide = stream.read(56)  # there only where a number above is too large for its field
    if wide[:4] == b"PK\x06\x06":
        length = max(length if length != 0xFFFFFFFF else 0, struct.unpack("<Q", wide[40:48])[0])
    if length > min(_MAX_DIRECTORY, size):
        raise CorruptStateError(f"{where}: a directory of {length} bytes in a file of {size}")
    stream.seek(max(0, size - length - 22 - 20 - 56))
    if stream.read(length + 76).count(b"PK\x01\x02") > MAX_TENSORS + 64:
        raise CorruptStateError(f"{where}: more than {MAX_TENSORS} tensors")


def _only_stored(members: list[zipfile.ZipInfo], size: int, where: str) -> None:
    if len(members) > MAX_TENSORS + 64:
        raise CorruptStateError(f"{where}: more than {MAX_TENSORS} tensors")
    if any(one.compress_type != zipfile.ZIP_STORED or one.file_size != one.compress_size for one in members):
        raise CorruptStateError(f"{where}: a compressed zip, torch.save writes none: it could unpack to any size")
    if sum(one.file_size for one in members) > size or len({one.filename for one in members}) != len(members):
        raise CorruptStateError(f"{where}: a zip whose members overlap")


def _only_tensors(pickle: bytes, where: str) -> None:
    """Look at the pickle's instructions without following them."""
    try:
        for instruction, argument, _ in pickletools.genops(pickle):
            named = str(argument) if instruction.name == "GLOBAL" else instruction.name
            if (instruction.name == "GLOBAL" and named not in _ALLOWED) or instruction.name in _RUNS:
                raise CorruptStateError(
                    f"{where}: its pickle names {named[:80]!r}, only plain tensors are read: nothing of it was run"
                )
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        if isinstance(error, CorruptStateError):
            raise
        raise CorruptStateError(f"{where}: its pickle is broken ({error})") from None


def _plain(found: Any, size: int, path: Path) -> dict[str, AnyArray]:
    """Turn what torch read into arrays; those that share all their memory stay one array."""
    import torch

    if not isinstance(found, dict):
        raise CorruptStateError(f"{path}: holds {type(found).__name__}, wanted a dict of tensors")
    arrays: dict[str, AnyArray] = {}
    met: dict[tuple[Any, ...], AnyArray] = {}
    total = 0
    for name, tensor in found.items():
        if type(name) is not str or not isinstance(tensor, torch.Tensor):
            raise CorruptStateError(f"{path}: {str(name)[:80]!r} is no tensor: only a dict of tensors is read")
        place = (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())
        if place not in met or not tensor.numel():
            # A tensor may claim strides of 0 over one number: count before a copy of it is made.
            total += tensor.numel() * tensor.element_size()
            if total > size:
                raise CorruptStateError(f"{path}: tensor {name[:80]} and those before say more than the file's {size}")
            try:
                met[place] = array_of(tensor)
            except StateError as error:
                raise CorruptStateError(f"{path}: tensor {name[:80]}: {error}") from None
        arrays[name] = met[place]
    return arrays
