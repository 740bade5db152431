"""Which sentences say "failed" and which say "ok"?  Written blind, before any figure was seen.

Twelve themes; in each the two sides speak of the same things, so that the difference of their means is the
outcome and not the theme. The words are those of ordinary programs; no log data set was read for them.
"""

from __future__ import annotations

PAIRS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        "operation",
        (
            "the operation failed",
            "could not complete the request",
            "task aborted with an error",
            "unable to finish the job",
            "command rejected: invalid state",
            "the update was not applied",
        ),
        (
            "the operation completed",
            "request completed",
            "task done",
            "job finished successfully",
            "command accepted",
            "the update was applied",
        ),
    ),
    (
        "process",
        (
            "process crashed",
            "the service was killed",
            "worker terminated unexpectedly",
            "program died, core dumped",
            "cannot start the server",
            "daemon exited with a bad status",
        ),
        (
            "process started",
            "the service is running",
            "worker finished normally",
            "program exited normally",
            "server is ready and listening",
            "daemon stopped on request",
        ),
    ),
    (
        "data",
        (
            "data lost",
            "file is corrupt",
            "checksum mismatch",
            "cannot read block from disk",
            "table is damaged and inconsistent",
            "write failed, contents are invalid",
        ),
        (
            "data saved",
            "file opened for reading",
            "checksum verified",
            "block read from disk",
            "table checked and consistent",
            "write finished, contents are valid",
        ),
    ),
    (
        "network",
        (
            "connection refused",
            "connection reset by peer",
            "request timed out",
            "host is unreachable",
            "network link is down",
            "packets dropped",
        ),
        (
            "connection accepted",
            "connection established with peer",
            "request answered",
            "host is reachable",
            "network link is up",
            "packets received",
        ),
    ),
    (
        "resources",
        (
            "out of memory",
            "no space left on disk",
            "too many open files",
            "queue overflow",
            "limit exceeded, resources exhausted",
            "system overloaded",
        ),
        (
            "memory usage report",
            "disk space summary",
            "number of open files",
            "queue length",
            "limits set from configuration",
            "system load statistics",
        ),
    ),
    (
        "access",
        (
            "permission denied",
            "authentication failed for user",
            "certificate expired",
            "access violation",
            "login rejected: wrong password",
        ),
        (
            "permission granted",
            "user authenticated",
            "certificate loaded",
            "access allowed",
            "login accepted for user",
        ),
    ),
    (
        "hardware",
        (
            "hardware fault detected",
            "device is not responding",
            "uncorrectable memory error",
            "temperature above critical threshold",
            "power supply failure",
            "drive failed and was taken offline",
        ),
        (
            "hardware detected",
            "device registered",
            "memory test passed",
            "temperature is normal",
            "power supply on",
            "drive found and brought online",
        ),
    ),
    (
        "time",
        (
            "heartbeat missed",
            "clock out of sync",
            "watchdog expired",
            "deadlock detected, thread is hung",
            "stale handle",
            "deadline missed, stuck waiting",
        ),
        (
            "heartbeat received",
            "clock synchronized",
            "timer set",
            "thread started and waiting for work",
            "fresh handle",
            "scheduled to run at the given time",
        ),
    ),
    (
        "report",
        (
            "error",
            "fatal error, stopping",
            "critical problem",
            "severe failure alarm",
            "bad and unexpected value",
        ),
        (
            "information",
            "status report",
            "configuration loaded",
            "statistics for the last interval",
            "current value of the setting",
        ),
    ),
    (
        "code",
        (
            "unhandled exception",
            "null pointer, segmentation fault",
            "assertion failed",
            "panic: internal error",
            "illegal instruction",
        ),
        (
            "handler registered",
            "pointer initialized, memory mapped",
            "check passed",
            "debug: internal state",
            "executing instruction",
        ),
    ),
    (
        "repair",
        (
            "giving up after several retries",
            "failover failed",
            "could not recover",
            "errors were found",
            "some items are missing or broken",
        ),
        (
            "retry succeeded",
            "failover completed",
            "recovered from the error",
            "no errors were found",
            "0 failures, all items are fine",
        ),
    ),
    (
        "cluster",
        (
            "node is down",
            "quorum lost",
            "replica is unavailable",
            "member removed because it does not answer",
            "lost contact with the master",
        ),
        (
            "node is up",
            "quorum reached",
            "replica is available",
            "member joined the cluster",
            "in contact with the master",
        ),
    ),
)
