"""Does every program in examples/ run, and is it short enough to be read?"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
# These read a file: what they read is made by the test that is named.
READERS = {"read_llm_json.py": "tests/models/test_llm_saved.py", "read_state.py": "tests/persistence/test_golden.py"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_short_and_says_what_it_shows(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 80
    assert text.startswith('"""')


@pytest.mark.slow
@pytest.mark.parametrize("path", [path for path in EXAMPLES if path.name not in READERS], ids=lambda path: path.name)
def test_an_example_runs(path: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert list(tmp_path.iterdir()) == [], "an example leaves nothing behind"


@pytest.mark.parametrize("name", READERS)
def test_an_example_that_reads_a_file_is_run_by_a_test(name: str) -> None:
    assert (ROOT / "examples" / name).is_file()
    assert name in (ROOT / READERS[name]).read_text()
