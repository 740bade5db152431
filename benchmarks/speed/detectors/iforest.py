"""How fast does the isolation forest score, fit and follow, beside scikit-learn and PyOD?

The floor is scikit-learn: 1 / `cpu_x_floor` says how many times faster. With numba means once its kernels are loaded;
until then, and without `jamais[fast]`, numpy scores, with the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import numpy as np
from pyod.models.iforest import IForest as PyodIForest
from sklearn.ensemble import IsolationForest

from benchmarks.speed.detectors.measuring import Way, compared
from jamais.detectors.iforest import IForest, compiled
from jamais.types import Vectors

WIDTHS = (16, 256)
N_QUERIES, QUICK_QUERIES = 10_000, 4_000
SIZES, QUICK_SIZES = (10_000, 100_000), (2_000,)
PEER = "scikit-learn IsolationForest"


def rows(quick: bool, rounds: int) -> Iterator[dict[str, Any]]:
    """Measure scoring in bulk and one by one, fitting, and learning one per cent more; 100 trees everywhere."""
    n_queries = QUICK_QUERIES if quick else N_QUERIES
    for width in WIDTHS:
        memory, queries = normal(2_000, width, 0), normal(n_queries, width, 1)
        size = f"2,000 x {width}"
        for asked in (queries, queries[:1]):
            what = f"score {len(asked):,} row{'s'[: len(asked) > 1]}"
            yield from compared("iforest", what, size, _scoring(memory, asked), (PEER,), rounds)
    for n in QUICK_SIZES if quick else SIZES:
        memory, more = normal(n, WIDTHS[-1], 0), normal(n // 100, WIDTHS[-1], 1)
        yield from compared("iforest", "fit", f"{n:,} x {WIDTHS[-1]}", _fitting(memory), (PEER,), rounds)
        what = f"learn {len(more):,} rows more"
        yield from compared("iforest", what, f"{n:,} x {WIDTHS[-1]}", _learning(memory, more), (PEER,), rounds)


def normal(n: int, width: int, seed: int) -> Vectors:
    return np.random.default_rng(seed).standard_normal((n, width), np.float32)


def _scoring(memory: Vectors, asked: Vectors) -> list[Way]:
    ours, oblique = IForest().fit(memory), IForest(extension=1).fit(memory)
    theirs, pyod = IsolationForest(random_state=0).fit(memory), PyodIForest(random_state=0).fit(memory)
    return [
        Way("jamais IForest, numpy", _without_numba(lambda: ours.decision_function(asked))),
        Way("jamais IForest, numba", _with_numba(lambda: ours.decision_function(asked))),
        Way("jamais IForest, extension 1, numpy", _without_numba(lambda: oblique.decision_function(asked))),
        Way("jamais IForest, extension 1, numba", _with_numba(lambda: oblique.decision_function(asked))),
        Way(PEER, lambda _: theirs.score_samples(asked)),
        Way("PyOD IForest", lambda _: pyod.decision_function(asked)),
    ]


def _fitting(memory: Vectors) -> list[Way]:
    def all_of_it(_: Any) -> Any:
        return IForest(memory=2 * len(memory)).fit(memory)

    def trees_alone(filled: IForest) -> Any:
        filled._refit()

    return [
        Way("jamais IForest", all_of_it, note="fills the memory, grows the trees, scores all rows"),
        Way("jamais IForest, trees alone", trees_alone, before=lambda: _filled(memory)),
        Way(PEER, lambda _: IsolationForest(random_state=0).fit(memory)),
        Way("PyOD IForest", lambda _: PyodIForest(random_state=0).fit(memory), note="scores all rows"),
    ]


def _learning(memory: Vectors, more: Vectors) -> list[Way]:
    both = np.concatenate([memory, more])
    return [
        Way("jamais IForest.partial_fit", lambda filled: filled.partial_fit(more), before=lambda: _filled(memory)),
        Way(PEER, lambda _: IsolationForest(random_state=0).fit(both), note="refit: it cannot replace trees"),
    ]


def _filled(memory: Vectors) -> IForest:
    filled = IForest(memory=2 * len(memory)).partial_fit(memory)  # with room for more: melting a memory is not our cost
    filled.decision_function(memory[:1])
    return filled


def _without_numba(run: Callable[[], Any]) -> Callable[[Any], Any]:
    never = compiled._Loader()
    never.tried = True

    def alone(_: Any) -> Any:
        with patch.object(compiled, "_loader", never):
            return run()

    return alone


def _with_numba(run: Callable[[], Any]) -> Callable[[Any], Any]:
    if not compiled.load():
        raise RuntimeError("numba is not installed: pip install 'jamais[fast]'")
    return lambda _: run()
