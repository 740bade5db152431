"""Do pieces of any size give what the whole gives, and does nothing go missing?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jamais.errors import InputError
from jamais.sources.assembler import RecordAssembler
from jamais.sources.reader import open_records
from jamais.sources.records import Records
from jamais.sources.settings import ReadingSettings

DATA = Path(__file__).parent / "data"
SINGLE = [
    "text.log", "logfmt.log", "docker_json.log", "journal.json", "syslog_pri.log", "syslog_5424.log", "access.log",
    "nginx_error.log", "redis.log", "klog.log", "json.log",
]  # fmt: skip
SEVERAL = ["java.log", "python.log", "cri.log", "docker.log", "syslog_bsd.log", "syslog_iso.log", "postgres.log"]
OPTIONS = ReadingSettings()


def flat(batches: list[Records]) -> list[tuple[bytes, int, int]]:
    return [
        (raw, int(time), int(line))
        for batch in batches
        for raw, time, line in zip(batch.raw, batch.time, batch.line, strict=True)
    ]


def whole(name: str) -> tuple[list[tuple[bytes, int, int]], Any]:
    reader = open_records(DATA / name, options=OPTIONS)
    return flat(list(reader)), reader.profile


@pytest.mark.parametrize("name", [*SINGLE, *SEVERAL, "journal.export"])
@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_bytes_in_pieces_give_the_records_of_the_whole(name: str, size: int) -> None:
    want, profile = whole(name)
    data = (DATA / name).read_bytes()
    assembler = RecordAssembler(OPTIONS, profile, reference=(DATA / name).stat().st_mtime)
    got = [assembler.push_chunk(data[i : i + size]) for i in range(0, len(data), size)]
    if name in SINGLE or name == "journal.export":
        assert flat([*got, assembler.flush()]) == want
    else:  # a cut inside the first record of its kind may split it, but no line is lost
        lines = b"\n".join(raw for raw, _, _ in flat([*got, assembler.flush()])).split(b"\n")
        assert sorted(lines) == sorted(b"\n".join(raw for raw, _, _ in want).split(b"\n"))


@pytest.mark.parametrize("name", SINGLE)
def test_lines_pushed_one_by_one_come_back_at_once(name: str) -> None:
    want, profile = whole(name)
    assembler = RecordAssembler(OPTIONS, profile, reference=(DATA / name).stat().st_mtime)
    got = [assembler.push([line]) for line in (DATA / name).read_text().splitlines()]
    assert flat([*got, assembler.flush()]) == want
    assert sum(len(batch) == 1 for batch in got) >= len(want) - 2


@pytest.mark.parametrize("name", SINGLE)
def test_without_a_profile_the_format_is_found_on_the_way(name: str) -> None:
    want, _ = whole(name)
    data = (DATA / name).read_bytes()
    assembler = RecordAssembler(OPTIONS, reference=(DATA / name).stat().st_mtime)
    got = [assembler.push(data.split(b"\n")[:-1])]
    assert flat([*got, assembler.flush()]) == want


def test_a_format_that_shows_only_after_some_lines_is_still_found() -> None:
    assembler = RecordAssembler(OPTIONS)
    for i in range(40):
        assembler.push([f"listening {i}" if i < 2 else f"10.0.0.{i} node{i} 17953242{i:02d} tick {i}"])
    assert assembler.format == "text"
    assert assembler.push(["10.0.0.1 node1 1795324299 tick"]).time.tolist() == [1795324299 * 1_000_000]


def test_a_record_that_goes_on_waits_for_its_lines() -> None:
    assembler = RecordAssembler(OPTIONS)
    assert len(assembler.push(["2026-11-22 05:10:00 INFO a: ready"])) == 1
    assert len(assembler.push(["2026-11-22 05:10:01 ERROR a: request 1 broke with an Exception"])) == 0
    assert len(assembler.push(["Traceback (most recent call last):", '  File "a.py", line 1, in a'])) == 0
    assert len(assembler.push(["ValueError: no"])) == 0
    done = assembler.push(["2026-11-22 05:10:02 INFO a: ready"])
    assert [done.head(i).message for i in range(2)] == ["request 1 broke with an Exception | ValueError: no", "ready"]


def test_a_kind_of_line_that_was_continued_once_waits_from_then_on() -> None:
    assembler = RecordAssembler(OPTIONS)
    lines = ["2026-11-22 05:10:00 INFO a: table 1 is", "  a b c", "2026-11-22 05:10:01 INFO a: ready"]
    assert len(assembler.push(lines)) == 2
    assert len(assembler.push(["2026-11-22 05:10:02 INFO a: table 2 is"])) == 0
    assert len(assembler.push(["  d e f", "2026-11-22 05:10:03 INFO a: ready"])) == 2


def test_postgres_errors_wait_for_their_statement_until_flushed() -> None:
    assembler = RecordAssembler(OPTIONS)
    head = "2026-11-22 05:10:01.123 UTC [124] shop@shop "
    assert len(assembler.push([head + "ERROR:  deadlock detected"])) == 0
    assert len(assembler.push([head + "STATEMENT:  SELECT 1"])) == 0
    (raw,) = assembler.flush().raw
    assert raw.count(b"\n") == 1


def test_a_saved_assembler_goes_on_as_if_never_stopped() -> None:
    for name in [*SINGLE, *SEVERAL, "journal.export"]:
        data = (DATA / name).read_bytes()
        for cut in range(0, len(data), 97):
            straight = RecordAssembler(OPTIONS, reference=1.8e9)
            want = flat([straight.push_chunk(data[:cut]), straight.push_chunk(data[cut:]), straight.flush()])
            first = RecordAssembler(OPTIONS, reference=1.8e9)
            got = flat([first.push_chunk(data[:cut])])
            second = RecordAssembler(OPTIONS, reference=0.0)
            second.load_state_dict(json.loads(json.dumps(first.state_dict())))
            got += flat([second.push_chunk(data[cut:]), second.flush()])
            assert got == want, (name, cut)
            assert second.counts == straight.counts
            assert second.state_dict() == straight.state_dict()


HARD_LINES = [
    b"2026-11-22 05:10:00 INFO a: x", b"", b"\r", b"  at x", b"\xff\xfe", b"\0\0", b"{", b'{"msg":1}', b"Nov 22",
    b'{"log":"a\\n","time":1}', b"2026-11-22T05:10:00Z stdout P x", b"a=1 b=2", b"__CURSOR=1", b"\x1f\x1e", b"<1>",
    b"Nov 22 05:10:00 h a[1]: Traceback (most recent call last):", b"Nov 22 05:10:00 h a[1]:  x", b"] DETAIL:  x",
    b"99:99:99 x", b"0000-00-00 00:00:00 x", b"9999-12-31 23:59:59+9999 x", b'"\\ud800"', b'{"time":1e300,"msg":[]}',
]  # fmt: skip
some_bytes = st.one_of(st.binary(max_size=400), st.lists(st.sampled_from(HARD_LINES), max_size=30).map(b"\n".join))


@given(some_bytes, st.integers(1, 60), st.sampled_from(["auto", "json", "syslog", "docker", "cri", "logfmt", "access"]))
@example(b"\n", 1, "auto")
@example(b"0000-00-00T.Z stdout P\n\x00", 1, "auto")
@example(b"0001-01-01 00:00:00 x\n" * 3, 5, "auto")
@settings(max_examples=300, deadline=None, derandomize=True)
def test_any_bytes_are_read_and_every_line_is_accounted_for(data: bytes, size: int, kind: str) -> None:
    assembler = RecordAssembler(ReadingSettings(input=kind, timezone="Europe/Berlin"))
    batches = [assembler.push_chunk(data[i : i + size]) for i in range(0, len(data), size)]
    batches.append(assembler.flush())
    for batch in batches:
        assert len(batch.blob.split(b"\n")) == len(batch) or not len(batch)
        for i in range(len(batch)):
            batch.head(i)
            batch.text(i)
        batch.field("a")
    if b"__CURSOR" not in data:
        assert assembler.counts["lines"] == data.count(b"\n") + (not data.endswith(b"\n") and data != b"")
        if b"std" not in data and b'"log"' not in data:  # else container lines may have been joined
            inside = sum(raw.count(b"\n") + 1 for batch in batches for raw in batch.raw)
            if assembler.profile and assembler.profile.inner in ("text", "syslog", "access"):
                assert inside + assembler.counts["blank"] == assembler.counts["lines"]
            else:
                assert sum(map(len, batches)) + assembler.counts["blank"] == assembler.counts["lines"]


@given(some_bytes, st.integers(64, 300))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_any_file_is_read_or_refused_in_one_sentence(data: bytes, size: int) -> None:
    said = ""
    try:
        for batch in open_records(iter([data[i : i + size] for i in range(0, len(data), size)]), options=OPTIONS):
            assert len(batch)
    except InputError as wrong:
        said = str(wrong)
    assert "\n" not in said
