"""How is a header shown to a person, and to a program?"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from typing import Any

import click

from jamais.cli import told
from jamais.cli.versions.headers.header import ArrayHeader, Header
from jamais.errors import CorruptStateError
from jamais.persistence.tree import unflatten

LARGEST = 5
SETTINGS = 16
_WIDEST = 100
_CONFIGS = ("settings", "config")
_NAMES = {"digest": "digests", "files": "files", "state_sha256": "state"}


def print_header(header: Header, *, all_settings: bool = False) -> None:
    """Print what a header says, the largest arrays and the settings."""
    for name, text in _about(header):
        told.field(name, text)
    parts = _parts(header)
    width = max(map(len, parts), default=0)
    for i, (name, text) in enumerate(parts.items()):
        told.field("" if i else "parts", f"{name:<{width}}  {text}")
    largest = sorted(header.arrays, key=lambda one: -one.nbytes)[:LARGEST]
    for i, one in enumerate(largest):
        told.field("" if i else "largest", _line(one, largest))
    settings = list(_settings(header.plain))
    for i, (name, value) in enumerate(settings if all_settings else settings[:SETTINGS]):
        told.field("" if i else "settings", f"{name} = {_short(value)}")
    if len(settings) > SETTINGS and not all_settings:
        told.field("", f"and {len(settings) - SETTINGS} more: --settings lists all")


def print_arrays(header: Header) -> None:
    """Print every array, one a line."""
    for one in header.arrays:
        click.echo(told.plain(_line(one, header.arrays)))


def as_json(header: Header) -> dict[str, Any]:
    """Give all of it as JSON values."""
    return {
        "face": header.face,
        "type": header.type_name,
        "format_version": header.format_version,
        "jamais_version": header.jamais_version,
        "size_bytes": header.size_bytes,
        **{name: _finite(value) for name, value in header.more.items()},
        "arrays": [
            {"path": one.path, "dtype": one.dtype, "shape": list(one.shape), "bytes": one.nbytes}
            for one in header.arrays
        ],
        "settings": {name: _finite(value) for name, value in _settings(header.plain)},
        "warnings": list(header.warnings),
    }


def _finite(value: Any) -> Any:
    """Write metrics that are no finite numbers as text, which every reader of JSON takes."""
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _about(header: Header) -> Iterator[tuple[str, str]]:
    version = "" if header.format_version is None else f", format {header.format_version}"
    by = f", written by jamais {_short(header.jamais_version)}" if header.jamais_version else ""
    yield "type", f"{_short(header.type_name)}: {header.face}{version}{by}"
    more = dict(header.more)
    if "version" in more:
        parent = f", from version {more['parent']}" if more["parent"] else ""
        names = f", called {', '.join(more['names'])}" if more["names"] else ""
        yield "version", f"{more['version']}, {more['saved'][:19].replace('T', ' ')} UTC, {more['why']}{parent}{names}"
        figures = ", ".join(f"{name} {value:.4g}" for name, value in more["metrics"].items())
        yield from [("metrics", figures)] if figures else []
    else:
        yield from ((_NAMES[name], str(value)) for name, value in more.items() if name in _NAMES and value)
    n = sum(one.nbytes for one in header.arrays)
    yield "size", f"{_size(header.size_bytes)}, {len(header.arrays):,} arrays of {_size(n)}"
    for warning in header.warnings:
        yield "WARNING", warning


def _parts(header: Header) -> dict[str, str]:
    """Say what each part of the state holds."""
    held: dict[str, list[int]] = {key[1:] if key.startswith("$") else key: [0, 0] for key in header.plain}
    for one in header.arrays:
        name = one.path.split("/")[1].replace("~1", "/").replace("~0", "~") if "/" in one.path else one.path
        entry = held.setdefault(name, [0, 0])
        entry[0], entry[1] = entry[0] + 1, entry[1] + one.nbytes
    said = {}
    for name, (n, n_bytes) in held.items():
        values = _count(header.plain.get(name, header.plain.get(f"${name}")))
        words = [f"{n:,} array{'s' if n > 1 else ''} of {_size(n_bytes)}"] if n else []
        words += [f"{values:,} value{'s' if values > 1 else ''}"] if values else []
        said[name] = ", ".join(words) or "empty"
    return said


def _count(value: Any) -> int:
    if isinstance(value, dict):
        return 0 if list(value) in (["$array"], ["$same"]) else sum(map(_count, value.values()))
    return sum(map(_count, value)) if isinstance(value, list) else 1


def _settings(plain: Mapping[str, Any], above: str = "", inside: bool = False) -> Iterator[tuple[str, Any]]:
    """Give what was set: values at the top, and all below a `settings` or `config`, by dotted name."""
    for key, value in plain.items():
        if isinstance(value, dict) and not (len(value) == 1 and next(iter(value)).startswith("$")):
            yield from _settings(value, f"{above}{key}.", inside or key in _CONFIGS)
        elif inside or not (above or isinstance(value, dict | list)):
            yield f"{above}{key}", _said(value)


def _said(value: Any) -> Any:
    """Decode what JSON has no word for: NaN, the infinities, half characters."""
    if isinstance(value, dict) and list(value) in (["$float"], ["$text"]):
        with contextlib.suppress(CorruptStateError):
            return str(unflatten({}, {"value": value})["value"])
    return value


def _line(one: ArrayHeader, among: list[ArrayHeader]) -> str:
    width = max(len(_kind(other)) for other in among)
    return f"{_kind(one):<{width}}  {_size(one.nbytes):>11}  {one.path}"


def _kind(one: ArrayHeader) -> str:
    return f"{one.dtype} {list(one.shape)}"


def _short(value: Any) -> str:
    text = f"{len(value):,} items" if isinstance(value, list) and len(value) > 8 else str(value)
    return text if len(text) <= _WIDEST else text[:_WIDEST] + "…"


def _size(n_bytes: int) -> str:
    return told.size(n_bytes) if n_bytes >= 1000 else f"{n_bytes} bytes"
