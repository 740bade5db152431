"""Is a log watched as it grows: at once, across rotation and restart, without burying one alarm under another?"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import jamais
from jamais.cli.live.folding import FIRST_WAIT, Folder
from jamais.cli.live.place import Place, PlaceFile
from jamais.cli.live.watching import LONGEST_LINE, QUIET, Ends, Watch
from jamais.errors import InputError, StateError
from jamais.sources.follow import Position

DISK = "2026-03-02 09:00:0{} ERROR disk: write failed on sdb, device vanished\n"
FAN = "2026-03-02 09:01:0{} WARN fan: stuck at zero speed, chassis melting\n"
POWER = "2026-03-02 09:02:0{} CRIT power: phase lost on both feeds\n"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Recorded:
    """A stream that notes what it is told and finds nothing."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.nothing = pl.DataFrame(schema={"abnormal": pl.Boolean, "time": pl.Datetime("us", "UTC")})

    def push_chunk(self, data: bytes) -> pl.DataFrame:
        self.calls.append(data)
        return self.nothing

    def pause(self) -> pl.DataFrame:
        self.calls.append("pause")
        return self.nothing

    def flush(self) -> pl.DataFrame:
        self.calls.append("flush")
        return self.nothing

    def tick(self, seconds: float) -> pl.DataFrame:
        return self.nothing

    def end(self, names: list[str]) -> pl.DataFrame:
        self.calls.append(names)
        return self.nothing

    def state_dict(self) -> dict[str, Any]:
        return {"n": len(self.calls)}


def watch(stream: Recorded, **more: Any) -> Watch:
    return Watch(stream, 1, **more)  # type: ignore[arg-type]


def test_a_line_written_in_two_halves_stays_one_line() -> None:
    stream, clock = Recorded(), Clock()
    watching = watch(stream, clock=clock)

    def blocks() -> Iterator[bytes | None]:
        yield b"first\nseco"
        for _ in range(5):
            clock.now += QUIET
            yield None
        yield b"nd\n"

    watching.run(blocks())
    assert stream.calls == [b"first\n", "pause", b"second\n"]


def test_a_pause_is_told_once_and_only_after_a_quiet_moment() -> None:
    stream, clock = Recorded(), Clock()

    def blocks() -> Iterator[bytes | None]:
        yield b"x\n"
        clock.now += QUIET / 2
        yield None
        assert stream.calls == [b"x\n"]
        clock.now += QUIET
        yield None
        yield None

    watch(stream, clock=clock).run(blocks())
    assert stream.calls == [b"x\n", "pause"]


