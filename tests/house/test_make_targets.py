"""Do the commands in README and CONTRIBUTING exist, and do the generated pages agree with the program?"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WANTED = {"demo", "test", "test-all", "check", "floors", "docs", "bench", "clean"}


def targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_the_makefile_has_what_people_are_told_to_type() -> None:
    told = {
        word
        for page in ("README.md", "CONTRIBUTING.md", "docs/start.md")
        for word in re.findall(r"\bmake ([a-z][a-z-]*)", "\n".join(_code(ROOT / page)))
    }
    assert told <= targets()
    assert targets() >= WANTED


def test_ci_runs_what_a_developer_runs() -> None:
    script = (ROOT / ".ci/run").read_text()
    used = re.findall(r"bare make ([a-z-]+)", script)
    assert used == ["demo", "check", "test-all"]
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_a_machine_without_python_hears_what_to_install(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    bare = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(["make", "test", "PYTHON="], cwd=tmp_path, env=bare, capture_output=True, text=True)
    assert done.returncode != 0
    assert "needs Python 3.11 or newer" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_constraints_pin_every_direct_dependency() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    names = {re.split(r"[\[<>=]", one)[0] for one in asked} - {"jamais"}
    pinned = dict(re.findall(r"^([a-z0-9.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    assert names <= set(pinned)
    assert next(iter(pinned)) == "torch"


@pytest.mark.parametrize("page", ["docs/settings.md", "docs/cli.md"])
def test_generated_pages_are_fresh(page: str) -> None:
    from dev.docs import pages

    assert (ROOT / page).read_text(encoding="utf-8") == pages()[page], "write it anew with: make docs"


def _code(page: Path) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return [*re.findall(r"```\w*\n(.*?)```", text, re.DOTALL), *re.findall(r"`([^`\n]+)`", text)]
