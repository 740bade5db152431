"""How does a version's content become objects, without writing again what is there already?

An object is a file whose name is the sha256 of its bytes: a safetensors file of segments, or JSON. Large arrays are
cut every so many rows, so a memory that grew by a row costs its last segment, and an encoder that did not change
costs nothing. New segments of one part of the state go into one file together: one flush each, not one a segment.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jamais.errors import CorruptStateError
from jamais.persistence import digests, files, json_text
from jamais.persistence.digests import Bytes, Hasher
from jamais.persistence.dtypes import BY_NAME, NAMES, AnyArray, as_bytes, empty
from jamais.persistence.tensor_file import write_tensors
from jamais.persistence.versions.manifest import ArrayEntry, Manifest, ObjectEntry, Segment
from jamais.persistence.versions.place import Place

SEGMENT_BYTES = 1024 * 1024
"""Large enough for few entries in a manifest, small enough that a changed row costs little."""
SMALL_BYTES = 64 * 1024
"""A part of the state, or a value in its JSON, below this does not get a file of its own."""
MOST_FILES = 32
"""Files that one part may be scattered over before it is written together again."""

DigestLater = Callable[[Hasher, Bytes], None]


@dataclass(frozen=True)
class _Piece:
    """One segment to be kept: rows of the array at `path` from `first` on."""

    path: str
    first: int
    rows: AnyArray
    digest: str

    @property
    def name(self) -> str:
        return f"{self.path}@{self.first}"


@dataclass(frozen=True)
class _Spot:
    """Where a segment lies: in which object, or draft of one, of which size, and from which byte on."""

    file: str
    size: int
    offset: int
    digest: str


class Packer:
    """Puts one version's content into objects, taking over what older versions have. Use it once."""

    def __init__(self, place: Place, older: list[Manifest]) -> None:
        self._place = place
        self._known = _Known(older)
        self._listed: dict[str, int] = {}
        self._sizes: list[int] = []
        self._drafts: dict[str, Path] = {}
        self._wholes: dict[str, Hasher] = {}
        self.written_bytes = 0

    def json(self, plain: Mapping[str, Any]) -> tuple[int, ...]:
        """Keep a JSON object, each large value in a file of its own; give the numbers of the files."""
        large, small = [], {}
        for key, value in plain.items():
            data = json_text.dump({key: value})
            if len(data) >= SMALL_BYTES:
                large.append(data)
            else:
                small[key] = value
        return tuple(self._keep_json(data) for data in [json_text.dump(small), *large])

    def arrays(self, arrays: Mapping[str, AnyArray]) -> dict[str, ArrayEntry]:
        """Keep arrays; give where each of them lies."""
        cut = {path: _cut(array) for path, array in arrays.items()}
        parts: dict[str, list[_Piece]] = {}
        for path, array in arrays.items():
            parts.setdefault(_part(path), []).extend(_pieces(path, array, cut[path]))
        found: dict[str, list[_Spot]] = {path: [] for path in arrays}
        with digests.meanwhile() as one, digests.meanwhile() as other:  # a file is digested while the next is written
            for pieces, digest_later in zip(_pooled(parts), itertools.cycle((one, other)), strict=False):
                for piece, spot in zip(pieces, self._keep_part(pieces, digest_later), strict=True):
                    found[piece.path].append(spot)
        names = self._name_drafts()
        return {
            path: ArrayEntry(
                NAMES[array.dtype],
                array.shape,
                cut[path],
                tuple(
                    Segment(self._number(names.get(spot.file, spot.file), spot.size), spot.offset, spot.digest)
                    for spot in found[path]
                ),
            )
            for path, array in arrays.items()
        }

    def objects(self) -> tuple[ObjectEntry, ...]:
        """Give all files of this version in the order of their numbers."""
        return tuple(ObjectEntry(name, size) for name, size in zip(self._listed, self._sizes, strict=True))

    def adopt(self) -> list[str]:
        """Make the finished drafts objects; give the new ones that nobody else can rely on yet."""
        fresh: list[str] = []
        if not self._place.grace_s:
            fresh = [f"objects/{name}" for name in self._drafts if self._place.size(f"objects/{name}") is None]
        while self._drafts:
            name, draft = self._drafts.popitem()
            self._place.adopt(draft, f"objects/{name}")
        return fresh

    def discard(self) -> None:
        """Remove drafts that did not become objects."""
        for draft in self._drafts.values():
            with contextlib.suppress(OSError):
                files.remove(draft)

    def _keep_part(self, pieces: list[_Piece], digest_later: DigestLater) -> list[_Spot]:
        """Keep the segments of one part: the known ones where they are, the new ones in one new file."""
        with _Reader(self._place) as reader:
            places = [self._known.take(piece, reader) for piece in pieces]
        new = [i for i, place in enumerate(places) if place is None]
        # A rotten file is written anew as a whole: if it was this part and no more, it is healed for all versions.
        if reader.rotten or (new and self._scattered(pieces, places)):
            new = list(range(len(pieces)))
        spots: dict[int, _Spot] = {}
        if new:
            file, size, starts = self._write([pieces[i] for i in new], digest_later)
            spots = {i: _Spot(file, size, start, pieces[i].digest) for i, start in zip(new, starts, strict=True)}
        for i, place in enumerate(places):
            if place is not None and i not in spots:
                spots[i] = _Spot(*place, pieces[i].digest)
        return [spots[i] for i in range(len(pieces))]

    def _scattered(self, pieces: list[_Piece], places: list[tuple[str, int, int] | None]) -> bool:
        """Say whether a part is better written as a whole: it is small, lies in many files, or half of them is dead."""
        if _size(pieces) < SMALL_BYTES:
            return True
        sizes = {place[0]: place[1] for place in places if place}
        alive = sum(piece.rows.nbytes for piece, place in zip(pieces, places, strict=True) if place)
        return len(sizes) >= MOST_FILES or sum(sizes.values()) > 2 * alive + SMALL_BYTES

    def _write(self, pieces: list[_Piece], digest_later: DigestLater) -> tuple[str, int, list[int]]:
        """Write segments as one draft; give its name and size, and where in it each begins."""
        draft = self._place.drafts() / f"{files.TEMPORARY}{secrets.token_hex(8)}"
        self._drafts[draft.name] = draft
        self._wholes[draft.name] = hashlib.sha256()
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            starts = write_tensors(
                handle,
                {piece.name: piece.rows for piece in pieces},
                {},
                known={piece.name: piece.digest for piece in pieces},
                whole=self._wholes[draft.name],
                digest_later=digest_later,
            )
            size = os.fstat(handle).st_size
        finally:
            os.close(handle)
        self.written_bytes += size
        return draft.name, size, [starts[piece.name] for piece in pieces]

    def _name_drafts(self) -> dict[str, str]:
        """Name each file of segments after its sha256; give the names by those of the drafts."""
        names = {draft: f"{whole.hexdigest()}.safetensors" for draft, whole in self._wholes.items()}
        self._wholes.clear()
        for draft, name in names.items():
            self._drafts[name] = self._drafts.pop(draft)
        return names

    def _keep_json(self, data: bytes) -> int:
        name = f"{digests.sha256(data)}.json"
        if name not in self._drafts and not self._whole(name, data):
            draft = self._place.drafts() / f"{files.TEMPORARY}{secrets.token_hex(8)}"
            self._drafts[name] = draft
            files.write(draft, data)
            self.written_bytes += len(data)
        return self._number(name, len(data))

    def _whole(self, name: str, data: bytes) -> bool:
        if self._place.size(f"objects/{name}") != len(data):
            return False
        try:
            return self._place.read(f"objects/{name}", limit=len(data)) == data
        except CorruptStateError:
            return False

    def _number(self, name: str, size: int) -> int:
        if name not in self._listed:
            self._listed[name] = len(self._sizes)
            self._sizes.append(size)
        return self._listed[name]


