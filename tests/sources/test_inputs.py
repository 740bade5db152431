"""Can logs come from anywhere, and is what cannot be read refused in one sentence?"""

from __future__ import annotations

import gzip
import io
import lzma
import os
import random
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from jamais.errors import InputError

LINES = [f"2026-11-22 05:10:{i % 60:02d} INFO a.b: event {i} of {'x' * (i % 50)}" for i in range(500)]
TEXT = ("\n".join(LINES) + "\n").encode()


@pytest.mark.parametrize("size", [1 << 10, 1 << 12, 70_000, 8 << 20])
def test_chunks_of_any_size_give_the_same_records(size: int, tmp_path: Path, read: Any) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(TEXT * 10)
    whole = read(log, chunk_bytes=size)
    assert whole.raw == [line.encode() for line in LINES * 10]
    assert whole.lines == list(range(1, 5001))
    assert whole.reader.bytes_done == whole.reader.bytes_total == len(TEXT) * 10


@pytest.mark.parametrize("size", [100, 1000, 1 << 17])
def test_traces_across_chunks_stay_whole(size: int, tmp_path: Path, read: Any) -> None:
    rng = random.Random(0)
    lines = []
    for i in range(400):
        lines.append(f"2026-11-22 05:10:00 ERROR a: broke {i}")
        lines += [f"\tat com.example.A.b(A.java:{j})" for j in range(rng.randrange(4))]
    log = tmp_path / "a.log"
    log.write_text("\n".join(lines))
    assert read(log, chunk_bytes=size).raw == read(log).raw
    assert len(read(log).raw) == 400


def test_compression_is_known_by_magic_not_by_name(tmp_path: Path, read: Any) -> None:
    zstandard = pytest.importorskip("zstandard")
    packed = {"gz": gzip.compress(TEXT), "xz": lzma.compress(TEXT), "zst": zstandard.compress(TEXT), "plain": TEXT}
    for name, content in packed.items():
        log = tmp_path / f"{name}.log"
        log.write_bytes(content)
        assert read(log).raw == [line.encode() for line in LINES]
        with log.open("rb") as file:
            assert read(file).raw == [line.encode() for line in LINES]
    for pack in (gzip.compress, lzma.compress, zstandard.compress):
        two = tmp_path / "two"
        two.write_bytes(pack(TEXT) + pack(TEXT))
        assert len(read(two).raw) == 1000


def test_of_a_truncated_archive_what_could_be_read_is_kept(tmp_path: Path, read: Any) -> None:
    random.seed(0)
    text = "\n".join(f"2026-11-22 05:10:00 INFO a: {random.random()}" for _ in range(30_000)).encode()
    for pack, name in ((gzip.compress, "gz"), (lambda t: lzma.compress(t, preset=0), "xz")):
        log = tmp_path / name
        log.write_bytes(pack(text)[:-40_000])
        whole = read(log)
        assert 15_000 < len(whole.raw) < 30_000
        assert whole.reader.counts["truncated"] == 1
        assert any("cut short" in sentence for sentence in whole.reader.said)


