"""Which single word is a variable, and which decides what a line says?"""

from __future__ import annotations

import re

RANDOM = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9_-]{16,}={0,2}(?![A-Za-z0-9])")
_RUNS = re.compile(r"[a-z]+|[A-Z]+|[0-9]+")

# What is left of a number with a unit ("5ms", "1.2 KB", "1h2m3.5s", "1e-05"), and the names in dates.
_EMPTY = frozenset(
    {
        "e",
        "x",
        "ns",
        "us",
        "µs",
        "μs",
        "ms",
        "s",
        "m",
        "h",
        "d",
        "hm",
        "hms",
        "h.m.s",
        "hm.s",
        "m.s",
        "sec",
        "secs",
    }
    | {
        "min",
        "mins",
        "hr",
        "hrs",
        "K",
        "k",
        "M",
        "G",
        "B",
        "KB",
        "kB",
        "kb",
        "MB",
        "GB",
        "TB",
        "KiB",
        "MiB",
        "GiB",
    }
    | {
        "TiB",
        "AM",
        "PM",
        "UTC",
        "GMT",
        "Mon",
        "Tue",
        "Wed",
        "Thu",
        "Fri",
        "Sat",
        "Sun",
        "Jan",
        "Feb",
        "Mar",
        "Apr",
    }
    | {"May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"}
)
_HOST = re.compile(
    r"[A-Za-z0-9_.-]+\.(?:com|net|org|edu|gov|mil|local|internal|lan|localdomain)(?:\.[a-z]{2})?$"
    r"|(?:[A-Za-z0-9_-]*\.){2,}(?:cn|de|ru|jp|uk|fr|kr|tw|it|nl|br|pl|hu|cz|se|ch|at|eu|au|ca|in|us)$"
)
_NAMING = re.compile(
    r"(?i)(?:^|[_.-])(?:user|username|login|logname|ruser|rhost|host|hostname|addr|address|ip|path|file|filename|dir|url"
    r"|uri|client|peer|session|thread|pod|container|tty|dev|device|trace|span|request|name|id)$"
)
_NAMERS = frozenset(["user", "username", "account"])
_BEFORE_NAMERS = frozenset(["for", "invalid", "illegal", "of", "as", "Invalid", "Illegal"])

# A place where one of these was or may come is never silently a variable: "job … completed" and "job …
# failed" stay two templates however many other words were seen there.
_DECISIVE = re.compile(
    r"(?i)fail|error|refus|den(?:y|ied)|reject|time[- ]?d?[- ]?out|abort|kill|crash|lost|unreach|invalid"
    r"|corrupt"
    r"|unable|cannot|panic|fatal|exception|dead|drop|disconnect|unavail|overflow|exceed|exhaust|expir|mismatch"
    r"|illegal|unauthor|forbid|violat|missing|unknown|degrad|stuck|hung|stall|terminat|interrupt|succe|accept"
    r"|complete"
    r"|失败|错误|异常|超时|拒绝|成功|ошибк|отказ|успе"
)
_STATE = frozenset(
    {
        "up",
        "down",
        "on",
        "off",
        "true",
        "false",
        "yes",
        "no",
        "ok",
        "enabled",
        "disabled",
        "started",
        "stopped",
    }
    | {"paused", "resumed", "open", "opened", "closed", "running", "ready", "active", "inactive", "healthy"}
    | {"unhealthy", "online", "offline"}
)


def is_random(token: str) -> bool:
    """Say whether the letters and digits of `token` follow one another as in base64, not as in words."""
    runs = _RUNS.findall(token)
    return sum(run[0] <= "9" for run in runs) >= 3 and len(runs) >= 0.4 * len(token)


def is_named(before: str, word: str) -> bool:
    """Say whether a name comes next: after `for user`, `invalid user`."""
    return word in _NAMERS and before in _BEFORE_NAMERS


def is_variable(word: str, key: str = "") -> bool:
    """Say whether `word` (without digits), perhaps the value of `key`, looks like a path, host or name."""
    bare = word.strip("-.:,/+%#*")
    if not bare or bare in _EMPTY:
        return True
    if "/" in word and (word[0] == "/" or "://" in word or word.count("/") > 1):
        return True
    if key and not is_decisive(word) and _NAMING.search(key):
        return True
    return "." in word and bool(_HOST.match(bare))


def looks_made_up(word: str) -> bool:
    """Say whether `word` looks like the name of a thing rather than a word: `Thunderbird_A`, `web.node-b`."""
    return not word.isalpha()


def is_decisive(word: str) -> bool:
    """Say whether `word` may decide what a line says."""
    return word.lower() in _STATE or (len(word) < 40 and bool(_DECISIVE.search(word)))
