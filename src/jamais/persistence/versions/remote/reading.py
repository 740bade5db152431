"""How are the bytes of an object fetched: not all at once, not in a thousand small pieces, and not twice?"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict

from jamais.errors import CorruptStateError
from jamais.persistence.versions.remote.bucket import Bucket, Entry

BLOCK_BYTES = 4 * 1024 * 1024
"""Asked for at a time: large against a round trip, small against the RAM."""
AHEAD = 4
"""Blocks asked for at once when an object is read from front to back."""
_KEPT = 8
_FRESH_S = 60.0
"""So long a block counts as what lies there; who verifies a store hours later reads it again."""


class Blocks:
    """The blocks fetched last, of all objects together: 32 MiB at most."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._kept: OrderedDict[tuple[str, int], tuple[float, bytes]] = OrderedDict()

    def get(self, name: str, key: str, number: int, size: int) -> bytes:
        """Give one block of an object; nothing past its end. `key` names this state of the object."""
        at, found = self._kept.get((key, number), (0.0, b""))
        if not found or time.monotonic() - at > _FRESH_S:
            found = self._fetch(name, key, number, size, AHEAD if (key, number - 1) in self._kept else 1)
        return found

    def _fetch(self, name: str, key: str, number: int, size: int, most: int) -> bytes:
        starts = range(number * BLOCK_BYTES, min(size, (number + most) * BLOCK_BYTES), BLOCK_BYTES)
        ranges = [(start, min(size, start + BLOCK_BYTES)) for start in starts]
        if not ranges:
            return b""
        try:
            fetched = self._bucket.get(name, ranges)
        except FileNotFoundError:
            raise CorruptStateError(f"{self._bucket.url}/{name}: missing") from None
        for i, ((start, end), block) in enumerate(zip(ranges, fetched, strict=True)):
            if len(block) != end - start:
                raise CorruptStateError(f"{self._bucket.url}/{name}: not the {end - start} bytes asked for at {start}")
            self._kept[key, number + i] = (time.monotonic(), block)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return fetched[0]


class OpenObject:
    """An object open for reading, and what of it was compared with its digests since it last changed."""

    def __init__(self, blocks: Blocks, where: str, name: str, entry: Entry, compared: set[tuple[int, str]]) -> None:
        self.size = entry.size or 0
        self._blocks = blocks
        self._where = where
        self._name = name
        self._key = f"{name} {entry.tag or secrets.token_hex(8)}"
        self._compared = compared

    def read_into(self, target: memoryview, offset: int) -> None:
        done = 0
        while done < len(target):
            number, at = divmod(offset + done, BLOCK_BYTES)
            part = self._blocks.get(self._name, self._key, number, self.size)[at : at + len(target) - done]
            if not part:
                raise CorruptStateError(f"{self._where}: ends at {self.size}, before {offset + len(target)}")
            target[done : done + len(part)] = part
            done += len(part)

    def was_compared(self, offset: int, digest: str) -> bool:
        return (offset, digest) in self._compared

    def note_compared(self, offset: int, digest: str) -> None:
        self._compared.add((offset, digest))
