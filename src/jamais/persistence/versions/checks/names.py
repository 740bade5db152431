"""Do the names of versions mean something, and does the log tell how they came to?"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from jamais.errors import CorruptStateError, StateError
from jamais.persistence.versions import refs
from jamais.persistence.versions.checks.finding import ERROR, WARNING, Finding
from jamais.persistence.versions.place import Place
from jamais.persistence.versions.refs import Move


def is_name_file(file: str) -> bool:
    """Say whether a file in refs/ is one that names a version."""
    return file.endswith(".json") and refs.NAME.fullmatch(file.removesuffix(".json")) is not None


def check_names(place: Place, numbers: Collection[int], whole: Collection[int]) -> list[Finding]:
    """Say which names point nowhere or to damage, and what the log lacks; `whole` are the sound ones of `numbers`."""
    found: list[Finding] = []
    moves: dict[str, Move] = {}
    for file in sorted(filter(is_name_file, place.names("refs"))):
        where, name = f"refs/{file}", file.removesuffix(".json")
        again = f"jamais promote {place} N --as {name}"
        try:
            move = moves[name] = refs.parse(place.read(where, limit=refs.MAX_BYTES), where)
        except StateError as error:
            what = str(error).removeprefix(f"{place}/").removeprefix(f"{where}: ")
            found.append(Finding(ERROR, where, what, f"move the file away, then {again}"))
            continue
        if move.name != name:
            found.append(Finding(ERROR, where, f"is about the name {move.name[:80]!r}", again))
        if move.version is None:
            continue
        if move.version not in numbers:
            found.append(Finding(ERROR, where, f"means version {move.version}, which is not there", again))
        elif move.version not in whole:
            found.append(Finding(ERROR, where, f"means version {move.version}, which is damaged", again))
    return found + list(_check_log(place, moves))


def _check_log(place: Place, moves: dict[str, Move]) -> Iterator[Finding]:
    where = refs.LOG
    try:
        lines = place.lines(where)
    except StateError as error:
        yield Finding(ERROR, where, str(error).removeprefix(f"{place}/{where}: "), "put it back from a copy")
        return
    logged: list[Move] = []
    for number, line in enumerate(lines, start=1):
        try:
            logged.append(refs.parse(line, where))
        except CorruptStateError:
            what = f"line {number} is torn or damaged: it tells no move"
            yield Finding(WARNING, where, what, "nothing: the next move begins a line of its own")
    known = set(logged)
    for name, move in moves.items():
        if move not in known:
            what = f"does not tell that {name} came to mean {_meaning(move.version)}"
            yield Finding(WARNING, where, what, "nothing: the next move of a name writes it down")
    last: dict[str, int | None] = {}
    for move in logged:
        if move.name in last and last[move.name] != move.before:
            what = f"{move.name} went from {_meaning(move.before)} when it meant {_meaning(last[move.name])}"
            yield Finding(WARNING, where, f"{what}: moves between are missing", "look for a copy of the log")
        last[move.name] = move.version
    for name, version in last.items():
        if version is not None and name not in moves:
            what = f"{name} meant version {version}, and refs/{name}.json is gone"
            yield Finding(WARNING, where, what, f"jamais promote {place} {version} --as {name}, if it is still wanted")


def _meaning(version: int | None) -> str:
    return "nothing" if version is None else f"version {version}"