@pytest.mark.parametrize("name", ["gz", "xz", "zst"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_of_a_short_truncated_archive_every_byte_is_kept(share: float, name: str, tmp_path: Path, read: Any) -> None:
    zstandard = pytest.importorskip("zstandard")
    random.seed(0)
    text = "\n".join(f"2026-11-22 05:10:00 INFO a: {random.random()}" for _ in range(12_000)).encode()
    packed: bytes
    if name == "gz":
        packed = gzip.compress(text)
        packed = packed[: int(share * len(packed))]
        wanted = zlib.decompressobj(31).decompress(packed)
    elif name == "xz":
        packed = lzma.compress(text, preset=0)
        packed = packed[: int(share * len(packed))]
        wanted = lzma.LZMADecompressor().decompress(packed)
    else:
        packed = zstandard.compress(text)
        packed = packed[: int(share * len(packed))]
        wanted = zstandard.ZstdDecompressor().decompressobj().decompress(packed)
    log = tmp_path / "cut"
    log.write_bytes(packed)
    whole = read(log)
    assert b"\n".join(whole.raw) == wanted.rstrip(b"\n")
    assert whole.reader.counts["truncated"] == 1
    if share > 0.4:
        assert len(wanted) > 100_000


def test_what_is_no_log_is_refused_in_one_sentence(tmp_path: Path, read: Any) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(bytes(range(256)) * 400)
    zeros = tmp_path / "zeros"
    zeros.write_bytes(b"\0" * 5000)
    for data, said in [
        (tmp_path / "none.log", "no such file"),
        (tmp_path, "is a directory"),
        (str(tmp_path / "*.nothing"), "no file matches"),
        (binary, "no text in"),
        (zeros, "no text in"),
        (42, "cannot read logs from int"),
        ([1, 2], "expected lines of text, got int"),
    ]:
        with pytest.raises(InputError, match=said) as wrong:
            read(data)
        assert "\n" not in str(wrong.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_refused(tmp_path: Path, read: Any) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(TEXT)
    log.chmod(0)
    with pytest.raises(InputError, match="cannot read"):
        read(log)


def test_an_empty_file_yields_nothing(tmp_path: Path, read: Any) -> None:
    for content in (b"", b"\n\n\n"):
        log = tmp_path / "a.log"
        log.write_bytes(content)
        assert read(log).raw == []


def test_damage_is_survived_and_counted(tmp_path: Path, read: Any) -> None:
    log = tmp_path / "a.log"
    bad = [b"2026-11-22 05:10:00 INFO a: caf\xe9", b"", b"\0\0\0\0002026-11-22 05:10:01 INFO a: after a truncation"]
    long = b"2026-11-22 05:10:02 INFO a: " + b"y" * 100_000
    log.write_bytes(TEXT + b"\n".join([*bad, long, b"2026-11-22 05:10:03 INFO a: end"]) + b"\n")
    whole = read(log)
    assert len(whole.raw) == 504
    assert whole.messages[500] == "caf\ufffd"
    assert whole.messages[501] == "after a truncation"
    assert len(whole.raw[502]) == 1 << 16
    counts = {name: n for name, n in whole.reader.counts.items() if n}
    assert counts == {
        "lines": 505, "records": 504, "blank": 1, "undecodable": 1, "nul_bytes": 4, "over_long": 1, "out_of_order": 9,
    }  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks_are_understood(encoding: str, tmp_path: Path, read: Any) -> None:
    log = tmp_path / "a.log"
    log.write_bytes("2026-11-22 05:10:00 INFO a: größer 大\r\n2026-11-22 05:10:01 INFO a: b\r\n".encode(encoding))
    whole = read(log)
    assert whole.messages == ["größer 大", "b"]
    assert whole.reader.counts["undecodable"] == 0


def test_a_glob_is_read_by_first_time_and_a_list_as_given(tmp_path: Path, read: Any) -> None:
    for name, second in (("a", 3), ("b", 1), ("c", 2), ("d", None)):
        text = f"2026-11-22 05:10:0{second} INFO {name}: x\n" if second else "no time here\n"
        (tmp_path / f"{name}.log").write_text(text * 2)
    whole = read(str(tmp_path / "*.log"))
    assert [Path(one).stem for one in whole.reader.files] == ["b", "c", "a", "d"]
    assert whole.files == [0, 0, 1, 1, 2, 2, 3, 3]
    assert whole.lines == [1, 2] * 4
    assert whole.reader.counts["out_of_order"] == 0
    whole = read([tmp_path / "a.log", str(tmp_path / "b.log")])
    assert [Path(one).stem for one in whole.reader.files] == ["a", "b"]


def test_lines_bytes_and_open_files_are_data_too(tmp_path: Path, read: Any) -> None:
    want = [line.encode() for line in LINES]
    assert read(LINES).raw == want
    assert read(iter(want)).raw == want
    assert read(line + "\n" for line in LINES).raw == want
    assert read(io.BytesIO(TEXT)).raw == want
    assert read(io.StringIO(TEXT.decode())).raw == want


def test_tables_are_data_too(read: Any) -> None:
    pandas = pytest.importorskip("pandas")
    columns = {"time": ["2026-11-22T05:10:00Z", "2026-11-22T05:10:01Z"], "message": ["a b", "c\nd"], "size": [1, 2]}
    for table in (pl.DataFrame(columns), pandas.DataFrame(columns)):
        whole = read(table)
        assert whole.messages == ["a b", "c | d"]
        assert whole.heads[1].fields == {"size": 2}
        assert whole.times[1].second == 1
    assert read(pl.DataFrame({"line": LINES})).raw == [line.encode() for line in LINES]
    with pytest.raises(InputError, match="rename the one"):
        read(pl.DataFrame({"a": ["x"], "b": ["y"]}))


def test_a_dash_reads_standard_input() -> None:
    code = (
        "from jamais.sources.reader import open_records\nfrom jamais.sources.settings import ReadingSettings\n"
        "print(sum(len(b) for b in open_records('-', options=ReadingSettings())))"
    )
    done = subprocess.run([sys.executable, "-c", code], input=gzip.compress(TEXT), capture_output=True, check=True)
    assert done.stdout.strip() == b"500"


def test_a_line_without_end_is_bounded(tmp_path: Path, read: Any) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"2026-11-22 05:10:00 INFO a: x\n" + b"z" * (5 << 20) + b"\n2026-11-22 05:10:01 INFO a: y\n")
    for size in (1 << 16, 1 << 20, 8 << 20):
        whole = read(log, chunk_bytes=size)
        assert [len(raw) for raw in whole.raw] == [1 << 16, 29]
        assert whole.reader.counts["over_long"] == 1
