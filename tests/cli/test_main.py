"""Is `jamais --help` enough, and is every mistake told in one line?"""

from __future__ import annotations

import ast
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest

from jamais.cli.main import COMMANDS
from jamais.version import __version__

HEAVY = {"torch", "transformers", "tokenizers", "polars", "numpy", "rich", "matplotlib", "safetensors"}


def commands() -> list[tuple[str, click.Command]]:
    return [(name, import_module(f"jamais.cli.commands.{name}").command) for name in COMMANDS]


def test_the_overview_tells_every_command_with_the_words_of_its_own_help(typed: Any) -> None:
    said = typed("--help")
    assert said.code == 0
    overview = " ".join(said.out.split())
    for name, command in commands():
        first = (command.help or "").partition("\n")[0].strip()
        assert COMMANDS[name] == first
        assert f" {name} {first}" in overview


def test_the_overview_tells_the_story_and_the_columns(typed: Any) -> None:
    story = typed("--help").out
    for word in ("jamais fit", "jamais score", "jamais watch", "p_value", "abnormal", "why", "cause", "--alarms"):
        assert word in story


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_has_a_help_text_and_every_command_an_example(name: str, typed: Any) -> None:
    command = dict(commands())[name]
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts}"
    said = typed(name, "--help")
    assert said.code == 0
    assert "Example:" in said.out
    assert f"jamais {name} " in said.out.partition("Example:")[2].partition("Options:")[0]


def test_no_command_has_more_than_twenty_lines_of_body() -> None:
    for name in COMMANDS:
        source = Path(import_module(f"jamais.cli.commands.{name}").__file__ or "").read_text()
        function = next(node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef))
        body = function.body[1:]
        assert (body[-1].end_lineno or 0) - body[0].lineno < 20, name


