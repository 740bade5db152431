"""Which examples do the docs hold, and what happens when they are run?"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUN = ("console", "python")
# Typed once on a new machine; that they work is what .ci/run shows.
SET_UP = ("make", "git", "cd", "pip", "python3")
# The examples show how to type, not how well it learns: two steps in place of 150.
QUICK = "encoder.steps=2"


@dataclass(frozen=True)
class Block:
    """One fenced block: where it stands, in which language, what it says."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """Find the fenced blocks of a Markdown page."""
    language, start, held = None, 0, list[str]()
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if not line.startswith("```"):
            held.append(line)
        elif language is None:
            language, start, held = line[3:].strip(), number, []
        else:
            yield Block(page, start, language, "\n".join(held))
            language = None
    assert language is None, f"{page}:{start}: a block is not closed"


def commands(block: Block) -> Iterator[tuple[str, list[str]]]:
    """Give each `$ command` of a console block with the output shown under it."""
    command, shown = "", list[str]()
    for line in block.text.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, shown
            command, shown = line[2:], []
        elif command.endswith("\\"):
            command = command[:-1] + line.strip()
        elif line.strip():
            shown.append(line)
    if command:
        yield command, shown


def run_block(block: Block, names: dict[str, object]) -> None:
    """Run a block in the current folder; `names` are the variables of the page's Python blocks so far."""
    if block.language == "python":
        exec(compile(block.text, str(block), "exec"), names)
        return
    for command, shown in commands(block):
        if command.split()[0] not in SET_UP:
            code, output = run_command(command)
            assert code == (1 if "--fail-on-alarm" in command else 0), f"{block}: {command}\nexit {code}\n{output}"
            _compare(f"{block}: {command}", shown, output)


def run_command(command: str) -> tuple[int, str]:
    """Run a command line; plain `jamais …` in this process, which spares seconds of imports."""
    words = shlex.split(command, comments=True)
    if words[0] != "jamais" or {"|", ">", "&&", "<"} & set(words):
        return _in_bash(command)
    from jamais.cli.main import run

    # Only logs have an encoder to train.
    numbers = "embeddings" in words or any(word.endswith((".csv", ".npy")) for word in words)
    arguments = [*words[1:], "--set", QUICK] if words[1] == "fit" and not numbers else words[1:]
    raw = io.BytesIO()
    text = io.TextIOWrapper(raw, encoding="utf-8", write_through=True)
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        code = run(arguments)
    return code, raw.getvalue().decode()


def _in_bash(command: str) -> tuple[int, str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
    )
    return done.returncode, done.stdout.decode()


def _compare(where: str, shown: list[str], output: str) -> None:
    """Each shown line came, in this order; numbers may differ, as may the spaces of a table, `…` cuts a line."""
    came = iter([_bare(line) for line in output.splitlines()])
    for line in shown:
        wanted, cut = _bare(line.partition("…")[0]), "…" in line
        assert any(has.startswith(wanted) if cut else has == wanted for has in came), (
            f"{where}\nshows a line that did not come: {line}\nwhat came:\n{output}"
        )


def _bare(line: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"\d[\d.,:e+-]*", "N", line)).strip()
