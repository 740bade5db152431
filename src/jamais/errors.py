"""What can go wrong, and what does the user do about it?

    JamaisError
    ├── InputError              the data cannot be read as asked (path, format, too few records)
    │   └── SettingsError       a setting is unknown, or its value makes no sense
    ├── NotReadyError           something must be fitted or learned first
    ├── ShapeMismatchError      rows of one width met rows of another
    ├── StateError              a saved state cannot be used
    │   ├── CorruptStateError   bytes on disk are not the bytes that were written
    │   └── StaleVersionError   the store has moved on since this object was loaded
    ├── RefusedUpdateError      a guarded update broke a stated limit; nothing was changed
    ├── MissingExtraError       an optional dependency is not installed
    └── Cancelled               the caller's cancel token was set; nothing was changed

Every message says what, got, wanted and the next step. The shell prints it as one line and exits with 2.
"""

from __future__ import annotations


class JamaisError(Exception):
    """Root of all errors that jamais raises on purpose."""


class InputError(JamaisError, ValueError):
    """The data cannot be read as asked."""


class SettingsError(InputError):
    """A setting is unknown or out of range."""


class NotReadyError(JamaisError, RuntimeError):
    """Something must be fitted or learned first."""


class ShapeMismatchError(JamaisError, ValueError):
    """Rows of one width met rows of another."""


class StateError(JamaisError):
    """A saved state cannot be used."""


class CorruptStateError(StateError, ValueError):
    """Bytes on disk are not the bytes that were written."""


class StaleVersionError(StateError):
    """The store has moved on since this object was loaded."""


class RefusedUpdateError(JamaisError):
    """A guarded update broke a stated limit; nothing was changed. `report` has the figures, where there are any."""

    def __init__(self, message: str, report: object = None) -> None:
        super().__init__(message)
        self.report = report


class MissingExtraError(JamaisError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional dependency: pip install 'jamais[{extra}]'")


class DamagedVersionWarning(UserWarning):
    """The newest version is damaged; an older one was loaded instead."""


class Cancelled(JamaisError):
    """The caller's cancel token was set; nothing was changed."""
