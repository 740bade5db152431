"""Is everything in a store in order? What `jamais fsck` asks; it only reads."""

from __future__ import annotations

from dataclasses import replace

from jamais.errors import CorruptStateError
from jamais.persistence.versions.checks import names, order
from jamais.persistence.versions.checks.content import check_versions
from jamais.persistence.versions.checks.finding import ERROR, NOTE, WARNING, Finding, way_out, whole_versions
from jamais.persistence.versions.place import STORE_FILE
from jamais.persistence.versions.store import VersionStore
from jamais.types import Listener, silent

_LEVELS = {ERROR: 0, WARNING: 1, NOTE: 2}


def examine(store: VersionStore, *, full: bool = True, on_event: Listener = silent) -> list[Finding]:
    """Look at every file of a store and say what is not as it should be, the worst first, with the next step.

    Raises InputError where there is no store, StateError where it is a newer jamais's. `full=False` compares fast
    digests of the arrays only.
    """
    place, shelf = store.place, store.shelf
    found: list[Finding] = []
    try:
        store.check_format()
    except CorruptStateError as error:
        what = str(error).removeprefix(f"{place}/{STORE_FILE}: ").partition(": put back")[0]
        step = "put it back from a copy, or remove it: the next save writes it again"
        found.append(Finding(ERROR, STORE_FILE, what, step))
    listed = place.files("objects")  # before the versions: what is saved meanwhile must not look like waste
    numbers = shelf.existing()
    damage, manifests = check_versions(place, shelf, full=full, on_event=on_event)
    whole = whole_versions(numbers, damage)
    step = way_out(place, numbers, set(numbers) - set(whole))
    found += [replace(one, next_step=one.next_step or step) for one in damage]
    found += names.check_names(place, numbers, whole)
    found += order.check_store_file(place, manifests)
    unread = [number for number in numbers if number not in manifests and not shelf.is_old(number)]
    found += order.check_orphans(place, listed, manifests, all_read=not unread)
    found += order.check_strangers(place, numbers)
    found += order.check_descent(shelf, numbers, manifests)
    known = {one.where for one in found}
    found += [one for one in order.check_rights(place) if one.where not in known]
    return sorted(found, key=lambda one: (_LEVELS[one.level], one.where))
