"""What do the keys of a JSON or logfmt line mean?"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jamais.sources.continuation import signature
from jamais.sources.formats.header import inner_message
from jamais.sources.formats.levels import canonical
from jamais.sources.records import LINE_JOIN, TEXT_CHARACTERS, Head
from jamais.sources.times.clock import BAD_DAY, EPOCH_DAY
from jamais.sources.times.layout import read_one
from jamais.sources.times.shapes import BY_NAME, SHAPES

Stamp = tuple[int, int, int]
NO_STAMP: Stamp = (BAD_DAY, 0, 0)

MESSAGE_KEYS = (
    "message", "msg", "MESSAGE", "log", "text", "@message", "@m", "@mt", "_msg", "short_message", "event",
    "body", "Body", "Message", "line", "textPayload", "description",
)  # fmt: skip
_LEVEL_KEYS = (
    "level", "severity", "lvl", "loglevel", "log_level", "levelname", "log.level", "@l", "Level", "severityText",
    "SeverityText", "severity_text", "PRIORITY", "priority",
)  # fmt: skip
_TIME_KEYS = (
    "time", "timestamp", "@timestamp", "ts", "t", "@t", "datetime", "date", "asctime", "eventTime", "timeMillis",
    "time_unix_nano", "Timestamp", "_SOURCE_REALTIME_TIMESTAMP", "__REALTIME_TIMESTAMP", "when",
)  # fmt: skip
_SOURCE_KEYS = (
    "logger", "logger_name", "loggerName", "SYSLOG_IDENTIFIER", "program", "component", "service", "service.name",
    "app", "name", "source", "module", "container_name", "kubernetes.container_name", "_COMM", "_SYSTEMD_UNIT",
)  # fmt: skip
_HOST_KEYS = ("host", "hostname", "host.name", "_HOSTNAME", "node", "nodename", "instance")
_STACK_KEYS = (
    "stack", "stack_trace", "stacktrace", "stackTrace", "exception", "exc_info", "error.stack", "error.stack_trace",
    "err.stack", "traceback",
)  # fmt: skip
_BAD_ESCAPE = re.compile(r"\\(.)", re.S)
_LOGFMT = re.compile(r'([\w.@/-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s"]*))(?=\s|$)')
_ISO = BY_NAME["iso"].regex


@dataclass(frozen=True, slots=True)
class Row:
    """One line of keys: what became columns, all its data, and the line as written."""

    message: str
    level: str
    source: str
    host: str
    stamp: Stamp
    data: Mapping[str, Any]
    used: frozenset[str]
    shown: bytes

    def key(self) -> bytes:
        """Give the record's `raw`: only what the message, level and source are made of."""
        text = f"{self.level}\x1e{self.source}\x1e{self.message}"
        return text.encode("utf-8", "replace").replace(b"\n", LINE_JOIN)


class KeyedView:
    """Look at the records of a batch of rows."""

    def __init__(self, rows: list[Row]) -> None:
        self._rows = rows

    def head(self, i: int, raw: bytes) -> Head:
        row = self._rows[i]
        journal = "__REALTIME_TIMESTAMP" in row.data  # its keys with _ are fresh for every process and boot
        fields = {
            key: value
            for key, value in flat(row.data).items()
            if key not in row.used and value is not None and not (journal and key.startswith("_"))
        }
        return Head(row.message, row.level, row.source, row.host, fields)

    def text(self, i: int, raw: bytes) -> str:
        return self._rows[i].shown[: 4 * TEXT_CHARACTERS].decode("utf-8", "replace")

    def field(self, name: str) -> list[str | None]:
        return [_text(_get(row.data, name)) for row in self._rows]


def json_row(line: bytes, message_key: str | None) -> Row | None:
    """Read one JSON object, or None if the line is none."""
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row_of(data, line, message_key) if isinstance(data, dict) else None


