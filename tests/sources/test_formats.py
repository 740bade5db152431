"""Is each format recognised, and does each part of a line go where it belongs?"""

from __future__ import annotations

from typing import Any

import pytest

# file -> format, then per record: line, time (UTC, as ISO, None), level, source, host, message
EXPECTED: dict[str, tuple[str, list[tuple[int, str | None, str, str, str, str]]]] = {
    "text.log": (
        "text",
        [
            (1, "05:10:00.123000", "INFO", "shop.cart", "", "cart 17 opened"),
            (2, "05:10:00.250000", "INFO", "shop.cart", "", "item 4 added to cart 17"),
            (3, "05:10:01.004000", "WARNING", "shop.pay", "", "payment provider answered after 3120 ms"),
            (4, "05:10:01.900000", "ERROR", "shop.pay", "", "payment of cart 17 failed"),
            (5, "05:10:02", "DEBUG", "shop.cart", "", "cart 17 kept"),
        ],
    ),
    "json.log": (
        "json",
        [
            (1, "05:10:00.123000", "INFO", "shop.cart", "", "cart opened"),
            (2, "05:10:00.500000", "WARNING", "shop.pay", "", "slow provider"),
            (
                3,
                "04:10:01",
                "ERROR",
                "shop.pay",
                "",
                "payment failed | Error: declined | Caused by: TimeoutError: bank",
            ),
            (4, "05:10:02", "INFO", "", "web1", "pino says hello"),
            (5, None, "", "", "", "this line is no JSON"),
            (6, "05:10:03.250000", "ERROR", "", "", "zap says no"),
            (7, "05:10:04", "DEBUG", "", "", "three | lines"),
            (8, None, "", "", "", "count=3 state=idle"),
        ],
    ),
    "logfmt.log": (
        "logfmt",
        [
            (1, "05:10:00", "INFO", "cart", "", "cart opened"),
            (2, "05:10:01", "WARNING", "pay", "", 'slow "provider" answered'),
            (3, "05:10:02.500000", "ERROR", "", "web1", "failed"),
        ],
    ),
    "cri.log": (
        "cri",
        [
            (1, "05:10:00.123456", "", "", "", "starting shop 1.4"),
            (3, "05:10:01", "", "", "", "ready on port 8080"),
            (2, "05:10:01", "", "", "", "a long line that the runtime cut into three parts"),
            (
                6,
                "04:10:02",
                "",
                "",
                "",
                "java.lang.IllegalStateException: closed | at com.example.Shop.run(Shop.java:3)",
            ),
            (8, "05:10:03", "", "", "", "stopped"),
        ],
    ),
    "docker.log": (
        "docker",
        [
            (1, "05:10:00.100900", "INFO", "shop", "", "ready"),
            (2, "05:10:01.100900", "ERROR", "shop", "", "broke | ValueError: bad"),
            (6, "05:10:02.101000", "INFO", "shop", "", "part one and two"),
        ],
    ),
    "docker_json.log": (
        "docker",
        [
            (1, "05:10:00.100000", "INFO", "", "", "ready"),
            (2, "05:10:01.100000", "ERROR", "", "", "broke"),
            (3, "05:10:02.100000", "INFO", "", "", "gone"),
        ],
    ),
    "journal.json": (
        "journal",
        [
            (1, "05:10:00.123456", "INFO", "sshd", "web1", "Accepted publickey for ops"),
            (2, "05:10:01", "WARNING", "kernel", "web1", "oom: killed process 4711 (java)"),
            (3, "05:10:02", "ERROR", "postgres", "web1", "deadlock detected"),
            (4, "05:10:03", "ERROR", "app", "web1", "h\ufffdi"),
        ],
    ),
    "journal.export": (
        "journal",
        [
            (1, "05:10:00.123456", "INFO", "sshd", "web1", "Accepted publickey for ops"),
            (8, "05:10:01", "ERROR", "app", "web1", "two | lines!"),
            (18, "05:10:02", "", "cron", "web1", "job done"),
        ],
    ),
    "syslog_bsd.log": (
        "syslog",
        [
            (1, "05:10:00", "", "sshd", "web1", "Accepted publickey for ops from 10.0.0.9 port 5022 ssh2"),
            (2, "05:10:01", "", "kernel", "web1", "oom: killed process 4711 (java)"),
            (3, "05:10:02", "", "app", "web1", "Traceback (most recent call last): | ValueError: no such cart"),
            (4, "05:10:02", "", "cron", "web1", "job done"),
            (7, "05:10:02", "", "app", "web1", "next request"),
            (8, "05:10:02", "", "CRON", "web1", "(root) CMD (true)"),
            (9, "05:10:03", "", "systemd", "web1", "Started session 4."),
        ],
    ),
    "syslog_pri.log": (
        "syslog",
        [
            (1, "05:10:00", "CRITICAL", "su", "web1", "'su root' failed for ops on /dev/pts/8"),
            (2, "05:10:01", "NOTICE", "app", "web1", "configuration read"),
            (3, "05:10:02", "INFO", "systemd", "web1", "Started session 4."),
        ],
    ),
    "syslog_5424.log": (
        "syslog",
        [
            (1, "05:10:00.003000", "CRITICAL", "su", "web1.example.com", "ID47 'su root' failed for ops"),
            (2, "03:10:01.003000", "NOTICE", "evntslog", "web1", "ID48 An application event"),
            (3, "05:10:02", "INFO", "systemd", "web1", "Started session 4."),
        ],
    ),
    "syslog_iso.log": (
        "syslog",
        [
            (
                1,
                "05:10:00.123456",
                "",
                "nginx",
                "web1",
                '203.0.113.19 "GET /api/items/7 HTTP/1.1" 502 6 "-" "curl/8" 0.003',
            ),
            (
                2,
                "05:10:00.223456",
                "ERROR",
                "nginx",
                "web1",
                "*7 connect() failed (111: Connection refused) while connecting to upstream",
            ),
            (
                3,
                "05:10:01",
                "ERROR",
                "postgres",
                "web1",
                (
                    'duplicate key value violates unique constraint "orders_number_key" '
                    "| DETAIL: Key (number)=(60) already exists."
                ),
            ),
            (4, "05:10:01.000100", "LOG", "postgres", "web1", "duration: 349.321 ms  execute <unnamed>: SELECT 1"),
            (7, "05:10:02", "WARNING", "redis", "web1", "Cannot allocate memory"),
            (8, "05:10:02.500000", "INFO", "app", "web1", "GET /api/report/60 200 report 354ms"),
        ],
    ),
    "access.log": (
        "access",
        [
            (1, "05:10:00", "", "", "", '10.0.0.7 "GET /index.html HTTP/1.1" 200 612 "-" "Mozilla/5.0 (X11)"'),
            (
                2,
                "04:10:01",
                "",
                "",
                "",
                '192.168.100.200 "POST /api/pay HTTP/1.1" 502 166 "https://shop.example/" "curl/8.5" 3.120 0.001',
            ),
            (3, "05:10:02", "", "", "", '2001:db8::7 "GET /x?at=2026-01-01T00:00:00 HTTP/2.0" 404 0'),
        ],
    ),
    "nginx_error.log": (
        "text",
        [
            (
                1,
                "05:10:00",
                "ERROR",
                "",
                "",
                "*45 connect() failed (111: Connection refused) while connecting to upstream, client: 10.0.0.7",
            ),
            (2, "05:10:01", "NOTICE", "", "", "signal process started"),
        ],
    ),
    "postgres.log": (
        "text",
        [
            (1, "05:10:00.123000", "LOG", "", "", "database system is ready to accept connections"),
            (
                2,
                "05:10:01.123000",
                "ERROR",
                "",
                "",
                'relation "carts" does not exist at character 15 | HINT: Perhaps you meant "cart".',
            ),
            (
                7,
                "05:10:02.123000",
                "FATAL",
                "",
                "",
                'password authentication failed for user "app" | DETAIL: Connection matched pg_hba.conf line 97',
            ),
            (8, "05:10:02.123000", "LOG", "", "", "checkpoint starting: time"),
        ],
    ),
    "redis.log": (
        "text",
        [
            (1, "05:10:00.001000", "NOTICE", "", "", "oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo"),
            (2, "05:10:00.100000", "WARNING", "", "", "WARNING overcommit_memory is set to 0"),
            (3, "05:10:00.101000", "NOTICE", "", "", "Ready to accept connections"),
        ],
    ),
    "klog.log": (
        "text",
        [
            (1, "05:10:00.123456", "INFO", "controller.go", "", "syncing deployment shop"),
            (2, "05:10:01.123456", "ERROR", "reflector.go", "", "failed to list pods: connection refused"),
            (3, "05:10:02.123456", "WARNING", "cache.go", "", "cache is stale"),
        ],
    ),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_every_part_of_every_line_goes_where_it_belongs(name: str, read: Any, sample: Any) -> None:
    kind, records = EXPECTED[name]
    whole = read(sample(name))
    assert whole.reader.format == kind
    assert whole.messages == [record[5] for record in records]
    got = [
        (line, time and time.time().isoformat(), head.level, head.source, head.host)
        for line, time, head in zip(whole.lines, whole.times, whole.heads, strict=True)
    ]
    assert got == [record[:5] for record in records]
    days = {(time.month, time.day) for time in whole.times if time}
    assert days <= {(11, 22), (11, 3)}


@pytest.mark.parametrize("name", EXPECTED)
def test_naming_the_format_reads_the_same_as_finding_it(name: str, read: Any, sample: Any) -> None:
    kind, _ = EXPECTED[name]
    found, named = read(sample(name)), read(sample(name), input=kind)
    assert found.heads == named.heads
    assert found.times == named.times
    assert found.raw == named.raw


def test_fields_of_json_become_slots_and_keys_can_be_asked_for(read: Any, sample: Any) -> None:
    whole = read(sample("json.log"))
    assert whole.heads[0].fields == {"cart": 17, "user.id": "u1", "user.plan": "gold"}
    (batch,) = list(whole.reader)
    assert batch.field("user.plan") == ["gold", *[None] * 7]
    assert batch.field("level")[:4] == ["info", "warn", "error", "30"]
    (batch,) = list(read(sample("text.log")).reader)
    assert batch.field("level") is None


def test_fresh_values_in_json_do_not_change_what_a_record_is_known_by(read: Any) -> None:
    lines = [
        f'{{"msg":"cart opened","level":"info","id":"{word}","ts":{1795324200 + i}}}' for i, word in enumerate("abc")
    ]
    assert len(set(read(lines).raw)) == 1


def test_the_message_key_may_be_named(read: Any) -> None:
    lines = ['{"msg":"no","inner":{"said":"yes"}}'] * 3
    assert read(lines, input="json", message_key="inner.said").messages == ["yes"] * 3


def test_structured_data_of_rfc_5424_becomes_fields(read: Any, sample: Any) -> None:
    fields = read(sample("syslog_5424.log")).heads[1].fields
    assert fields == {
        "exampleSDID@32473.iut": "3",
        "exampleSDID@32473.eventSource": 'App "x"',
        "meta.seq": "7",
    }


def test_severities_do_not_hide_in_digits(read: Any) -> None:
    lines = [f"<{pri}>Nov 22 05:10:00 web1 app[1]: tick" for pri in (11, 14)]
    whole = read(lines)
    assert [head.level for head in whole.heads] == ["ERROR", "INFO"]
    assert len({raw.translate(None, b"0123456789") for raw in whole.raw}) == 2


def test_a_label_column_in_front_of_bgl_lines_reaches_no_column(read: Any) -> None:
    tail = "1117838570 2005.06.03 R02-M1 2005-06-03-15.42.50.675872 R02-M1 RAS KERNEL FATAL data TLB error interrupt"
    plain, labelled = read([f"- {tail}"] * 3).heads[0], read([f"KERNDTLB {tail}"] * 3).heads[0]
    assert plain == labelled
    assert (plain.message, plain.level, plain.source, plain.host) == (
        "data TLB error interrupt", "FATAL", "RAS KERNEL", "R02-M1",
    )  # fmt: skip


def test_text_shows_the_line_as_its_writer_wrote_it(read: Any, sample: Any) -> None:
    for name in ("json.log", "docker_json.log", "java.log", "access.log"):
        written = sample(name).read_text().splitlines()
        whole = read(sample(name))
        for line, text in zip(whole.lines, whole.texts, strict=True):
            assert text in written[line - 1] or name == "docker_json.log"
    assert len(read(["x" * 5000, "y"]).texts[0]) == 500
