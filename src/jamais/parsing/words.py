"""Which single word is a variable, and which decides what a line says?"""

from __future__ import annotations

import re

RANDOM = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9_-]{16,}={0,2}(?![A-Za-z0-9])")
_RUNS = re.compile(r"[a-z]+|[A-Z]+|[0-9]+")

_HOST = re.compile(
    r"(?:[A-Za-z0-9_-]+\.)+(?:com|net|org|edu|gov|mil|local|internal|lan|localdomain)\.?(?::)?$"
    r"|(?:[A-Za-z0-9_-]*\.){2,}(?:cn|de|ru|jp|uk|fr|kr|tw|it|nl|br|pl|hu|cz|se|ch|at|eu|au|ca|in)\.?(?::)?$"
)
_NAMING = re.compile(
    r"(?i)(?:^|[_.-])(?:user|username|login|logname|ruser|rhost|host|hostname|addr|address|ip|path|file|filename|dir|url|uri"
    r"|client|peer|session|thread|pod|container|tty|dev|device|trace|span|request|name|id)$"
)

# A place where one of these was or may come is never silently a variable: "job … completed" and "job … failed" stay two
# templates however many other words were seen there.
_DECISIVE = re.compile(
    r"(?i)fail|error|refus|den(?:y|ied)|reject|time[- ]?d?[- ]?out|abort|kill|crash|lost|unreach|invalid|corrupt|unable|cannot"
    r"|panic|fatal|exception|dead|drop|disconnect|unavail|overflow|exceed|exhaust|expir|mismatch|illegal|unauthor|forbid"
    r"|violat|missing|unknown|critical|emerg|alert|warn|degrad|stuck|hung|stall|terminat|interrupt|success|succe|accept"
    r"|complete|失败|错误|异常|超时|拒绝|成功|ошибк|отказ|успе"
)
_STATE = frozenset(
    "up down on off true false yes no ok none null nil enabled disabled started stopped paused resumed open opened closed"
    " running ready active inactive healthy unhealthy online offline".split()
)


def is_random(token: str) -> bool:
    """Say whether the letters and digits of `token` follow one another as in base64, not as in words."""
    if not any(c.isdigit() for c in token):
        return False
    runs = _RUNS.findall(token)
    digit_runs = sum(run[0].isdigit() for run in runs)
    return digit_runs >= 3 and len(runs) >= 0.4 * len(token)


def is_variable(word: str, key: str = "") -> bool:
    """Say whether `word` (without digits), standing after `key=`, is a variable by its looks: path, host, name."""
    if word[0] == "/" and len(word) > 1 and word.strip("/-.:_"):
        return True
    if "/" in word and ("://" in word or word.count("/") > 1) and any(c.isalpha() for c in word):
        return True
    if key and _NAMING.search(key) and any(c.isalpha() for c in word) and not is_decisive(word):
        return True
    return "." in word and bool(_HOST.match(word))


def is_decisive(word: str) -> bool:
    """Say whether `word` may decide what a line says, so that no variable place may swallow it."""
    return word.lower() in _STATE or (len(word) < 40 and bool(_DECISIVE.search(word)))
