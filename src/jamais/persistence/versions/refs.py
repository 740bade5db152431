"""Which version bears which name (`best`, `production`, a pin), and who gave it the name, when and why?

refs/best.json   what the name means now, with the reason
refs/log.jsonl   every move, one JSON object a line, only ever added to
"""

from __future__ import annotations

import getpass
import json
import os
import re
from dataclasses import asdict, dataclass
from typing import Any

from jamais.errors import CorruptStateError, InputError
from jamais.persistence import json_text
from jamais.persistence.versions.place import Place

LAST = "last"
"""The name of the newest good version; it moves by itself."""
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,60}")
LOG = "refs/log.jsonl"
MAX_BYTES = 64 * 1024
MAX_WHY = 4000
"""Characters of a reason that a move keeps; the manifest has the whole."""


@dataclass(frozen=True)
class Move:
    """One move of a name: from which version (None: it is new) to which (None: it is gone)."""

    name: str
    version: int | None
    before: int | None
    time: str
    who: str
    why: str


def check_name(name: str) -> None:
    """Raise InputError for a name that cannot be given."""
    if not NAME.fullmatch(name) or name in (LAST, "log"):
        raise InputError(
            f"{name!r} cannot name a version: use letters and digits, not {LAST!r}: for example production"
        )


def read(place: Place) -> dict[str, Move]:
    """Read all names; where a file is damaged, the last move of that name in the log counts."""
    return {name: move for name, move in _all(place).items() if move.version is not None}


def _all(place: Place) -> dict[str, Move]:
    """Read all names, also those that were taken away."""
    found: dict[str, Move] = {}
    logged: dict[str, Move] | None = None
    for file in sorted(place.names("refs")):
        name = file.removesuffix(".json")
        if not file.endswith(".json") or not NAME.fullmatch(name):
            continue
        try:
            found[name] = parse(place.read(f"refs/{file}", limit=MAX_BYTES), f"{place}/refs/{file}")
        except CorruptStateError:  # fsck tells
            logged = {one.name: one for one in log(place)} if logged is None else logged
            if name in logged:
                found[name] = logged[name]
    return found


def move(place: Place, name: str, version: int | None, why: str, time: str) -> Move:
    """Let a name mean another version, or none; the store is locked, and the log follows."""
    check_name(name)
    _mend_log(place)
    known = read(place).get(name)
    why = why if len(why) <= MAX_WHY else f"{why[:MAX_WHY]}…"
    why = why.encode("utf-8", "replace").decode()  # a lone surrogate from a file name
    made = Move(name, version, known.version if known else None, time, _who(), why)
    line = json_text.dump(asdict(made), canonical=True)
    place.put(f"refs/{name}.json", line + b"\n")
    place.append(LOG, line)
    return made


def log(place: Place) -> list[Move]:
    """Give all moves, oldest first; a line torn by a power cut is left out."""
    moves = []
    for line in place.lines(LOG):
        try:
            moves.append(parse(line, LOG))
        except CorruptStateError:
            continue
    return sorted(moves, key=lambda move: move.time)  # lines of a store that was copied and went on in two places


def _mend_log(place: Place) -> None:
    """Add moves that a kill kept out of the log: a name is moved first and the line written after."""
    logged = set(log(place))
    for one in _all(place).values():
        if one not in logged:
            place.append(LOG, json_text.dump(asdict(one), canonical=True))


def parse(data: bytes, where: str) -> Move:
    """Read a move from JSON; raise CorruptStateError when it is none."""
    raw: Any = json_text.parse(data, where)
    try:
        made = Move(**raw)
        whole = all(type(value) is str for value in (made.name, made.time, made.who, made.why))
        if not whole or not all(value is None or type(value) is int for value in (made.version, made.before)):
            raise TypeError("other types")
    except TypeError as error:
        raise CorruptStateError(f"{where}: does not say which version a name means ({error})") from None
    return made


def _who() -> str:
    try:
        return f"{getpass.getuser()}@{os.uname().nodename}"
    except (KeyError, OSError):
        return f"{os.getuid()}@{os.uname().nodename}"


def as_json(one: Move) -> str:
    """Give a move as one line of JSON."""
    return json.dumps(asdict(one), ensure_ascii=False)
