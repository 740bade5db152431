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
YES, NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def override(settings: T, changes: Mapping[str, Any]) -> T:
    """Give a copy of a frozen dataclass with `changes`: nested mappings or dotted names ("memory.capacity").

    Text values are read as the field's type, as they come from `--set`. Raises SettingsError for an unknown name
    (with the nearest known one) or a value of the wrong type.
    """
    return _changed(settings, changes, "")


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


def _changed(settings: T, changes: Mapping[str, Any], path: str) -> T:
    """Change all named fields at once: some values make sense only together."""
    values = {name: _value(settings, name, value, path + name) for name, value in _nested(changes).items()}
    try:
        return dataclasses.replace(settings, **values)  # type: ignore[type-var]
    except ValueError as error:
        given = ", ".join(f"{path}{name} = {value!r}" for name, value in values.items() if not _is_group(value))
        raise SettingsError(f"setting {given}: {error}") from error


def _value(settings: Any, name: str, value: Any, path: str) -> Any:
    hints = typing.get_type_hints(type(settings))
    if name not in hints:
        near = difflib.get_close_matches(name, hints, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(hints)}"
        raise SettingsError(f"no setting {path!r}: {hint}")
    current = getattr(settings, name)
    if not _is_group(current):
        return _read(hints[name], value, path)
    if not isinstance(value, Mapping):
        raise SettingsError(f"setting {path!r} is a group: set one of its fields, e.g. {path}.{_first(current)}")
    return _changed(current, value, f"{path}.")


def _is_group(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


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
        except (TypeError, ValueError, OverflowError):  # int(inf) is the last one
            continue
    raise SettingsError(f"setting {path} wants {_name(kind)}, got {value!r}")


def _convert(kind: Any, value: Any) -> Any:
    if typing.get_origin(kind) is tuple:
        items = value.split(",") if isinstance(value, str) else value
        inner = typing.get_args(kind)[0]
        return tuple(_convert(inner, item) for item in items)
    if kind is bool:
        word = str(value).lower()
        return word in YES if word in YES + NO else _refuse()
    if kind is int:
        number = float(value)
        return int(number) if not isinstance(value, bool) and number == int(number) else _refuse()
    if kind is float:
        return float(value)
    if kind is str:
        # A window of 20 lines may be written as the number it is.
        return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else _refuse()
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
    if not 1e-6 <= length < 1e10:
        raise SettingsError(f"duration {duration!r} is out of range: wanted a microsecond or more, at most 300 years")
    return round(length * 1e6)