def test_a_line_without_an_end_does_not_fill_the_memory() -> None:
    stream = Recorded()
    watching = watch(stream)
    for _ in range(40):
        watching.take(b"x" * (LONGEST_LINE // 16))
    assert len(watching.rest) <= LONGEST_LINE
    assert sum(map(len, stream.calls)) + len(watching.rest) == 40 * (LONGEST_LINE // 16)


def test_the_end_of_a_pipe_ends_all_and_a_signal_only_the_record() -> None:
    stream = Recorded()
    watching = watch(stream)
    watching.take(b"x\nhalf")
    watching.finish(ended=True)
    assert stream.calls == [b"x\n", b"half", "flush"]
    stream.calls.clear()
    watching.take(b"y\nhalf")
    watching.finish(ended=False)
    assert stream.calls == [b"y\n", "pause"]
    assert watching.rest == b"half"


def test_a_session_ends_after_the_record_that_ends_it_was_let_go() -> None:
    stream = Recorded()
    ends = Ends("done", lambda lines: [line.split()[0].decode() for line in lines])
    watching = watch(stream, ends=ends)
    watching.take(b"a done\nb going on\nc do")
    assert stream.calls == [b"a done\nb going on\n"]
    watching.take(b"ne\n")
    assert stream.calls[1:] == [b"c done\n", ["a"]]
    watching.pause()
    assert stream.calls[3:] == ["pause", ["c"]]


def test_an_expression_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match=r"--group-end '\(' is no regular expression"):
        Ends("(", lambda lines: [])


def wait_until(done: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def alarm(cause: str) -> dict[str, Any]:
    return {"cause": cause, "why": f"because of {cause}"}


def test_repeats_are_told_at_growing_intervals() -> None:
    clock = Clock()
    folder = Folder(clock)
    assert folder.is_news(alarm("a"))
    told = []
    for second in range(1, 3601):
        clock.now = second
        assert not folder.is_news(alarm("a"))
        told += [(second, one.times) for one in folder.due()]
    assert [second for second, _ in told] == [60, 300, 1260]
    assert [times for _, times in told] == [60, 240, 960]


def test_one_cause_never_hides_another() -> None:
    folder = Folder(Clock())
    assert [folder.is_news(alarm(cause)) for cause in "aabac"] == [True, False, True, False, True]


def test_a_cause_that_was_quiet_for_a_while_is_news_again() -> None:
    clock = Clock()
    folder = Folder(clock)
    assert folder.is_news(alarm("a"))
    clock.now = FIRST_WAIT
    assert list(folder.due()) == []
    assert folder.is_news(alarm("a"))


def test_at_the_end_all_repeats_are_told() -> None:
    folder = Folder(Clock())
    for cause in "aaabb":
        folder.is_news(alarm(cause))
    assert [(one.record["cause"], one.times) for one in folder.due(all_of_it=True)] == [("a", 2), ("b", 1)]


def test_a_place_comes_back_as_it_was(tmp_path: Path) -> None:
    file = PlaceFile(str(tmp_path), "some.log")
    assert file.load() is None
    stream = {"numbers": np.arange(6.0).reshape(2, 3), "deep": {"name": "é\x00", "none": None, "nan": float("nan")}}
    file.save(Place(Position(7, 1234, 3, "ab"), b"half a l\xff", stream, 4))
    saved = file.load()
    assert saved is not None
    assert (saved.position, saved.rest, saved.version) == (Position(7, 1234, 3, "ab"), b"half a l\xff", 4)
    assert np.array_equal(saved.stream["numbers"], stream["numbers"])  # type: ignore[arg-type]
    assert saved.stream["deep"]["name"] == "é\x00"
    assert PlaceFile(str(tmp_path), "other.log").load() is None
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"format": 9}', b'{"format": 0, "position": 3}'])
def test_a_damaged_place_is_told_and_not_guessed(tmp_path: Path, damage: bytes) -> None:
    file = PlaceFile(str(tmp_path), "some.log")
    file.path.write_bytes(damage)
    with pytest.raises(StateError, match="delete the file"):
        file.load()


def test_the_place_is_saved_seldom_when_saving_takes_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, saves = Clock(), []
    watching = watch(Recorded(), clock=clock, place=PlaceFile(str(tmp_path), "x"))
    slow = iter(range(0, 10**6, 10))  # every look at the time is ten seconds later: one save "takes" ten seconds
    monkeypatch.setattr("jamais.cli.live.watching.time.monotonic", lambda: float(next(slow)))
    save = watching.save
    monkeypatch.setattr(watching, "save", lambda: (saves.append(clock.now), save()))

    def blocks() -> Iterator[bytes | None]:
        for _ in range(1000):
            clock.now += 1.0
            yield b"x\n"

    watching.run(blocks())
    assert len(saves) == 5  # a twentieth of the time, not every two seconds


def test_watching_standard_input_gives_the_verdicts_of_score(lines_kept: Path, today: Path, child: Any) -> None:
    watching = child("watch", lines_kept, "-", "--json")
    watching.write(today.read_text())
    said = watching.end()
    wanted = jamais.load(lines_kept).score(today).filter(pl.col("abnormal")).unique("cause", maintain_order=True)
    told = [json.loads(line) for line in said.out.splitlines()]
    first = [one for one in told if "row" in one]
    assert [one["row"] for one in first] == wanted["row"].to_list()
    assert [one["score"] for one in first] == wanted["score"].to_list()
    assert {one["repeats"] for one in told if "repeats" in one} == {2}
    assert said.code == 0
    assert "403 rows" in said.err


def test_sessions_end_at_their_last_line_or_with_the_pipe(sessions_kept: Path, child: Any) -> None:
    watching = child("watch", sessions_kept, "-", "--json", "--group-end", "done 200")
    when = "2026-03-01 00:40:00"
    watching.write(f"{when} INFO web: req=aaaa GET /cart/1\n{when} ERROR db: req=aaaa deadlock, gave up on table\n")
    watching.write(f"{when} INFO web: req=aaaa done 200 in 7 ms\n{when} INFO web: req=bbbb GET /cart/1\n")
    _, line = watching.wait_for("deadlock")
    assert json.loads(line)["group"] == "aaaa"
    assert watching.end().code == 0


def test_group_end_needs_sessions(lines_kept: Path, today: Path, typed: Any) -> None:
    said = typed("watch", lines_kept, today, "--group-end", "done")
    assert said.code == 2
    assert "--group-by" in said.err


def test_standard_input_cannot_be_resumed(lines_kept: Path, typed: Any) -> None:
    said = typed("watch", lines_kept, "-", "--resume")
    assert said.code == 2
    assert "no place to resume at" in said.err


def test_an_alarm_is_printed_within_a_second_of_its_line(
    lines_kept: Path, normal: Path, tmp_path: Path, child: Any
) -> None:
    log = shutil.copy(normal, tmp_path / "app.log")
    watching = child("watch", lines_kept, log)
    watching.wait_for("watching", "err")
    waits = []
    for text, word in ((DISK, "vanished"), (FAN, "melting"), (POWER, "both feeds")):
        with open(log, "a") as file:
            file.write(text.format(1))
        written = time.monotonic()
        waits.append(watching.wait_for(word)[0] - written)
    said = watching.end(signal.SIGINT)
    assert min(waits) < 1.0, waits  # the best of three: other work on this machine is not ours
    assert said.code == 0
    assert "3 rows, 3 alarms" in said.err


@pytest.mark.parametrize("how", ["rename", "truncate"])
def test_a_rotated_log_is_followed(how: str, lines_kept: Path, normal: Path, tmp_path: Path, child: Any) -> None:
    log = Path(shutil.copy(normal, tmp_path / "app.log"))
    watching = child("watch", lines_kept, log)
    watching.wait_for("watching", "err")
    if how == "rename":
        log.rename(tmp_path / "app.log.1")
    else:
        shutil.copy(log, tmp_path / "app.log.1")
        os.truncate(log, 0)
    with log.open("a") as file:
        file.write(DISK.format(1))
    watching.wait_for("vanished")
    said = watching.end(signal.SIGTERM)
    assert said.code == 0
    assert "1 rows, 1 alarms" in said.err


def test_a_resumed_watch_misses_nothing_and_repeats_nothing(
    watcher: Path, today: Path, tmp_path: Path, child: Any
) -> None:
    lines = today.read_text().splitlines(keepends=True)
    log, alarms = tmp_path / "app.log", tmp_path / "alarms.jsonl"
    log.write_text("".join(lines[:150]) + lines[150][:20])  # stopped in the middle of a line
    flags = ("--resume", "--from-start", "--json", "--alarms", alarms)
    first = child("watch", watcher, log, *flags)
    first.wait_for("vanished")
    assert first.end(signal.SIGINT).code == 0
    with log.open("a") as file:
        file.write(lines[150][20:] + "".join(lines[151:300]))
    log.rename(tmp_path / "app.log.1")
    log.write_text("".join(lines[300:]))
    wanted = jamais.load(watcher).score(today).filter(pl.col("abnormal"))
    second = child("watch", watcher, log, *flags)
    second.wait_for("vanished")
    wait_until(lambda: len(alarms.read_text().splitlines()) >= len(wanted))
    assert second.end(signal.SIGTERM).code == 0
    records = [json.loads(line) for line in alarms.read_text().splitlines()]
    assert [record["row"] for record in records] == wanted["row"].to_list()
    assert [record["score"] for record in records] == wanted["score"].to_list()
    assert jamais.load(watcher).history()[-1].number == 1
    assert list(watcher.glob("watch-*.tmp")) == []


def test_a_killed_watch_tells_alarms_twice_rather_than_never(
    watcher: Path, today: Path, tmp_path: Path, child: Any
) -> None:
    log, alarms = tmp_path / "app.log", tmp_path / "alarms.jsonl"
    lines = today.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:250]))
    flags = ("--resume", "--from-start", "--alarms", alarms)
    first = child("watch", watcher, log, *flags)
    first.wait_for("vanished")
    first.end(signal.SIGKILL)
    with log.open("a") as file:
        file.write("".join(lines[250:]))
    second = child("watch", watcher, log, *flags)
    wanted = set(jamais.load(watcher).score(today).filter(pl.col("abnormal"))["row"])
    wait_until(lambda: {json.loads(line)["row"] for line in alarms.read_text().splitlines()} == wanted)
    assert second.end(signal.SIGINT).code == 0


