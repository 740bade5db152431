"""In which face does a state lie at a path? Told by content; the suffix proves nothing."""

from __future__ import annotations

import enum
import os
from pathlib import Path

from jamais.errors import InputError
from jamais.persistence import files

_HEAD = 64
_OF_A_MODEL = (
    "MANIFEST.json",
    "config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


class Face(enum.Enum):
    """The shapes in which a state lies on a disk."""

    BINARY = "a binary state"
    JSON = "a JSON state"
    FOLDER = "a model folder"
    STORE = "a store of versions"


def face_of(path: str | Path) -> Face:
    """Tell the face at a path; raise InputError, with what it is instead, for anything that is none."""
    if isinstance(path, str) and "://" in path:
        return Face.STORE
    target = Path(path)
    if not os.path.lexists(target):
        raise InputError(f"{target}: no such file or folder")
    try:
        target = target.resolve(strict=True)
    except (OSError, RuntimeError) as error:  # a link that leads nowhere, or in a circle
        raise InputError(f"{path}: cannot be followed ({error})") from None
    if target.is_dir():
        return _folder(target)
    handle, size = files.open_plain(target)
    try:
        head = os.pread(handle, _HEAD, 0)
    finally:
        os.close(handle)
    return _file(target, head, size)


def _folder(target: Path) -> Face:
    if (target / "versions").is_dir():
        return Face.STORE
    if any((target / name).exists() for name in _OF_A_MODEL):
        return Face.FOLDER
    raise InputError(f"{target}: neither a store of versions nor a model folder: it has no versions/, no config.json")


def _file(target: Path, head: bytes, size: int) -> Face:
    if not size:
        raise InputError(f"{target}: is empty")
    # First: no text, read as the length of a header, fits into a file; but a length may look like a space and a brace.
    if len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size - 8:
        return Face.BINARY
    if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{":
        return Face.JSON
    if head[:4] == b"PK\x03\x04":
        what = "a zip or a file of torch.save"
        raise InputError(f"{target}: {what}: jamais reads those only as pytorch_model.bin in a folder")
    if head[:1] == b"\x80":
        raise InputError(f"{target}: a pickle: reading it could run code, so jamais never does; save it anew")
    if head[:6] == b"\x93NUMPY":
        raise InputError(f"{target}: an array of numpy, not a state")
    raise InputError(f"{target}: neither binary nor JSON state: it begins with {head[:8]!r}")
