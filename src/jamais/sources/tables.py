"""How is a DataFrame read as a log?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from jamais.errors import InputError
from jamais.sources.formats.keyed import MESSAGE_KEYS

_MESSAGE_COLUMNS = (*MESSAGE_KEYS, "content", "Content", "raw", "value")
_ROWS = 10_000


def table_lines(table: Any) -> Iterator[bytes]:
    """Write each row of a polars or pandas table as one line: its text if that is all it has, else JSON."""
    column = _message_column(table)
    if len(table.columns) == 1:
        for row in _rows(table):
            yield str(row[column] or "").encode("utf-8", "replace")
        return
    for row in _rows(table):
        data = {str(key): value for key, value in row.items() if value is not None and value == value}
        data["message"] = str(data.pop(column, ""))
        yield json.dumps(data, ensure_ascii=False, default=str).encode("utf-8", "replace")


def _message_column(table: Any) -> str:
    names = [str(name) for name in table.columns]
    texts = [name for name in names if _is_text(table, name)]
    named = [name for name in _MESSAGE_COLUMNS if name in texts]
    if named:
        return named[0]
    if len(texts) == 1:
        return texts[0]
    raise InputError(
        f"the table has {len(texts)} text columns ({', '.join(texts[:5])}) and none is called message, log or text: "
        "rename the one that holds the log lines to 'message'"
    )


def _is_text(table: Any, name: str) -> bool:
    kind = str(table[name].dtype)
    if kind == "object":
        return any(isinstance(value, str) for value in table[name][:50])
    return kind in ("String", "Utf8", "str", "string", "Categorical", "category")


def _rows(table: Any) -> Iterator[dict[str, Any]]:
    for start in range(0, len(table), _ROWS):
        part = table[start : start + _ROWS]
        yield from part.to_dicts() if hasattr(part, "to_dicts") else part.to_dict("records")
