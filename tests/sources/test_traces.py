"""Do stack traces and PostgreSQL's further lines belong to the record above?"""

from __future__ import annotations

from typing import Any


def test_a_java_trace_belongs_to_the_line_that_logged_it(read: Any, sample: Any) -> None:
    whole = read(sample("java.log"))
    assert whole.lines == [1, 2, 11, 12]
    assert whole.raw[1].count(b"\n") == 8
    assert whole.messages[1] == (
        "cannot store order 4711 | com.example.shop.StoreException: order 4711 not stored | Caused by: "
        "java.sql.SQLTransientConnectionException: pool-1 - Connection is not available, "
        "request timed out after 30000ms."
    )
    assert whole.heads[1].source == "com.example.shop.Orders"


def test_a_chained_python_trace_is_known_by_its_last_line(read: Any, sample: Any) -> None:
    whole = read(sample("python.log"))
    assert whole.lines == [1, 2, 17]
    assert whole.messages[1] == "cannot price item 9 | shop.price.PriceError: no rate for XDR"


def test_a_known_line_with_another_exception_looks_different(read: Any) -> None:
    def lines(error: str) -> list[str]:
        return [
            "2026-11-22 05:10:00 ERROR shop: failed",
            "Traceback (most recent call last):",
            '  File "/srv/a.py", line 1, in a',
            error,
            "2026-11-22 05:10:01 INFO shop: ready",
        ]

    first, second = read(lines("KeyError: 'x'")).messages[0], read(lines("OSError: disk full")).messages[0]
    assert first == "failed | KeyError: 'x'"
    assert second == "failed | OSError: disk full"


def test_frames_do_not_change_what_a_trace_is_known_by(read: Any, sample: Any) -> None:
    text = sample("java.log").read_text()
    other = text.replace("Store.java:88", "Other.java:9")
    assert read(text.splitlines()).messages == read(other.splitlines()).messages


def test_without_time_stamps_only_clear_continuations_join(read: Any, sample: Any) -> None:
    whole = read(sample("untimed.log"))
    assert whole.messages == [
        "starting worker 1",
        "worker 1 ready",
        "cannot open queue | TimeoutError: queue 4 did not answer",
        "starting worker 2",
        "java.lang.IllegalStateException: no queue | Caused by: java.net.ConnectException: refused",
        "worker 2 ready | indented detail of worker 2",
        "worker 3 ready",
    ]


def test_further_lines_of_postgres_find_the_process_they_belong_to(read: Any, sample: Any) -> None:
    whole = read(sample("postgres.log"))
    assert whole.lines == [1, 2, 7, 8]
    assert whole.raw[2].count(b"\n") == 1
    assert b"pg_hba" in whole.raw[2]
    whole = read(sample("syslog_iso.log"))
    assert whole.raw[2].count(b"\n") == 2
    assert whole.raw[3].count(b"\n") == 0


def test_a_pattern_can_say_where_records_start(read: Any) -> None:
    lines = ["BEGIN a", "x", "y", "BEGIN b", "z"]
    assert read(lines, record_start="^BEGIN").raw == [b"BEGIN a\nx\ny", b"BEGIN b\nz"]


def test_a_record_is_cut_at_64_kib_and_counted(read: Any) -> None:
    usual = ["2026-11-22 05:10:00 INFO a: tick"] * 200
    lines = [*usual, "2026-11-22 05:10:00 INFO a: dump", *["x" * 1000] * 100, "2026-11-22 05:10:01 INFO a: on"]
    whole = read(lines)
    assert [len(raw) for raw in whole.raw[200:]] == [1 << 16, len(lines[-1])]
    assert whole.reader.counts["over_long"] == 1
