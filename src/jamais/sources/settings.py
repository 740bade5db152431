"""What may a user say about how a log is to be read?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from jamais.errors import SettingsError

INPUTS = ("auto", "text", "json", "logfmt", "cri", "docker", "journal", "syslog", "access")


@dataclass(frozen=True)
class ReadingSettings:
    """Say how logs are read; every field has a default that suits most logs."""

    input: str = "auto"
    """auto, text, json, logfmt, cri, docker, journal, syslog or access.

    auto = look at the first 200 lines and say what was found: right for nearly all logs.
    """

    timezone: str = "UTC"
    """IANA name ("Europe/Berlin") for times written without a zone. UTC, because most servers log in it."""

    record_start: str | None = None
    """Regular expression that the first line of every record matches. None = a record starts at a time stamp."""

    message_key: str | None = None
    """Key of the message in JSON lines (dotted for nested). None = the first of the usual names that is there."""

    def __post_init__(self) -> None:
        if self.input not in INPUTS:
            raise SettingsError(f"input is {self.input!r}, wanted one of {', '.join(INPUTS)}")
        try:
            ZoneInfo(self.timezone)
        except (KeyError, ValueError, OSError) as wrong:
            raise SettingsError(
                f"timezone {self.timezone!r} is not known here: give an IANA name such as Europe/Berlin"
            ) from wrong
        if self.record_start is not None:
            try:
                re.compile(self.record_start.encode())
            except re.error as wrong:
                raise SettingsError(f"record_start {self.record_start!r} is no regular expression: {wrong}") from wrong
