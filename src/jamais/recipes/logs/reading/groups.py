"""Which session does a record belong to?"""

from __future__ import annotations

import re

from jamais.sources.records import LINE_JOIN, Records

_CROSSES_LINES = re.compile(r"\\[^wdb.()\[\]{}|*+?/-]|\[\^|[\^$]|\(\?|\n|\|")


class Grouper:
    """Finds the session of each record: a JSON key, or the first match of a regular expression.

    Of a match, named groups are joined by "/"; else group 1 counts if there is one; else the whole match.
    """

    def __init__(self, group_by: str) -> None:
        self.key = group_by
        self._search = re.compile(group_by.encode())
        self._plain = self._search.groups > 0 and not self._search.groupindex
        # What can match a line end could run from one record into the next, and is looked for record by record.
        alone = self._plain and self._search.groups == 1 and not _CROSSES_LINES.search(group_by)
        self._first_of_line = re.compile(rb"(?:%b)[^\n]*" % group_by.encode()) if alone else None
        self.n_without = 0

    def names(self, records: Records) -> list[bytes | None]:
        """Give the session of each record `[n]`, None where nothing matches; bytes, as most are only compared."""
        fields = records.field(self.key)
        if fields is not None:
            names = [None if value is None else value.encode() for value in fields]
        else:
            names = self._at_once(records) or self._matched(records.raw)
        self.n_without += names.count(None)
        return names

    def _at_once(self, records: Records) -> list[bytes | None] | None:
        """Find the sessions of a whole batch in one go, if every record has one; else None."""
        if self._first_of_line is None or LINE_JOIN in records.blob:
            return None
        names: list[bytes | None] = self._first_of_line.findall(records.blob)
        return names if len(names) == len(records) else None

    def _matched(self, raw: list[bytes]) -> list[bytes | None]:
        matches = map(self._search.search, raw)
        if self._plain:
            return [None if m is None else m[1] for m in matches]
        if not self._search.groupindex:
            return [None if m is None else m[0] for m in matches]
        return [None if m is None else b"/".join(part or b"" for part in m.groupdict().values()) for m in matches]
