"""How does an array become JSON that any language reads, and come back bit for bit?

As nested lists, one row (last axis) per line, or as base64 of its bytes. Every number is written so that a reader
who knows only doubles gets its bits: float32 as the shortest decimal that does that, narrower floats as the double
they are, 64-bit integers beyond 2^53 as strings. NaN and the infinities, for which JSON has no word, are strings:
"NaN" for the usual bits of NaN, "NaN:7fc00001" for all others. An array without elements is `[]`.
"""

from __future__ import annotations

import binascii
import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from jamais.errors import CorruptStateError
from jamais.persistence.dtypes import NAMES, AnyArray, as_bytes, empty

BLOCK = 1 << 18
"""Numbers whose text is in memory at a time while writing."""

_BLOCK_BYTES = 1 << 20
"""Text whose numbers are Python objects at a time while reading."""

_EXACT = 2**53
_USUAL_NAN = {
    "F64": 0x7FF8_0000_0000_0000,
    "F32": 0x7FC0_0000,
    "F16": 0x7E00,
    "BF16": 0x7FC0,
    "F8_E4M3": 0x7F,
    "F8_E5M2": 0x7E,
}
_ROUNDED_TWICE = 0x15AE43FD
"""The only float32 (7.0385307e-26, and its negative) whose shortest decimal, read as a double and then rounded to
float32, becomes its neighbour; all 2,139,095,040 were tried. It is written as the double it is."""
_INFINITY = {"F64": 0x7FF0_0000_0000_0000, "F32": 0x7F80_0000, "F16": 0x7C00, "BF16": 0x7F80, "F8_E5M2": 0x7C}
_BLANK = b" \t\n\r"
_BARE_MINUS_ZERO = re.compile(rb"(?<![eE])-0(?![.0-9eE])")
_NAN = re.compile("NaN:([0-9a-f]{2,16})")
_LONG_INT = re.compile("-?[1-9][0-9]{15,19}")


class Span(NamedTuple):
    """A JSON value that still lies in the text of its file."""

    text: bytes | bytearray
    start: int
    stop: int


