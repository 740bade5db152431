"""Does a watch go on, and say what is lost, when the file of alarms cannot be written to?"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jamais.cli.live.alarm_log import AlarmLog


class Device:
    """A file with room for so many bytes."""

    def __init__(self, room: int) -> None:
        self.room, self.written = room, b""

    def write(self, data: bytes) -> int:
        if not self.room:
            raise OSError(28, "No space left on device")
        taken = bytes(data[: self.room])
        self.written += taken
        self.room -= len(taken)
        return len(taken)


def test_alarms_on_a_full_disk_are_lost_with_one_warning_and_later_ones_are_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Device(25)
    with AlarmLog(str(tmp_path / "alarms.jsonl")) as log:
        monkeypatch.setattr(log, "_file", device)
        for cause in "abc":
            log.add({"cause": cause})
        device.room = 1000
        log.add({"cause": "d"})
        log.add({"cause": "e"})
    lines = device.written.decode().split("\n")
    assert [json.loads(lines[at])["cause"] for at in (0, 2, 3)] == ["a", "d", "e"]
    assert lines[1] == '{"cause": '
    assert lines[4:] == [""]
    warning, end = capsys.readouterr().err.splitlines()
    assert "No space left on device; they are told on standard output only" in warning
    assert "2 alarms could not be written" in end


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_under_the_alarms_file_does_not_end_the_watch(
    lines_kept: Path, today: Path, child: Callable[..., Any]
) -> None:
    watching = child("watch", lines_kept, "-", "--alarms", "/dev/full")
    watching.write(today.read_text())
    said = watching.end()
    assert said.code == 0
    assert "write failed on sdb" in said.out
    assert said.err.count("No space left on device") == 1
    assert "3 alarms could not be written to /dev/full" in said.err
