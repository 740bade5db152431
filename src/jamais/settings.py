"""How are settings overridden, and what does a wrong one hear?"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from jamais.errors import SettingsError

T = TypeVar("T")


def override(settings: T, changes: Mapping[str, Any]) -> T:
    """Give a copy of a frozen dataclass with `changes`: nested mappings or dotted names ("memory.capacity").

    Text values are read as the field's type, as they come from `--set`. Raises SettingsError for an unknown name
    (with the nearest known one) or a value of the wrong type.
    """
    for name, value in _nested(changes).items():
        settings = _with(settings, name, value, name)
    return settings


def as_tree(settings: Any) -> dict[str, Any]:
    """Give a frozen dataclass as nested JSON values."""
    return {
        field.name: as_tree(value) if dataclasses.is_dataclass(value) else _plain(value)
        for field in dataclasses.fields(settings)
        for value in [getattr(settings, field.name)]
    }


def _nested(changes: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, value in changes.items():
        first, dot, rest = name.partition(".")
        if dot:
            value = {rest: value}
        if isinstance(value, Mapping) and isinstance(tree.get(first), dict):
            tree[first] = {**tree[first], **value}
        else:
            tree[first] = dict(value) if isinstance(value, Mapping) else value
    return tree


def _with(settings: Any, name: str, value: Any, path: str) -> Any:
    hints = typing.get_type_hints(type(settings))
    if name not in hints:
        near = difflib.get_close_matches(name, hints, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(hints)}"
        raise SettingsError(f"no setting {path!r}: {hint}")
    current = getattr(settings, name)
    if dataclasses.is_dataclass(current) and not isinstance(current, type):
        if not isinstance(value, Mapping):
            raise SettingsError(f"setting {path!r} is a group: set one of its fields, e.g. {path}.{_first(current)}")
        for inner, inner_value in _nested(value).items():
            current = _with(current, inner, inner_value, f"{path}.{inner}")
        value = current
    else:
        value = _read(hints[name], value, path)
    try:
        return dataclasses.replace(settings, **{name: value})
    except ValueError as error:
        raise SettingsError(f"setting {path} = {value!r}: {error}") from error


def _first(settings: Any) -> str:
    return dataclasses.fields(settings)[0].name


def _read(kind: Any, value: Any, path: str) -> Any:
    """Read `value` as a field of type `kind`; text is parsed, numbers are widened, anything else must fit."""
    options = typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)
    if value is None or (isinstance(value, str) and value.lower() == "none"):
        if type(None) in options:
            return None
        raise SettingsError(f"setting {path} cannot be none: wanted {_name(kind)}")
    for option in (o for o in options if o is not type(None)):
        try:
            return _convert(option, value)
        except (TypeError, ValueError):
            continue
    raise SettingsError(f"setting {path} wants {_name(kind)}, got {value!r}")


def _convert(kind: Any, value: Any) -> Any:
    if typing.get_origin(kind) is tuple:
        items = value.split(",") if isinstance(value, str) else value
        inner = typing.get_args(kind)[0]
        return tuple(_convert(inner, item) for item in items)
    if kind is bool:
        words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
        if isinstance(value, bool):
            return value
        return {**words}[str(value).lower()] if str(value).lower() in words else _refuse()
    if kind is int:
        number = float(value)
        return int(number) if not isinstance(value, bool) and number == int(number) else _refuse()
    if kind is float:
        return float(value)
    if kind is str:
        return value if isinstance(value, str) else _refuse()
    raise TypeError(kind)


def _refuse() -> Any:
    raise ValueError


def _name(kind: Any) -> str:
    return getattr(kind, "__name__", str(kind))


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def microseconds(duration: str) -> int:
    """Read "500ms", "60s", "5m", "1h" or "2d" as microseconds."""
    number = duration.rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = duration[len(number) :].strip()
    try:
        length = float(number) * UNITS[unit]
    except (ValueError, KeyError):
        raise SettingsError(f"no duration: {duration!r}; write a number and a unit, like 60s, 5m or 1h") from None
    if not 0 < length < 1e10:
        raise SettingsError(f"duration {duration!r} is out of range: wanted more than 0 and at most 300 years")
    return round(length * 1e6)