def number_blocks(array: AnyArray) -> Iterator[bytes]:
    """Give an array as nested lists in pieces of some megabytes: only a piece is ever in memory."""
    if array.ndim == 0:
        yield _as_text(array.reshape(1))[1:-1]
    elif not array.size:
        yield b"[]"
    elif array.size <= BLOCK:
        yield _as_text(array)
    else:
        each = max(1, BLOCK * len(array) // array.size)
        for start in range(0, len(array), each):
            yield b"[" if start == 0 else b"," if array.ndim == 1 else b",\n"
            part = array[start : start + each]
            if part.size > BLOCK:
                yield from number_blocks(part[0])
            else:
                yield _as_text(part)[1:-1]
        yield b"]"


def text_bytes(array: AnyArray) -> int:
    """Estimate how long the text of an array will be, from 4,096 of its numbers."""
    if not array.size:
        return 2
    sample = array.reshape(-1)[:: max(1, array.size // 4096)][:4096]
    return int(array.size * len(_as_text(sample)) / sample.size)


def base64_blocks(array: AnyArray) -> Iterator[bytes]:
    """Give the bytes of an array as base64, in quotes, in pieces."""
    data = as_bytes(array)
    yield b'"'
    each = 3 * _BLOCK_BYTES // 4
    for start in range(0, len(data), each):
        yield binascii.b2a_base64(data[start : start + each], newline=False)
    yield b'"'


def read_numbers(span: Span, dtype: np.dtype[Any], shape: tuple[int, ...], where: str) -> AnyArray:
    """Read nested lists of exactly this shape; raise CorruptStateError for any other content.

    As many numbers as the shape asks for are counted in the text before anything is allocated.
    """
    text, start, stop = span
    count = math.prod(shape)
    found = text.count(b",", start, stop) + 1
    if not count and text[start:stop].translate(None, _BLANK) == b"[]":
        return _empty(dtype, shape, where)
    if count != found:
        raise CorruptStateError(f"{where}: about {found} numbers, shape {list(shape)[:8]} has {count}")
    array = _empty(dtype, shape, where)
    flat, done = array.reshape(-1), 0
    for piece in _pieces(span, shape, where):
        part = _as_array(piece, dtype, where)
        flat[done : done + len(part)] = part
        done += len(part)
    if done != count:
        raise CorruptStateError(f"{where}: other than {count} numbers")
    return array


def read_base64(span: Span, dtype: np.dtype[Any], shape: tuple[int, ...], where: str) -> AnyArray:
    """Read base64 in quotes that is exactly as long as the shape needs; raise CorruptStateError for any other."""
    text, start, stop = span[0], span[1] + 1, span[2] - 1
    wanted = 4 * -(-math.prod(shape) * dtype.itemsize // 3)
    if stop - start != wanted or text[start - 1 : start] != b'"':
        raise CorruptStateError(f"{where}: {stop - start} characters of base64, shape {list(shape)[:8]} has {wanted}")
    array = _empty(dtype, shape, where)
    target, done = as_bytes(array), 0
    try:
        for at in range(start, stop, _BLOCK_BYTES):
            part = binascii.a2b_base64(text[at : min(stop, at + _BLOCK_BYTES)], strict_mode=True)
            target[done : done + len(part)] = part
            done += len(part)
    except ValueError as error:  # binascii.Error too, and a piece that does not fit its place
        raise CorruptStateError(f"{where}: not base64 ({error})") from None
    if done != len(target):
        raise CorruptStateError(f"{where}: {done} bytes of base64, shape {list(shape)[:8]} has {len(target)}")
    if dtype.kind == "b" and array.size and array.view(np.uint8).max() > 1:
        raise CorruptStateError(f"{where}: a BOOL that is neither 0 nor 1")
    return array


def _as_text(array: AnyArray) -> bytes:
    import orjson

    array = np.ascontiguousarray(array)
    if array.dtype.kind in "iu":
        return _on_lines(orjson.dumps(_long_as_strings(array), option=orjson.OPT_SERIALIZE_NUMPY))
    if array.dtype.kind == "b":
        return _on_lines(orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY))
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one here, and is named by its own bits
        plain = array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)
    odd = ~np.isfinite(plain)
    if plain.dtype == np.float32:
        odd |= (_bits(plain) & 0x7FFF_FFFF) == _ROUNDED_TWICE
    if not odd.any():
        return _on_lines(orjson.dumps(plain, option=orjson.OPT_SERIALIZE_NUMPY))
    # orjson writes null where JSON has no number: cut there, and put the right words in the gaps.
    text = orjson.dumps(np.where(odd, plain.dtype.type(np.nan), plain), option=orjson.OPT_SERIALIZE_NUMPY)
    words = [*_words(array[odd]), b""]
    return _on_lines(b"".join(part + word for part, word in zip(text.split(b"null"), words, strict=True)))


def _on_lines(text: bytes) -> bytes:
    return text.replace(b"],[", b"],\n[")


def _long_as_strings(array: AnyArray) -> Any:
    if array.dtype.itemsize < 8 or (int(array.max()) <= _EXACT and int(array.min()) >= -_EXACT):
        return array
    words = [n if -_EXACT <= n <= _EXACT else str(n) for n in array.reshape(-1).tolist()]
    return np.array(words, dtype=object).reshape(array.shape).tolist()


def _words(numbers: AnyArray) -> Iterator[bytes]:
    known = {bits: f'"{word}"' for word, bits in _named_bits(numbers.dtype).items()}
    digits = 2 * numbers.dtype.itemsize
    with np.errstate(invalid="ignore"):
        values = numbers.astype(np.float64).tolist()
    for value, bits in zip(values, _bits(numbers).tolist(), strict=True):
        text = repr(value) if math.isfinite(value) else known.get(bits, f'"NaN:{bits:0{digits}x}"')
        yield text.encode()


def _named_bits(dtype: np.dtype[Any]) -> dict[str, int]:
    name, sign = NAMES[dtype], 1 << (8 * dtype.itemsize - 1)
    named = {"NaN": _USUAL_NAN[name]}
    if name in _INFINITY:
        named |= {"Infinity": _INFINITY[name], "-Infinity": _INFINITY[name] | sign}
    return named


def _bits(numbers: AnyArray) -> AnyArray:
    return numbers.view(f"<u{numbers.dtype.itemsize}")


def _empty(dtype: np.dtype[Any], shape: tuple[int, ...], where: str) -> AnyArray:
    try:
        return empty(dtype, shape, where)
    except (ValueError, OverflowError) as error:
        raise CorruptStateError(f"{where}: shape {list(shape)[:8]} cannot be ({error})") from None


def _pieces(span: Span, shape: tuple[int, ...], where: str) -> Iterator[bytes]:
    """Give the numbers without brackets, some megabytes of text at a time."""
    held: list[bytes | bytearray] = []
    size = 0
    for row_start, row_stop in _rows(span, shape, where):
        for start, stop in _parts(span.text, row_start, row_stop):
            held.append(span.text[start:stop])
            size += stop - start
            if size >= _BLOCK_BYTES:
                yield b",".join(held)
                held, size = [], 0
    if held:
        yield b",".join(held)


def _rows(span: Span, shape: tuple[int, ...], where: str) -> Iterator[tuple[int, int]]:
    """Say where the inside of each row lies; check that the brackets nest and the rows are as long as they must."""
    text, at, stop = span
    if not shape:
        yield at, stop
        return
    *outer, width = shape
    i = 0
    while (first := text.find(b"[", at, stop)) >= 0 and (close := text.find(b"]", first, stop)) >= 0:
        start = text.rfind(b"[", first, close)
        if text[at:start].translate(None, _BLANK) != _before_row(i, outer):
            raise CorruptStateError(f"{where}: the brackets before row {i} do not fit shape {list(shape)[:8]}")
        if text.count(b",", start, close) != width - 1:
            raise CorruptStateError(f"{where}: row {i} does not hold {width} numbers")
        yield start + 1, close
        at = close + 1
        i += 1
    if text[at:stop].translate(None, _BLANK) != b"]" * len(outer):
        raise CorruptStateError(f"{where}: the brackets at the end do not fit shape {list(shape)[:8]}")


def _before_row(i: int, outer: list[int]) -> bytes:
    if i == 0:
        return b"[" * len(outer)
    closed, period = 0, 1
    for n in reversed(outer):
        period *= n
        if i % period:
            break
        closed += 1
    return b"]" * closed + b"," + b"[" * closed


def _parts(text: bytes | bytearray, start: int, stop: int) -> Iterator[tuple[int, int]]:
    # A row holds no lists: a comma in it is between two numbers, or in a string that then is not whole, and refused.
    while stop - start > _BLOCK_BYTES:
        comma = text.find(b",", start + _BLOCK_BYTES, stop)
        if comma < 0:
            break
        yield start, comma
        start = comma + 1
    yield start, stop


def _as_array(piece: bytes, dtype: np.dtype[Any], where: str) -> AnyArray:
    values = _values(piece, where)
    kinds = set(map(type, values))
    if dtype.kind in "iu":
        return _as_integers(values, kinds, dtype, where)
    if dtype.kind == "b":
        _only(kinds, {bool}, dtype, where)
        return np.array(values, dtype)
    _only(kinds, {int, float, str}, dtype, where)
    if int in kinds and _BARE_MINUS_ZERO.search(piece):  # as other tools write it; as an integer it lost its sign
        values = _values(_BARE_MINUS_ZERO.sub(b"-0.0", piece), where)
    words = {i: value for i, value in enumerate(values) if type(value) is str} if str in kinds else {}
    for i in words:
        values[i] = 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = np.array(values, np.float64).astype(dtype)
    if not np.isfinite(numbers).all():
        raise CorruptStateError(f"{where}: a number beyond the range of {NAMES[dtype]}")
    if words:
        _put_words(words, numbers, where)
    return numbers


def _values(piece: bytes, where: str) -> list[Any]:
    import orjson

    try:
        values: list[Any] = orjson.loads(b"[" + piece + b"]")
    except orjson.JSONDecodeError as error:
        raise CorruptStateError(f"{where}: not JSON numbers ({error.msg})") from None
    return values


def _put_words(words: dict[int, str], numbers: AnyArray, where: str) -> None:
    named, digits = _named_bits(numbers.dtype), 2 * numbers.dtype.itemsize
    bits = _bits(numbers)
    for i, word in words.items():
        given = _NAN.fullmatch(word)
        if word in named:
            bits[i] = named[word]
        elif given and len(given[1]) == digits:
            bits[i] = int(given[1], 16)
        else:
            raise CorruptStateError(f"{where}: {word[:40]!r} among numbers of {NAMES[numbers.dtype]}")
    nans = [i for i, word in words.items() if word.startswith("NaN")]
    with np.errstate(invalid="ignore"):  # ml_dtypes is startled by signalling ones
        truly = np.isnan(numbers[nans])
    if not truly.all():
        raise CorruptStateError(f"{where}: bits called NaN that are a number of {NAMES[numbers.dtype]}")


def _as_integers(values: list[Any], kinds: set[type], dtype: np.dtype[Any], where: str) -> AnyArray:
    if str in kinds and dtype.itemsize == 8:
        values = [int(v) if type(v) is str and _LONG_INT.fullmatch(v) else v for v in values]
        kinds = set(map(type, values))
    _only(kinds, {int}, dtype, where)
    limits = np.iinfo(dtype)
    if values and not (limits.min <= min(values) and max(values) <= limits.max):
        raise CorruptStateError(f"{where}: {min(values)} … {max(values)} is beyond the range of {NAMES[dtype]}")
    return np.array(values, dtype)


def _only(kinds: set[type], wanted: set[type], dtype: np.dtype[Any], where: str) -> None:
    if kinds - wanted:
        names = ", ".join(sorted(kind.__name__ for kind in kinds - wanted))
        raise CorruptStateError(f"{where}: {names} among numbers of {NAMES[dtype]}")
