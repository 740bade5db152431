"""How does an older version become current, for a watcher and for any other store?"""

from __future__ import annotations

from jamais import registry
from jamais.cli import kept
from jamais.cli.versions.where import Where, refusals, store_at
from jamais.persistence import VersionStore


def rolled_back(folder: str, version: str, only: str | None) -> tuple[int, int]:
    """Save the content of a version, or of one part of it, as the newest: its number, and that of the old one."""
    with refusals(folder):
        store = store_at(folder)
        content_of = store.info(version).number
        if store.info(content_of).kind not in registry.kinds():
            return _rolled_back(store, folder, content_of, only), content_of
        watcher = kept.load(folder)
        watcher.rollback(content_of, only=only)
        return watcher.save(), content_of


def _rolled_back(store: VersionStore, folder: str, number: int, only: str | None) -> int:
    from jamais.persistence.component import grafted

    newest = store.current  # before reading: what somebody saves meanwhile must not be hidden unseen
    tree, info = store.load(number, full=True)
    if only is None:
        reason, metrics = f"rollback to version {number}", info.metrics
    else:
        tree = grafted(Where(folder).read()[0], only, tree)
        reason, metrics = f"rollback of {only} to version {number}", {}
    return store.commit(tree, reason=reason, kind=info.kind, metrics=metrics, parent=newest)
