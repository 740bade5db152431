"""How are the manifests of many versions read without asking for one after the other?

A manifest never changes, so what was fetched once is kept as long as the store lists it with the same tag.
"""

from __future__ import annotations

from jamais.errors import StateError
from jamais.persistence.versions.remote.bucket import Bucket, Entry

FOLDER = "versions"
AT_ONCE = 16
_MOST_BYTES = 64 * 1024 * 1024


class Manifests:
    """The small files in versions/, by what was last listed there."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._listed: dict[str, Entry] = {}
        self._kept: dict[str, tuple[str, bytes]] = {}
        self._asked = 0

    def note(self, listed: list[Entry]) -> None:
        """Take what versions/ holds now; what is gone or has changed is forgotten."""
        self._listed = {one.name: one for one in listed if one.size and one.tag}
        self._kept = {name: kept for name, kept in self._kept.items() if self._is_now(name, kept[0])}
        self._asked = 0

    def get(self, name: str, limit: int) -> bytes | None:
        """Give a manifest, fetching its neighbours too once a second one is asked for; None if it is not listed."""
        one = self._listed.get(name)
        if one is None or (one.size or 0) > limit:
            return None
        if name not in self._kept:
            self._asked += 1
            self._fetch(self._neighbours(name) if self._asked > 1 else [name])
        return self._kept[name][1] if name in self._kept else None

    def _neighbours(self, name: str) -> list[str]:
        missing = sorted(one for one in self._listed if one not in self._kept)
        at = missing.index(name)
        wanted, room = [name], _MOST_BYTES
        for one in missing[max(0, at - AT_ONCE) : at + AT_ONCE]:
            room -= self._listed[one].size or 0
            if one != name and room >= 0:
                wanted.append(one)
        return wanted

    def _fetch(self, names: list[str]) -> None:
        sizes = [self._listed[name].size or 0 for name in names]
        try:
            fetched = self._bucket.get_files([f"{FOLDER}/{name}" for name in names], sizes)
        except (FileNotFoundError, StateError):
            return  # one of them is gone or cannot be read: the caller asks for its own alone
        if sum(len(data) for _, data in self._kept.values()) > _MOST_BYTES:
            self._kept = {}
        for name, data in zip(names, fetched, strict=True):
            self._kept[name] = (self._listed[name].tag, data)

    def _is_now(self, name: str, tag: str) -> bool:
        return name in self._listed and self._listed[name].tag == tag