def test_a_newer_watcher_goes_on_at_the_place_of_the_older(
    watcher: Path, today: Path, tmp_path: Path, child: Any
) -> None:
    log = tmp_path / "app.log"
    log.write_text("".join(today.read_text().splitlines(keepends=True)[:40]))
    first = child("watch", watcher, log, "--resume", "--from-start")
    first.wait_for("watching", "err")
    assert first.end(signal.SIGINT).code == 0
    loaded = jamais.load(watcher)
    loaded.set_alarm_rate(0.01)
    loaded.save()
    second = child("watch", watcher, log, "--resume")
    second.wait_for("watching", "err")
    with log.open("a") as file:
        file.write(DISK.format(1))
    second.wait_for("vanished")
    said = second.end(signal.SIGINT)
    assert (said.code, "1 rows, 1 alarms" in said.err) == (0, True)


@pytest.mark.parametrize("told", ["alarm", "silence"])
def test_a_closed_pipe_ends_the_watch_quietly(told: str, lines_kept: Path, normal: Path, tmp_path: Path) -> None:
    log = Path(shutil.copy(normal, tmp_path / "app.log"))
    reading, writing = os.pipe()
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-m", "jamais", "watch", str(lines_kept), str(log)]
    process = subprocess.Popen(command, stdout=writing, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=env)
    os.close(writing)
    assert process.stderr is not None
    with process, process.stderr:
        assert b"watching" in process.stderr.readline()
        os.close(reading)
        if told == "alarm":
            with log.open("a") as file:
                file.write(DISK.format(1))
        rest = process.stderr.read()
        assert process.wait(30) == 0
    assert b"Traceback" not in rest
    assert b"Broken" not in rest


def test_alarms_file_that_cannot_be_written_is_told(lines_kept: Path, today: Path, tmp_path: Path, typed: Any) -> None:
    said = typed("watch", lines_kept, today, "--alarms", tmp_path / "no" / "x.jsonl")
    assert said.code == 2
    assert "cannot write" in said.err
