"""Does a training that ended in one process go on in the next, to the bit, however it ended?"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import resume_child
from resume_child import STEPS, TINY, train

from jamais.errors import Cancelled, StateError
from jamais.persistence import VersionStore
from jamais.types import CancelToken, Event

CHILD = [sys.executable, resume_child.__file__]
SOURCE = Path(__file__).resolve().parents[2] / "src"


def start(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    command = [*CHILD, str(folder), *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(child: subprocess.Popen[str]) -> tuple[int, list[str], str]:
    out, errors = child.communicate(timeout=120)
    return child.returncode, out.splitlines(), errors


def step_of(folder: Path) -> int:
    return int(VersionStore(folder).info().metrics["step"])


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What comes of a training that nobody disturbed."""
    return train(tmp_path_factory.mktemp("undisturbed"))


def test_checkpoints_change_nothing_of_a_training(expected: dict[str, object]) -> None:
    without = train(None)
    assert len(expected["losses"]) == STEPS
    assert without == {name: expected[name] for name in ("encoder", "losses")}


def test_half_here_and_half_in_a_new_process_is_the_whole(tmp_path: Path, expected: dict[str, object]) -> None:
    token = CancelToken()

    def listen(event: Event) -> None:
        if event.done == STEPS // 2:
            token.cancel()

    with pytest.raises(Cancelled, match="after 6 of 12 steps, which are saved"):
        train(tmp_path, listener=listen, cancel=token)
    assert step_of(tmp_path) == STEPS // 2
    code, lines, errors = end(start(tmp_path))
    assert code == 0, errors
    assert lines[:-1] == [f"step {step}" for step in range(7, 13)]
    assert json.loads(lines[-1]) == expected


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 4}, r"settings\.seed: saved 4, here 5"),
        ({"settings": dataclasses.replace(TINY, steps=20)}, r"settings\.pretraining\.steps: saved 12, here 20"),
        ({"settings": dataclasses.replace(TINY, width=8, heads=1)}, r"model\.words\.weight: saved \[\d+, 16\], here"),
        ({"settings": dataclasses.replace(TINY, vocabulary=530)}, r"settings\.codes\.size: saved \d+, here 530"),
    ],
)
def test_checkpoints_of_another_training_are_refused(tmp_path: Path, change: dict, words: str) -> None:
    train(tmp_path)
    with pytest.raises(StateError, match=words):
        train(tmp_path, **change)


def test_checkpoints_of_other_lines_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(tmp_path)
    monkeypatch.setattr(resume_child, "TEXTS", resume_child.TEXTS[::-1])
    with pytest.raises(StateError, match=r"settings\.lines_sha256: saved '\w+', here '\w+': the checkpoints are of an"):
        train(tmp_path)


@pytest.mark.slow
def test_ctrl_c_and_sigterm_from_outside_save_the_step_and_stop(tmp_path: Path, expected: dict[str, object]) -> None:
    for number, step, code in ((signal.SIGINT, 4, -signal.SIGINT), (signal.SIGTERM, 8, 143)):
        child = start(tmp_path, "--wait", step, "--background")
        assert child.stdout is not None
        assert any(line == "waiting\n" for line in child.stdout)
        child.send_signal(number)
        returned, rest, errors = end(child)
        assert (returned, rest) == (code, []), errors
        assert step_of(tmp_path) == step
    assert json.loads(end(start(tmp_path))[1][-1]) == expected


@pytest.mark.slow
@pytest.mark.parametrize("background", [False, True], ids=["direct", "background"])
def test_killed_at_random_steps_it_ends_in_the_same_bits(
    tmp_path: Path, expected: dict[str, object], background: bool
) -> None:
    dice = random.Random(background)
    options = ["--every", 2, *(["--background"] if background else [])]
    for _ in range(3):
        done = step_of(tmp_path) if (tmp_path / "versions").exists() else 0
        if done >= STEPS - 2:
            break
        at = dice.randint(done + 1, min(done + 5, STEPS - 1))
        code, _, errors = end(start(tmp_path, "--signal", int(signal.SIGKILL), "--at", at, *options))
        assert code == -signal.SIGKILL, errors
    assert json.loads(end(start(tmp_path, *options))[1][-1]) == expected


@pytest.mark.slow
def test_killed_wherever_it_stands_it_ends_in_the_same_bits(tmp_path: Path, expected: dict[str, object]) -> None:
    """The kill comes some microseconds after a step was told: in a save as likely as in the next step."""
    dice = random.Random(7)
    for _ in range(4):
        child = start(tmp_path, "--every", 1)
        assert child.stdout is not None
        for line in child.stdout:
            if line.startswith("{"):
                assert json.loads(line) == expected
                return
            if dice.random() < 0.4:
                break
        child.kill()
        end(child)
    assert json.loads(end(start(tmp_path, "--every", 1))[1][-1]) == expected