def test_the_version_is_told(typed: Any) -> None:
    assert typed("--version") == (0, f"jamais {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["scoer", "x"], "no command 'scoer': did you mean 'score'? (see jamais --help)"),
        (["fit"], "Missing argument 'DATA...'. (see jamais fit --help)"),
        (["score", "x", "y", "--form", "csv"], "No such option"),
        (["score", "x", "y", "--format", "cvs"], "'cvs' is not one of"),
        (["promote", "x", "3"], "Missing option '--as'"),
        (["promote", "x", "3", "--as", "a", "--remove"], "leave out N"),
        (["gc", "x", "--keep-latest", "0"], "0 is not in the range x>=1"),
        (["gc", "x", "--keep-best", "loss"], "METRIC:min or METRIC:max"),
        (["gc", "x", "--keep-every", "soon"], "no duration"),
        (["gc", "x", "--min-age", "-1h"], "out of range"),
        (["diff", "x"], "give two states"),
        (["convert", "x"], "Missing argument 'TARGET'"),
        (["feedback", "x", "d.log", "--alarms", "a", "--labels", "y"], "give DATA or --alarms FILE"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line(arguments: list[str], told: str, typed: Any) -> None:
    said = typed(*arguments)
    assert said.code == 2
    assert said.out == ""
    assert said.err.startswith("jamais: ")
    assert told in said.err
    assert said.err.count("\n") == 1


def shell(*arguments: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-m", "jamais", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=120, **more)


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done
    assert done.stderr.startswith("jamais: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stdout == ""
    return done.stderr


def test_a_path_that_is_not_there_is_fatal(tmp_path: Path, lines_kept: Path) -> None:
    assert "no such file" in one_line(shell("fit", tmp_path / "no.log", "--out", tmp_path / "w"))
    assert "no such file" in one_line(shell("score", lines_kept, tmp_path / "no.log"))
    assert "no such file" in one_line(shell("watch", lines_kept, tmp_path / "no.log"))
    assert "jamais fit" in one_line(shell("score", tmp_path / "no-watcher", tmp_path / "no.log"))
    assert not (tmp_path / "w").exists()


def test_one_wrong_path_among_good_ones_is_no_line_of_text(tmp_path: Path, normal: Path) -> None:
    assert "no such file" in one_line(shell("fit", normal, tmp_path / "no.log", "--out", tmp_path / "w"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_fatal(tmp_path: Path) -> None:
    path = tmp_path / "secret.log"
    path.write_text("x\n")
    path.chmod(0)
    assert "cannot read" in one_line(shell("fit", path, "--out", tmp_path / "w"))


def test_a_folder_is_no_file_to_read(tmp_path: Path) -> None:
    assert "directory" in one_line(shell("fit", tmp_path, "--out", tmp_path / "w"))


def test_data_without_text_is_fatal(tmp_path: Path) -> None:
    path = tmp_path / "core.log"
    path.write_bytes(bytes(range(32)) * 400)
    assert "no text" in one_line(shell("fit", path, "--out", tmp_path / "w"))


def test_too_few_records_are_fatal(tmp_path: Path, normal: Path) -> None:
    path = tmp_path / "short.log"
    path.write_text("".join(normal.read_text().splitlines(keepends=True)[:99]))
    assert "at least 100" in one_line(shell("fit", path, "--out", tmp_path / "w"))


def test_a_damaged_watcher_is_fatal_and_verify_finds_it(watcher: Path, normal: Path) -> None:
    state = next(path for path in (watcher / "objects").glob("*.json") if b'"settings"' in path.read_bytes())
    state.write_bytes(state.read_bytes().replace(b'"settings"', b'"sittings"', 1))
    assert "not the bytes that were written" in one_line(shell("score", watcher, normal))
    done = shell("verify", watcher)
    assert done.returncode == 1
    assert state.name in done.stdout


def test_ctrl_c_while_fitting_changes_nothing(tmp_path: Path, child: Callable[..., Any]) -> None:
    fitting = child("fit", "-", "--out", tmp_path / "w")
    # More than a pipe holds: once it is written, reading has begun.
    fitting.write("2026-03-01 00:00:00 INFO web: up\n" * 10_000)
    said = fitting.end(signal.SIGINT)
    assert said.code == 130
    assert said.err == "\njamais: stopped; nothing was changed\n"
    assert not (tmp_path / "w").exists()


def test_a_reader_that_leaves_early_is_no_mistake(lines_kept: Path, today: Path) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = f"'{sys.executable}' -m jamais score '{lines_kept}' '{today}' --json | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=env, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


LOADED = """
import sys
from jamais.cli.main import run
code = run(sys.argv[1:])
print("LOADED", *sorted({name.split(".")[0] for name in sys.modules}), file=sys.stderr)
sys.exit(code)
"""


def loaded(*arguments: str | Path, text: str = "") -> set[str]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", LOADED, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=120, input=text)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.rpartition("LOADED")[2].split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["fit", "--help"], ["watch", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    assert not loaded(*arguments) & (HEAVY if len(arguments) == 1 else HEAVY - {"numpy"})


@pytest.mark.parametrize(
    "arguments",
    [["history"], ["inspect"], ["inspect", "--arrays"], ["verify", "--full"], ["fsck"], ["gc", "--dry-run"]],
)
def test_looking_at_a_watcher_loads_no_network(arguments: list[str], lines_kept: Path) -> None:
    command, *options = arguments
    heavy = {"torch", "transformers", "tokenizers", "polars", "matplotlib", "rich"}
    assert not loaded(command, lines_kept, *options) & heavy


def test_scoring_loads_neither_torch_nor_transformers(lines_kept: Path, today: Path) -> None:
    assert not loaded("score", lines_kept, today) & {"torch", "transformers", "matplotlib"}


def test_watching_loads_neither_torch_nor_transformers(lines_kept: Path, today: Path) -> None:
    assert not loaded("watch", lines_kept, "-", text=today.read_text()) & {"torch", "transformers", "matplotlib"}


def test_rolling_back_loads_no_network(watcher: Path) -> None:
    assert not loaded("rollback", watcher, "1") & {"torch", "transformers", "matplotlib"}


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "limit"), [(["--help"], 0.3), (["--version"], 0.3), (["inspect"], 0.6)])
def test_answers_come_at_once(arguments: list[str], limit: float, lines_kept: Path) -> None:
    typed = [*arguments, *([lines_kept] if arguments == ["inspect"] else [])]
    times = []
    for _ in range(5):
        # Time of the processor, which other work on this machine does not add to.
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        shell(*typed)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(times) <= limit


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["score", "W", "D"], ["score", "W", "D", "--json"], ["watch", "W", "-"]])
def test_a_full_disk_under_standard_output_is_told_in_one_line(
    arguments: list[str], unbuffered: str, lines_kept: Path, today: Path
) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    env["PYTHONUNBUFFERED"] = unbuffered
    typed = [{"W": str(lines_kept), "D": str(today)}.get(one, one) for one in arguments]
    with open("/dev/full", "wb") as full, today.open("rb") as text:
        done = subprocess.run(
            [sys.executable, "-m", "jamais", *typed], stdin=text, stdout=full, stderr=subprocess.PIPE, env=env
        )
    assert done.returncode == 2
    assert done.stderr.decode().endswith("jamais: cannot write to standard output: No space left on device\n")
    assert "Traceback" not in done.stderr.decode()


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_is_never_cut_silently(unbuffered: str, lines_kept: Path, normal: Path, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    env["PYTHONUNBUFFERED"] = unbuffered
    command = f"ulimit -f 20; exec '{sys.executable}' -m jamais score '{lines_kept}' '{normal}' --json"
    with (tmp_path / "out.json").open("wb") as out:
        done = subprocess.run(["bash", "-c", command], stdout=out, stderr=subprocess.PIPE, env=env, text=True)
    assert (tmp_path / "out.json").stat().st_size == 20 * 1024
    assert (done.returncode, done.stderr) == (2, "jamais: cannot write to standard output: File too large\n")


def test_a_closed_standard_output_is_no_mistake(lines_kept: Path, today: Path) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = f"exec '{sys.executable}' -m jamais score '{lines_kept}' '{today}' >&-"
    done = subprocess.run(["bash", "-c", command], stderr=subprocess.PIPE, env=env, text=True)
    assert (done.returncode, done.stderr) == (0, "")
