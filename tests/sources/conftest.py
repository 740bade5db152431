"""How do the tests of reading get at logs?"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jamais.sources.reader import RecordReader, open_records
from jamais.sources.records import Head
from jamais.sources.settings import ReadingSettings
from jamais.types import NO_TIME


@dataclass
class Whole:
    """All records of a log, flattened."""

    reader: RecordReader
    heads: list[Head]
    raw: list[bytes]
    texts: list[str]
    times: list[datetime | None]
    lines: list[int]
    files: list[int]

    @property
    def messages(self) -> list[str]:
        return [head.message for head in self.heads]


def moment(micros: int) -> datetime | None:
    return None if micros == NO_TIME else datetime.fromtimestamp(micros / 1e6, UTC)


def read_whole(data: Any, chunk_bytes: int = 8 << 20, **settings: Any) -> Whole:
    reader = open_records(data, options=ReadingSettings(**settings), chunk_bytes=chunk_bytes)
    whole = Whole(reader, [], [], [], [], [], [])
    for batch in reader:
        assert len(batch.blob.split(b"\n")) == len(batch.raw) == len(batch) == len(batch.line) == len(batch.file)
        whole.heads += [batch.head(i) for i in range(len(batch))]
        whole.texts += [batch.text(i) for i in range(len(batch))]
        whole.raw += batch.raw
        whole.times += [moment(int(one)) for one in batch.time]
        whole.lines += batch.line.tolist()
        whole.files += batch.file.tolist()
    return whole


@pytest.fixture
def read() -> Callable[..., Whole]:
    return read_whole


@pytest.fixture
def sample() -> Callable[[str], Path]:
    return lambda name: Path(__file__).parent / "data" / name


@pytest.fixture
def shared_data() -> Path:
    there = Path(os.environ.get("JAMAIS_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not there.is_dir():
        pytest.skip(f"real logs are not at {there}: set JAMAIS_DATA")
    return there
