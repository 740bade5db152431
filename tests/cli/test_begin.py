"""Do line numbers of a watch fit the file, wherever in it the watch began?"""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

DISK = "2026-03-02 09:00:0{} ERROR disk: write failed on sdb, device vanished\n"
FAN = "2026-03-02 09:01:0{} WARN fan: stuck at zero speed, chassis melting\n"
POWER = "2026-03-02 09:02:0{} CRIT power: phase lost on both feeds\n"


def test_lines_have_the_numbers_of_their_file(lines_kept: Path, normal: Path, tmp_path: Path, child: Any) -> None:
    log = Path(shutil.copy(normal, tmp_path / "app.log"))
    n_lines = len(normal.read_text().splitlines())
    first = child("watch", lines_kept, log, "--json", "--resume")
    first.wait_for("watching", "err")
    with log.open("a") as file:
        file.write(DISK.format(1))
    assert json.loads(first.wait_for("vanished")[1])["line"] == n_lines + 1
    log.rename(tmp_path / "app.log.1")
    log.write_text(shop := normal.read_text().splitlines(keepends=True)[0] + FAN.format(1))
    assert json.loads(first.wait_for("melting")[1])["line"] == 2
    assert first.end(signal.SIGTERM).code == 0
    log.write_text(shop + shop.splitlines(keepends=True)[0] + POWER.format(1))
    second = child("watch", lines_kept, log, "--json", "--resume")
    assert json.loads(second.wait_for("phase lost")[1])["line"] == 4
    assert second.end(signal.SIGTERM).code == 0
