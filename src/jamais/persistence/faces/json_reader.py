"""How is a JSON document of any size read strictly, without its numbers becoming a million Python objects?

Long values, the lists under a key `data` and the strings under `b64`, are cut out of the text first and stay
there, whatever white space is around them; what is left is small and goes through the strict parser, which knows
duplicate keys, NaN and bad UTF-8. A value that was cut out elsewhere than in a tensor is parsed when it is met.
That is one way for files as we write them and for files another tool indented, with no second parser to agree.
"""

from __future__ import annotations

import json
import math
import os
import re
import secrets
from pathlib import Path
from typing import Any

from jamais.errors import CorruptStateError
from jamais.persistence import files, json_text
from jamais.persistence.faces.json_numbers import Span

DEEPEST = json_text.MAX_DEPTH + 2
"""A state nested as deep as is allowed, in a document, with a marker at the bottom."""

_READ_BYTES = 1 << 24
_BOM = b"\xef\xbb\xbf"
# No backslash stands before the second quote, so it ends a string, and the colon makes that string a key.
_LONG = re.compile(rb'"(?:data"[ \t\n\r]*:[ \t\n\r]*\[|b64"[ \t\n\r]*:[ \t\n\r]*")')
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


class JsonDocument:
    """A JSON document whose long values still lie in its text."""

    def __init__(self, text: bytes | bytearray, where: str) -> None:
        """Raise CorruptStateError for anything but one strict JSON value."""
        self.where = where
        self._text = text
        self._spans: list[Span] = []
        self._mark = f"cut {secrets.token_hex(16)} "  # nobody can have put this into the file
        self.root = json_text.parse(self._without_long_values(), where)

    @classmethod
    def read(cls, path: Path) -> JsonDocument:
        """Read a file of any size; raise CorruptStateError at the first block that cannot be JSON."""
        handle, size = files.open_plain(path)
        try:
            text, block = bytearray(), bytearray(min(size, _READ_BYTES))
            while len(text) < size:
                part = memoryview(block)[: size - len(text)]
                files.read_into(handle, part, len(text), str(path))
                # Zeros are what a hole in a file reads as: it may claim terabytes that are not there.
                if b"\0" in block:
                    raise CorruptStateError(f"{path}: not JSON, it has zero bytes")
                text += part
        finally:
            os.close(handle)
        return cls(text, str(path))

    def span(self, value: Any) -> Span:
        """Give the text of a value found under `data` or `b64`."""
        if type(value) is str and value.startswith(self._mark):
            return self._spans[int(value[len(self._mark) :])]
        try:
            text = json.dumps(self.whole(value), ensure_ascii=True, allow_nan=False).encode()
        except ValueError:
            raise CorruptStateError(f"{self.where}: a number out of range") from None
        return Span(text, 0, len(text))

    def whole(self, value: Any, depth: int = 2) -> Any:
        """Give a value with what was cut out of it; raise CorruptStateError when it is nested too deep."""
        if depth > DEEPEST and type(value) in (dict, list):
            raise CorruptStateError(f"{self.where}: nested deeper than {json_text.MAX_DEPTH} levels")
        if type(value) is dict:
            return {key: self.whole(inner, depth + 1) for key, inner in value.items()}
        if type(value) is list:
            return [self.whole(inner, depth + 1) for inner in value]
        if type(value) is str and value.startswith(self._mark):
            text, start, stop = self.span(value)
            return self.whole(json_text.parse(bytes(text[start:stop]), self.where), depth)
        if type(value) is float and not math.isfinite(value):
            raise CorruptStateError(f"{self.where}: a number out of range")
        return value

    def _without_long_values(self) -> bytes:
        text, pieces = self._text, []
        at = search = len(_BOM) if self._text.startswith(_BOM) else 0
        while found := _LONG.search(text, search):
            start, search = found.end() - 1, found.end()
            stop = self._end_of_list(start) if found[0].endswith(b"[") else self._end_of_string(start)
            if stop is None:
                continue
            pieces += [text[at:start], f'"{self._mark}{len(self._spans)}"'.encode()]
            self._spans.append(Span(text, start, stop))
            at = search = stop
        return b"".join([*pieces, text[at:]])

    def _end_of_list(self, at: int) -> int:
        # Lists nest in themselves, whatever objects are between: only strings have to be stepped over. What was
        # found once is not searched again, or a list of a million strings would take for ever.
        text, depth, close, quote = self._text, 0, -1, -1
        while True:
            if close < at and (close := text.find(b"]", at)) < 0:
                break
            if quote < at and (quote := text.find(b'"', at)) < 0:
                quote = len(text)
            depth += text.count(b"[", at, min(quote, close))
            if close < quote:
                at, depth = close + 1, depth - 1
                if depth == 0:
                    return at
            elif string := _STRING.match(text, quote):
                at = string.end()
            else:
                break
        raise CorruptStateError(f"{self.where}: not JSON, a list does not end")

    def _end_of_string(self, start: int) -> int | None:
        # With an escape in it it is no base64 of ours: leave it to the parser.
        stop = self._text.find(b'"', start + 1) + 1
        return stop if stop and self._text.find(b"\\", start, stop) < 0 else None
