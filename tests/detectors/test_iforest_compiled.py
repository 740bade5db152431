from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jamais.detectors.iforest import IForest, compiled

QUERIES = np.random.default_rng(5).normal(size=(4_001, 6)).astype(np.float32)


def fitted(extension: int, max_samples: int | str = "auto") -> IForest:
    rows = np.random.default_rng(0).normal(size=(500, 6)).astype(np.float32)
    return IForest(23, max_samples=max_samples, extension=extension).fit(rows)


def without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_loader", compiled._Loader())
    monkeypatch.setattr(compiled._loader, "tried", True)


def with_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba", reason="needs jamais[fast]")
    monkeypatch.setattr(compiled, "_loader", compiled._Loader())
    assert compiled.load()


@pytest.mark.parametrize("max_samples", ["auto", 2, 3, 31, 500])
@pytest.mark.parametrize("extension", [0, 1, 5])
def test_numba_and_numpy_have_the_same_bits(
    extension: int, max_samples: int | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = fitted(extension, max_samples)
    without_numba(monkeypatch)
    plain = detector.decision_function(QUERIES)
    with_kernels(monkeypatch)
    fast = detector.decision_function(QUERIES)
    assert plain.tobytes() == fast.tobytes()
    for row in (0, 17, 4_000):
        assert detector.decision_function(QUERIES[row : row + 1]).tobytes() == plain[row].tobytes()
    assert detector.decision_function(QUERIES[:0]).shape == (0,)


@pytest.mark.parametrize("extension", [0, 2])
def test_read_only_and_turned_rows_are_summed_too(extension: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with_kernels(monkeypatch)
    paths = fitted(extension)._paths()
    fixed, turned = QUERIES[:50].copy(), np.asfortranarray(QUERIES[:50])
    fixed.flags.writeable = False
    assert paths.sums(fixed).tobytes() == paths.sums(turned).tobytes()


@pytest.mark.parametrize("extension", [0, 2])
def test_the_kernels_do_what_their_python_says(extension: int) -> None:
    paths = fitted(extension)._paths()
    trees, sums = paths.trees, np.empty(40)
    with np.errstate(all="ignore"):  # unsigned numbers wrap around
        python = compiled.sum_oblique if extension else compiled.sum_along
        python(QUERIES[:40], trees.columns, trees.weights, trees.thresholds, paths.lengths, sums)
    assert sums.tobytes() == paths.sums(QUERIES[:40]).tobytes()


def test_the_kernels_are_loaded_once_numpy_has_worked_for_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []
    monkeypatch.setattr(compiled, "_compiled", lambda: loads.append(1))
    monkeypatch.setattr(compiled, "_loader", compiled._Loader())
    monkeypatch.setattr(compiled, "_WORTH", 3 * (compiled._CALL + 23 * len(QUERIES)))
    detector = fitted(0)
    monkeypatch.setattr(compiled, "_loader", compiled._Loader())
    for n_loads in (0, 0, 1, 1):
        detector.decision_function(QUERIES)
        assert len(loads) == n_loads
    assert not compiled.load()


def run(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True, text=True, check=True, env={**os.environ, **environment},
    )  # fmt: skip
    return done.stdout.strip()


FIT = """
import sys, numpy as np
from jamais.detectors.iforest import IForest, compiled
rows = np.random.default_rng(0).normal(size=(500, 4)).astype(np.float32)
detector = IForest(10).fit(rows)
"""


def test_a_small_forest_imports_neither_numba_nor_scikit_learn_nor_torch() -> None:
    code = FIT + "print([name for name in ('numba', 'sklearn', 'torch', 'scipy') if name in sys.modules])"
    assert run(code) == "[]"


def test_without_numba_numpy_goes_on() -> None:
    code = "import sys; sys.modules['numba'] = None" + FIT + "print(compiled.load(), detector.threshold_ > 0)"
    assert run(code) == "False True"
    pytest.importorskip("numba", reason="needs jamais[fast]")
    assert run(FIT + "print(compiled.load())", NUMBA_DISABLE_JIT="1") == "False"


@pytest.mark.slow
def test_what_is_compiled_is_kept_where_numba_keeps_it_or_not_at_all(tmp_path: Path) -> None:
    pytest.importorskip("numba", reason="needs jamais[fast]")
    import jamais

    code = FIT + "print(compiled.load(), detector.decision_function(rows[:1]).tobytes().hex())"
    kept = tmp_path / "kept"
    first = run(code, NUMBA_CACHE_DIR=str(kept))
    assert first.startswith("True ")
    assert len(list(kept.rglob("*.nbc"))) == 2
    assert run(code, NUMBA_CACHE_DIR=str(kept)) == first
    package = tmp_path / "installed" / "jamais"
    shutil.copytree(Path(jamais.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    nowhere = tmp_path / "file"
    nowhere.touch()
    # Nobody may write beside the package, at home or where numba is told to: root may, so the places are taken.
    blocked = f"import sys; sys.path.insert(0, {str(package.parent)!r}); sys.dont_write_bytecode = True\n"
    (package / "detectors" / "iforest" / "__pycache__").touch()
    environment = {"HOME": str(nowhere), "XDG_CACHE_HOME": str(nowhere), "PYTHONPATH": str(package.parent)}
    assert run(blocked + code, **environment) == first
