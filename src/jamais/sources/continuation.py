"""Which lines belong to the record above, and what of them matters?"""

from __future__ import annotations

import re
from collections.abc import Sequence

TRACEBACK = b"Traceback (most recent call last)"

_CONTINUES = re.compile(
    rb"[ \t]|#011|at [\w$.<>/]+\(|Caused by:|Suppressed:|\.\.\. \d+ (?:more|common frames)|Traceback \(most recent"
    rb"|During handling of the above exception|The above exception was the direct cause"
    rb"|goroutine \d+ \[|created by |\[signal SIG|exit status \d"
)
_LIKELY = re.compile(rb"Traceback|Exception|Caused by|panic:|:\s*$|Error:?\s*$|\((?:most recent|stack)")
POSTGRES_MORE = re.compile(rb"(?:^|[\s\]])(?:DETAIL|HINT|STATEMENT|CONTEXT|QUERY):  ")
_POSTGRES_HEAD = re.compile(rb"(?:^|[\s\]])(?:ERROR|FATAL|PANIC|LOG|WARNING|NOTICE):  ")
_EXCEPTION = re.compile(rb"(?:[a-z]\w*\.)+[A-Z]\w*(?:Exception|Error|Throwable)\b")
_PYTHON_END = re.compile(rb"[A-Za-z_][\w.]*(?::|$)")
_FAILURE = re.compile(rb"error|exception|fail|fatal|warn|severe|critical|cannot|could not", re.I)
_CAUSED = re.compile(r"^\s*Caused by: *(.*)")
_JAVA = re.compile(r"^\s*((?:[a-z]\w*\.)*(?:[A-Z][\w$]*)?(?:Exception|Error|Throwable)\b.*)")
_PYTHON = re.compile(
    r"^((?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Warning|Exit|Interrupt|Iteration|Group)?)(?::|$)(.*)"
)
_DETAIL = re.compile(r"(?:^|[\s\]])(DETAIL|HINT|STATEMENT|CONTEXT|QUERY):  ?(.*)")


def continues(line: bytes) -> bool:
    """Say whether a line without a time stamp is clearly not the first of a record."""
    return _CONTINUES.match(line) is not None


def is_exception(line: bytes) -> bool:
    """Say whether a line is an exception by its class name: it belongs to the line above if that one complains."""
    return _EXCEPTION.match(line) is not None


def speaks_of_failure(line: bytes) -> bool:
    return _FAILURE.search(line, 0, 400) is not None


def is_postgres_more(line: bytes) -> bool:
    """Say whether a line is DETAIL, HINT, STATEMENT, CONTEXT or QUERY of the record above, prefix or not."""
    return POSTGRES_MORE.search(line, 0, 240) is not None


def likely_to_continue(line: bytes) -> bool:
    """Say whether the last line so far of a record is of the kind that more lines follow."""
    return _LIKELY.search(line) is not None or _POSTGRES_HEAD.search(line, 0, 240) is not None


def with_signature(first: str, rest: Sequence[str]) -> str:
    """Join the first line and the lines that tell one failure from another, not every frame."""
    kept = signature(first, rest)
    return " | ".join([first, *kept]) if kept else first


def signature(first: str, rest: Sequence[str]) -> list[str]:
    """Give the lines that matter: a Python trace's last line, Java's exception and causes, the first DETAIL."""
    kept: list[str] = []
    in_python = any("Traceback (most recent" in line for line in [first, *rest])
    python_last = ""
    for line in rest:
        java, cause, detail = _JAVA.match(line), _CAUSED.match(line), _DETAIL.search(line[:240])
        if cause:
            kept.append("Caused by: " + cause[1].strip())
        elif java and not in_python:
            kept.append(java[1].strip())
        elif detail:
            if detail[1] in ("DETAIL", "HINT"):
                kept.append(f"{detail[1]}: {detail[2].strip()}")
        elif in_python and _PYTHON.match(line):
            python_last = line.strip()
    if python_last:
        kept.append(python_last)
    if not kept:
        kept = [line.strip() for line in rest if line.strip() and not _DETAIL.search(line[:240])][:1]
    return [line[:300] for line in kept[:6]]


def ends_traceback(line: bytes) -> bool:
    """Say whether a line is the exception that a Python traceback ends with."""
    return _PYTHON_END.match(line) is not None


def is_traceback_body(lines_so_far: Sequence[bytes], line: bytes) -> bool:
    """Say whether an unindented line ends the Python traceback that the record above is in the middle of."""
    last = lines_so_far[-1]
    return last[:1] in b" \t" and any(TRACEBACK in one for one in lines_so_far[-200:])
