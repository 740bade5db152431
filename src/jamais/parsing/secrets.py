"""What in a line must never be stored or shown?"""

from __future__ import annotations

import re

SECRET = "<secret>"

_NAMES = (
    r"(?:password|passwd|passphrase|pwd|secret|credentials?|api[_-]?key|access[_-]?key|secret[_-]?key"
    r"|private[_-]?key|auth[_-]?token|access[_-]?token|refresh[_-]?token|client[_-]?secret|token|signature)"
)
# With "=" any name that ends so is a secret (db_password=…, &key=…); with ":" only as in JSON or YAML:
# "invalid token: expired" is worth reading.
_ASSIGNED = re.compile(
    rf"(?i)((?:\b|_){_NAMES}\b[\"']?\s*=\s*|(?:\b|_)key=|(?:\b|_){_NAMES}[\"']\s*:\s*"
    r"|(?:\b|_)(?:password|passwd|passphrase|api[_-]?key)\s*:\s*)"
    r"(\"[^\"]*\"|'[^']*'|[^\s\"',;&)\]}<>]+)"
)
_BEARER = re.compile(
    r"(?i)\b(authorization[\"']?\s*[:=]\s*+[\"']?+(?:(?:basic|bearer|digest|token)\b)?+|bearer)\s+[\"']?([^\s\"',;<]+)"
)
_BASIC = re.compile(r"\b(Basic) ([A-Za-z0-9+/]{8,}={0,2})")
_LOGIN = re.compile(r"(://)[^/\s:@]*:[^/\s@]+@")
_MAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")
_TELLTALE = re.compile(r"\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_\w{20,}|\bsk-\w{16,}")
# Looking for a few letters first spares the slow expressions on nearly every line.
_HINTS = ("pass", "pwd", "secret", "key", "token", "credential", "signature")
_MARKS = ("eyJ", "AKIA", "gh", "sk-")


def hide_secrets(text: str) -> str:
    """Return `text` with passwords, keys, tokens, e-mail addresses and logins in URLs as `<secret>`."""
    small = text.lower()
    if "@" in text:
        text = _MAIL.sub(SECRET, _LOGIN.sub(rf"\1{SECRET}@", text))
    if "bearer" in small or "authorization" in small or "basic " in small:
        text = _BASIC.sub(rf"\1 {SECRET}", _BEARER.sub(rf"\1 {SECRET}", text))
    if any(hint in small for hint in _HINTS):
        text = _ASSIGNED.sub(rf"\1{SECRET}", text)
    if any(mark in text for mark in _MARKS):
        text = _TELLTALE.sub(SECRET, text)
    return text
