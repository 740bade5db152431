"""What did the user type: data, settings and labels as the library wants them?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jamais.errors import InputError


def data(paths: Sequence[str]) -> Any:
    """Give what `DATA…` names: one path, or a list that is one stream in the order given."""
    # As paths, so that a misspelt name is never mistaken for a line of text.
    given = [path if path == "-" else Path(path) for path in paths]
    return given[0] if len(given) == 1 else given


def limits(given: Iterable[str]) -> dict[str, str]:
    """Read `--limit NAME=VALUE`, limits of the guard for one update."""
    pairs = [one.partition("=") for one in given]
    for name, equals, value in pairs:
        if not (equals and name.strip() and value.strip()):
            raise InputError(f"--limit wants NAME=VALUE, got {name + equals + value!r}: for example looks_abnormal=1")
    return {name.strip(): value.strip() for name, _, value in pairs}


def settings(sets: Iterable[str], config: str | None, flags: Mapping[str, Any]) -> dict[str, Any]:
    """Join settings by dotted name: what a file says, then `--set NAME=VALUE`, then flags that were given."""
    joined = _dotted(_toml(config)) if config else {}
    for one in sets:
        name, equals, value = one.partition("=")
        if not equals or not name.strip():
            raise InputError(f"--set wants NAME=VALUE, got {one!r}: for example --set memory.capacity=5000")
        joined[name.strip()] = value.strip()
    return {**joined, **{name: value for name, value in flags.items() if value is not None}}


def _toml(path: str) -> dict[str, Any]:
    import tomllib

    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as wrong:
        raise InputError(f"cannot read {path}: {wrong.strerror or wrong}") from wrong
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        raise InputError(f"{path} is no TOML: {wrong}") from wrong


def _dotted(tree: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= _dotted(value, f"{above}{name}.") if isinstance(value, Mapping) else {f"{above}{name}": value}
    return flat