def logfmt_row(line: bytes, message_key: str | None) -> Row | None:
    """Read one line of key=value pairs, or None if it has fewer than two."""
    data: dict[str, Any] = {}
    text = line.decode("utf-8", "replace")
    for key, quoted, plain in _LOGFMT.findall(text):
        data[key] = _BAD_ESCAPE.sub(_unescape, quoted) if quoted else plain
    return row_of(data, line, message_key) if len(data) >= 2 else None


def row_of(data: Mapping[str, Any], line: bytes, message_key: str | None) -> Row:
    """Give the keys of a record their roles."""
    used: set[str] = set()
    level = canonical(_first(data, _LEVEL_KEYS, used))
    stamp = _stamp(data, used)
    source = _text(_first(data, _SOURCE_KEYS, used)) or ""
    host = _text(_first(data, _HOST_KEYS, used)) or ""
    value = _first(data, (message_key,) if message_key else (), used)
    if value is None:
        value = _first(data, MESSAGE_KEYS, used)
    if value is None:
        others = {key: one for key, one in flat(data).items() if key not in used}
        message = " ".join(f"{key}={one}" for key, one in others.items())
    elif isinstance(value, list) and value and all(isinstance(one, int) and 0 <= one < 256 for one in value):
        message = bytes(value).decode("utf-8", "replace")  # journald's way to write what is not UTF-8
    else:
        message = _text(value) or ""
    message = message.replace("\x1e", " ").replace("\x1f", " ").strip()
    first, *rest = message.split("\n")
    own_level, own_source, first = inner_message(first)
    stack = _first(data, _STACK_KEYS, used)
    if isinstance(stack, str) and stack.strip():
        rest += stack.strip().split("\n")
    kept = signature(first, rest) if rest else []
    return Row(
        " | ".join([first, *kept]),
        own_level or level,
        source or own_source,
        host,
        stamp,
        data,
        frozenset(used),
        line,
    )


def flat(data: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Write nested keys with dots; lists as JSON."""
    out: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, dict) and before.count(".") < 8:
            out.update(flat(value, f"{before}{key}."))
        elif isinstance(value, list | dict):
            out[before + key] = json.dumps(value, ensure_ascii=False, default=str)
        else:
            out[before + key] = value
    return out


def stamp_of(value: object) -> Stamp:
    """Read a time value: text in any known shape, or a number whose size tells seconds, ms, µs or ns."""
    if isinstance(value, str):
        text = value.encode("utf-8", "replace")[:64]
        match = _ISO.match(text)
        if match:
            return read_one(match) or NO_STAMP
        try:
            value = int(value) if value.isdigit() else float(value)
        except ValueError:
            for shape in SHAPES:
                match = shape.regex.search(text)
                if match:
                    return read_one(match) or NO_STAMP
            return NO_STAMP
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1e8 <= abs(value) < 4e18:
        return NO_STAMP
    factor, divisor = next(
        (f, d)
        for limit, f, d in ((1e11, 1_000_000, 1), (1e14, 1000, 1), (1e17, 1, 1), (4e18, 1, 1000))
        if value < limit
    )
    micros = value * factor // divisor if isinstance(value, int) else round(value * factor / divisor)
    return EPOCH_DAY, int(micros), 0


def _stamp(data: Mapping[str, Any], used: set[str]) -> Stamp:
    for key in _TIME_KEYS:
        if key in data:
            stamp = stamp_of(data[key])
            if stamp != NO_STAMP:
                used.add(key)
                return stamp
    return NO_STAMP


def _first(data: Mapping[str, Any], keys: tuple[str, ...], used: set[str]) -> Any:
    for key in keys:
        value = _get(data, key)
        if value is not None and value != "" and not isinstance(value, dict):
            used.add(key)
            return value
    return None


def _get(data: Mapping[str, Any], name: str) -> Any:
    if name in data:
        return data[name]
    if "." not in name:
        return None
    value: Any = data
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def _unescape(match: re.Match[str]) -> str:
    return {"n": "\n", "t": "\t", "r": "\r"}.get(match[1], match[1])
