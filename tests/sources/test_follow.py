"""Is nothing lost and nothing read twice while a log is rotated, truncated, missing, or we are away?"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from jamais.errors import InputError, StateError
from jamais.sources.follow import Follower, Position, follow


class Ticks:
    """Run one step per idle tick of a follower; stop after the last."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self._steps = list(steps)
        self.done = False

    def collect(self, follower: Follower) -> bytes:
        got = b""
        for block in follower:
            if block is not None:
                got += block
            elif self._steps:
                self._steps.pop(0)()
            else:
                self.done = True
        return got

    def stop(self) -> bool:
        return self.done


def run(
    log: Path, *steps: Callable[[], object], position: Position | None = None, from_start: bool = True
) -> tuple[bytes, Follower]:
    ticks = Ticks(*steps)
    follower = follow(log, poll_seconds=0.001, from_start=from_start, position=position, stop=ticks.stop)
    assert isinstance(follower, Follower)
    return ticks.collect(follower), follower


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_new_lines_come_as_they_are_written(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("old\nhalf")
    got, _ = run(log, lambda: append(log, " line\n"), lambda: append(log, "new\n"), from_start=False)
    assert got == b"half line\nnew\n"
    got, _ = run(log)
    assert got == b"old\nhalf line\nnew\n"


def test_rename_and_create_is_followed_to_the_last_byte(tmp_path: Path) -> None:
    log, rotated = tmp_path / "app.log", tmp_path / "app.log.1"
    log.write_text("one\n")
    got, _ = run(
        log,
        lambda: log.rename(rotated),
        lambda: append(rotated, "two, late\n"),  # the writer has not reopened yet
        lambda: log.touch(),
        lambda: append(rotated, "three, later"),
        lambda: append(log, "four\n"),
        lambda: append(log, "five\n"),
    )
    assert got == b"one\ntwo, late\nthree, later\nfour\nfive\n"


def test_copy_and_truncate_is_followed(tmp_path: Path) -> None:
    log, rotated = tmp_path / "app.log", tmp_path / "app.log.1"
    log.write_text("a long first line\n")

    def rotate() -> None:
        shutil.copy(log, rotated)
        os.truncate(log, 0)

    got, _ = run(log, rotate, lambda: append(log, "two\n"))
    assert got == b"a long first line\ntwo\n"


def test_truncation_is_seen_even_when_the_file_has_grown_past_the_old_end(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("one\n")
    got, _ = run(log, lambda: log.write_text("another first line\nand more\n"))
    assert got == b"one\nanother first line\nand more\n"


def test_a_file_missing_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("one\n")
    got, _ = run(log, log.unlink, lambda: None, lambda: log.write_text("two\n"))
    assert got == b"one\ntwo\n"


def test_a_file_that_never_was_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        follow(tmp_path / "none.log")
    with pytest.raises(InputError, match="directory"):
        follow(tmp_path)


def saved(follower: Follower) -> Position:
    assert follower.position is not None
    return Position.from_json(json.loads(json.dumps(follower.position.to_json())))


def test_resuming_goes_on_exactly_where_it_stopped(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("one\ntw")
    got, follower = run(log)
    append(log, "o\nthree\n")
    more, _ = run(log, position=saved(follower))
    assert (got, more) == (b"one\ntw", b"o\nthree\n")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("copied", [False, True])
def test_resuming_finds_the_file_that_was_rotated_meanwhile(tmp_path: Path, packed: bool, copied: bool) -> None:
    log = tmp_path / "app.log"
    log.write_text("one\n")
    _, follower = run(log)
    place = saved(follower)
    append(log, "two\n")
    rotated = [tmp_path / "app.log.2", tmp_path / "app.log.1"]
    for at, (old, text) in enumerate(zip(rotated, ("three\n", "four\n"), strict=True)):
        if copied:
            shutil.copy(log, old)
            os.truncate(log, 0)
        else:
            log.rename(old)
        os.utime(old, (1_700_000_000 + at,) * 2)
        append(log, text)
    if packed:
        pack = tmp_path / "app.log.2.gz"
        pack.write_bytes(gzip.compress(rotated[0].read_bytes()))
        rotated[0].unlink()
        os.utime(pack, (1_700_000_000,) * 2)
    (tmp_path / "app-other.log").write_text("not ours\n")
    got, again = run(log, lambda: append(log, "five\n"), position=place)
    assert got == b"two\nthree\nfour\nfive\n"
    assert not again.lost
    append(log, "six\n")
    assert run(log, position=saved(again))[0] == b"six\n"


def test_a_place_that_is_gone_is_said_and_the_new_file_is_read_from_its_start(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("one\n")
    _, follower = run(log)
    place = saved(follower)
    log.unlink()
    log.write_text("entirely new\n")
    got, again = run(log, position=place)
    assert got == b"entirely new\n"
    assert again.lost


def test_a_broken_place_is_refused() -> None:
    with pytest.raises(StateError, match="--resume"):
        Position.from_json({"inode": "x"})


def test_a_pipe_is_read_without_blocking_and_ends_at_its_end() -> None:
    read_end, write_end = os.pipe()
    seen: list[bytes | None] = []
    with os.fdopen(read_end, "rb") as pipe:
        for block in follow(pipe, poll_seconds=0.001):
            if block is None and seen.count(None) == 0:
                threading.Thread(target=lambda: (os.write(write_end, b"x\n"), os.close(write_end))).start()
            seen.append(block)
    assert seen[0] is None
    assert b"".join(block for block in seen if block) == b"x\n"


def test_following_stops_when_asked(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("one\n" * 10)
    assert list(follow(log, from_start=True, stop=lambda: True)) == []


def test_where_a_file_is_begun_the_lines_above_are_told(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("a\nb\n" + "c" * (3 << 20) + "\nhalf")
    steps = [
        lambda: append(log, " a line\n"),
        lambda: append(log, "more\nunended"),
        lambda: (log.rename(tmp_path / "app.log.1"), log.write_text("first\n")),
        lambda: append(log, "second\n"),
        lambda: (os.truncate(log, 0), append(log, "1\n")),
    ]
    done = []
    follower = follow(log, poll_seconds=0.001, stop=lambda: bool(done))
    told = []
    for block in follower:
        if block is not None:
            told.append((block, follower.lines_before))
        elif steps:
            steps.pop(0)()
        else:
            done.append(True)
    assert told == [
        (b"half", 3),
        (b" a line\n", None),
        (b"more\nunended", None),
        (b"\n", None),
        (b"first\n", 0),
        (b"second\n", None),
        (b"1\n", 0),
    ]
    position = follower.position
    append(log, "2\n3\n")
    done.clear()
    again = follow(log, poll_seconds=0.001, position=position, stop=lambda: bool(done))
    for block in again:
        assert (block, again.lines_before) == (b"2\n3\n", 1)
        done.append(True)
