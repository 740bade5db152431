"""How are the entries of `journalctl -o export` told apart, binary fields included?"""

from __future__ import annotations


def split_entries(data: bytes) -> tuple[list[tuple[dict[str, str], int]], int]:
    """Read whole entries from the front of `data`: (fields, lines it took) of each, and the bytes used.

    An entry ends with an empty line. A field is KEY=value, or KEY alone, then eight bytes of length (little
    endian), so many bytes, and a line feed.
    """
    entries: list[tuple[dict[str, str], int]] = []
    fields: dict[str, str] = {}
    at = used = lines = 0
    while True:
        end = data.find(b"\n", at)
        if end < 0:
            return entries, used
        line = data[at:end]
        at = end + 1
        lines += 1
        if not line:
            entries.append((fields, lines))
            fields, lines, used = {}, 0, at
        elif b"=" in line:
            key, value = line.split(b"=", 1)
            fields[key.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
        else:
            size = int.from_bytes(data[at : at + 8], "little")
            if size > 1 << 26:  # no journal field is that long: a damaged file, take the line for text
                fields.setdefault("MESSAGE", line.decode("utf-8", "replace"))
                continue
            if at + 8 + size + 1 > len(data):
                return entries, used
            value = data[at + 8 : at + 8 + size]
            fields[line.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
            lines += value.count(b"\n") + 1
            at += 8 + size + 1
