"""Which states can a disk be in after the power fails? A model of strict POSIX, fed with real calls.

What is certain: the data of a file as of its last fsync, and the names in a folder as of that folder's last
fsync. Of the name changes since then any prefix may have happened; of the data since then nothing, half or
all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Node:
    """A file (`names` is None) or a folder: as the program sees it, and as it is certain to be."""

    def __init__(self, folder: bool) -> None:
        self.names: dict[str, Node] | None = {} if folder else None
        self.sure_names: dict[str, Node] = {}
        self.data, self.sure_data = b"", b""


class Disk:
    """Watch the `os` calls under `root`; after each one `states` tells what a crash there could leave."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.top = _as_on_disk(root)
        self.pending: list[tuple[Node, dict[str, Node | None]]] = []
        self.handles: dict[int, Node] = {}
        self.offsets: dict[int, int] = {}

    def watch(self, patch: Any) -> None:
        """Replace the `os` functions through a pytest monkeypatch."""
        for name in ("open", "write", "lseek", "fsync", "rename", "link", "mkdir", "unlink", "rmdir"):
            patch.setattr(os, name, self._watched(getattr(os, name), getattr(self, f"_{name}")))

    def states(self) -> Iterator[dict[str, bytes | None]]:
        """Give {relative path: bytes, or None for a folder} for every way to lose what was not flushed."""
        for kept in range(len(self.pending) + 1):
            names: dict[int, dict[str, Node]] = {}
            for node, change in self.pending[:kept]:
                here = names.setdefault(id(node), dict(node.sure_names))
                for name, target in change.items():
                    if target is None:
                        here.pop(name, None)
                    else:
                        here[name] = target
            for share in (0.0, 0.5, 1.0):
                found: dict[str, bytes | None] = {}
                _walk(self.top, "", names, share, found)
                yield found

    def _watched(self, real: Any, note: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            result = real(*args, **kwargs)
            note(result, *args)
            return result

        return call

    def _at(self, path: Any) -> tuple[Node, str]:
        node, parts = self.top, Path(path).relative_to(self.root).parts
        for part in parts[:-1]:
            assert node.names is not None
            node = node.names[part]
        return node, parts[-1] if parts else ""

    def _get(self, path: Any) -> Node:
        node, name = self._at(path)
        assert node.names is not None
        return node.names[name] if name else node

    def _change(self, node: Node, change: dict[str, Node | None]) -> None:
        assert node.names is not None
        for name, target in change.items():
            if target is None:
                del node.names[name]
            else:
                node.names[name] = target
        self.pending.append((node, change))

    def _open(self, handle: int, path: Any, flags: int, *_: Any) -> None:
        if not Path(path).is_relative_to(self.root):
            return
        node, name = self._at(path)
        assert node.names is not None
        if name and name not in node.names:
            self._change(node, {name: Node(folder=False)})
        self.handles[handle] = self._get(path)
        self.offsets[handle] = len(self.handles[handle].data) if flags & os.O_APPEND else 0

    def _write(self, done: int, handle: int, data: Any) -> None:
        node, at = self.handles[handle], self.offsets[handle]
        node.data = node.data[:at] + bytes(data[:done]) + node.data[at + done :]
        self.offsets[handle] = at + done

    def _lseek(self, offset: int, handle: int, *_: Any) -> None:
        self.offsets[handle] = offset

    def _fsync(self, _: None, handle: int) -> None:
        node = self.handles[handle]
        if node.names is None:
            node.sure_data = node.data
        else:
            node.sure_names = dict(node.names)
            self.pending = [(other, change) for other, change in self.pending if other is not node]

    def _rename(self, _: None, source: Any, target: Any) -> None:
        (folder, old), (same_folder, new) = self._at(source), self._at(target)
        assert folder is same_folder, "a rename between folders would need two flushes"
        self._change(folder, {old: None, new: self._get(source)})

    def _link(self, _: None, source: Any, target: Any) -> None:
        node, name = self._at(target)
        self._change(node, {name: self._get(source)})

    def _mkdir(self, _: None, path: Any, *__: Any) -> None:
        node, name = self._at(path)
        self._change(node, {name: Node(folder=True)})

    def _unlink(self, _: None, path: Any) -> None:
        node, name = self._at(path)
        self._change(node, {name: None})

    _rmdir = _unlink


def write_out(state: Any, folder: Path) -> None:
    """Make a state of the model real."""
    folder.mkdir()
    for name, data in state.items():
        if data is None:
            (folder / name).mkdir()
        else:
            (folder / name).write_bytes(data)


def _as_on_disk(path: Path) -> Node:
    node = Node(folder=path.is_dir())
    if node.names is None:
        node.data = node.sure_data = path.read_bytes()
    else:
        node.names = {inside.name: _as_on_disk(inside) for inside in path.iterdir()}
        node.sure_names = dict(node.names)
    return node


def _walk(
    node: Node, path: str, names: dict[int, dict[str, Node]], share: float, found: dict[str, bytes | None]
) -> None:
    for name, inside in sorted(names.get(id(node), node.sure_names).items()):
        here = f"{path}{name}"
        if inside.names is None:
            # Any prefix of what was not flushed may be there, over what was.
            kept = int(len(inside.data) * share) if inside.data != inside.sure_data else 0
            found[here] = inside.data[:kept] + inside.sure_data[kept:]
        else:
            found[here] = None
            _walk(inside, here + "/", names, share, found)