class _Known:
    """Which bytes lie where in the objects of older versions. Each place is given out once."""

    def __init__(self, older: list[Manifest]) -> None:
        self._places: dict[tuple[str, int], list[tuple[str, int, int]]] = {}
        seen: set[tuple[str, int]] = set()
        for manifest in older:
            for entry in manifest.arrays.values():
                for length, segment in zip(entry.lengths(), entry.segments, strict=True):
                    one = manifest.objects[segment.object]
                    if (one.name, segment.offset) not in seen:
                        seen.add((one.name, segment.offset))
                        place = (one.name, one.size, segment.offset)
                        self._places.setdefault((segment.digest, length), []).append(place)

    def take(self, piece: _Piece, reader: _Reader) -> tuple[str, int, int] | None:
        """Give object, its size and the offset of these very bytes; they are read, as a disk can rot."""
        candidates = self._places.get((piece.digest, piece.rows.nbytes), [])
        while candidates:
            name, size, offset = candidates.pop(0)
            if reader.holds(name, size, offset, piece):
                return name, size, offset
        return None


class _Reader(contextlib.ExitStack):
    """Keeps objects open while many segments of them are compared."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self._place = place
        self.rotten = False
        self._opened: dict[str, Any] = {}
        self._buffer = bytearray()

    def holds(self, name: str, size: int, offset: int, piece: _Piece) -> bool:
        """Say whether these bytes are on the disk now."""
        try:
            if name not in self._opened:
                self._opened[name] = self.enter_context(self._place.opened(f"objects/{name}"))
            opened = self._opened[name]
            if opened.size == size and opened.was_compared(offset, piece.digest):
                return True
            if len(self._buffer) < piece.rows.nbytes:
                self._buffer = bytearray(piece.rows.nbytes)
            target = memoryview(self._buffer)[: piece.rows.nbytes]
            opened.read_into(target, offset)
            found: bool = opened.size == size and digests.fast(target) == piece.digest
            if found:
                opened.note_compared(offset, piece.digest)
        except CorruptStateError:
            found = False
        self.rotten |= not found
        return found


def _cut(array: AnyArray) -> int:
    """Give the rows of a segment; 0 for an array that is not cut."""
    if array.nbytes <= SEGMENT_BYTES or array.shape[0] < 2:
        return 0
    row_bytes: int = array.nbytes // array.shape[0]
    return max(1, SEGMENT_BYTES // row_bytes)


def _pieces(path: str, array: AnyArray, rows: int) -> Iterator[_Piece]:
    if array.nbytes:
        for first in range(0, array.shape[0] if rows else 1, rows or 1):
            part = array[first : first + rows] if rows else array
            yield _Piece(path, first, part, digests.fast(as_bytes(part)))


def _part(path: str) -> str:
    """Give the part of the state a path belongs to, two names deep: `/meaning/memory`, `/optimizer/state`."""
    return "/".join(path.split("/")[:-1][:3])


def _pooled(parts: Mapping[str, list[_Piece]]) -> list[list[_Piece]]:
    """Put small parts together into one; the largest comes first, as its sha256 takes the longest."""
    pools: list[list[_Piece]] = []
    small: list[_Piece] = []
    for pieces in parts.values():
        if _size(pieces) < SMALL_BYTES:
            small += pieces
        else:
            pools.append(pieces)
    return sorted([*pools, small] if small else pools, key=_size, reverse=True)


def _size(pieces: list[_Piece]) -> int:
    return sum(piece.rows.nbytes for piece in pieces)


def read_array(entry: ArrayEntry, objects: list[Any], where: str, path: str) -> AnyArray:
    """Read an array from opened objects and compare each segment with its digest.

    Raises CorruptStateError naming object and array. The manifest has been checked: it cannot ask for more memory
    than its objects have bytes.
    """
    array = empty(BY_NAME[entry.dtype], entry.shape, f"{where}: array {path}")
    target, at = as_bytes(array), 0
    for length, segment in zip(entry.lengths(), entry.segments, strict=True):
        opened, name = objects[segment.object]
        part = target[at : at + length]
        opened.read_into(part, segment.offset)
        if digests.fast(part) != segment.digest:
            raise CorruptStateError(f"{where}/objects/{name}: array {path}: not the bytes that were written")
        opened.note_compared(segment.offset, segment.digest)
        at += length
    return array
