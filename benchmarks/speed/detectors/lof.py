"""How fast is LOF beside scikit-learn's: to fit, to score, to replace a few rows, and row by row beside river's?

The floor of scoring is the product of queries and memory. A change is measured whole: `forget`, `partial_fit` and
the densities that the next score needs; scikit-learn can only fit anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from pyod.models.lof import LOF as PyodLOF
from river.anomaly import LocalOutlierFactor as RiverLOF
from sklearn.neighbors import LocalOutlierFactor

from benchmarks.speed.detectors.knn import FLOOR, WIDTH, _floors, near_duplicates, random_rows
from benchmarks.speed.detectors.measuring import Way, compared
from jamais.detectors.lof import LOF
from jamais.memory import RingMemory
from jamais.types import Vectors

K = 20
SIZES = ((1_000, 10_000), (10_000, 10_000), (20_000, 10_000))
QUICK = ((1_000, 1_000), (3_000, 500))
WINDOW, STREAMED, RIVER_STREAMED = 1_000, 500, 2
_PEER = "scikit-learn LOF"


def rows(quick: bool, rounds: int) -> Iterator[dict[str, Any]]:
    """Measure fit, scores, changes and streams, on rows without structure and in clusters of near-duplicates."""
    for n, n_queries in QUICK if quick else SIZES:
        for kind, make in (("random", random_rows), ("near-duplicates", near_duplicates)):
            memory, queries = make(n, n_queries)
            size = f"{n:,} x {WIDTH} {kind}"
            yield from compared("lof", "fit", size, _fits(memory), (_PEER,), rounds)
            yield from compared("lof", f"score {n_queries:,} rows", size, _scores(memory, queries), FLOOR, rounds)
            if kind == "random":
                yield from compared("lof", "score 1 row", size, _scores(memory, queries[:1]), FLOOR, rounds)
                yield from compared("lof", "replace 1 % of the rows", size, _changes(memory), (_PEER,), rounds)
    memory, queries = random_rows(WINDOW, 10 * STREAMED)
    what = "score and learn a row, one by one"
    yield from compared("lof", what, f"window {WINDOW:,} x {WIDTH}", _streams(memory, queries), ("river LOF",), rounds)


def _fits(memory: Vectors) -> list[Way]:
    return [
        Way("jamais LOF", lambda _: LOF(K).fit(memory)),
        Way(_PEER, lambda _: _peer(memory)),
        Way("PyOD LOF", lambda _: PyodLOF(K, novelty=True).fit(memory)),
    ]


def _scores(memory: Vectors, queries: Vectors) -> list[Way]:
    ours, peer, pyod = LOF(K).fit(memory), _peer(memory), PyodLOF(K, novelty=True).fit(memory)
    wanted = -peer.score_samples(queries.astype(np.float64))

    def note(scores: Any) -> str:
        return f"largest relative difference to scikit-learn {np.abs(scores / wanted - 1.0).max():.1g}"

    return [
        *_floors(memory, queries),
        Way("jamais LOF", lambda _: ours.decision_function(queries), note=note),
        Way(_PEER, lambda _: peer.score_samples(queries)),
        Way("PyOD LOF", lambda _: pyod.decision_function(queries)),
    ]


def _changes(memory: Vectors) -> list[Way]:
    rng, some = np.random.default_rng(2), len(memory) // 100
    ours = LOF(K).fit(memory)

    def change() -> tuple[Any, Vectors]:
        return rng.choice(ours.memory.ids, some, replace=False), rng.standard_normal((some, WIDTH), np.float32)

    def replace(prepared: tuple[Any, Vectors]) -> LOF:
        ids, new = prepared
        ours.forget(ids)
        ours.partial_fit(new)
        ours.decision_function(new[:1])
        return ours

    def note(changed: LOF) -> str:
        wanted = -_peer(changed.memory.rows).score_samples(memory[:100].astype(np.float64))
        difference = np.abs(changed.decision_function(memory[:100]) / wanted - 1.0).max()
        return f"with one score; largest relative difference to scikit-learn fitted anew {difference:.1g}"

    return [Way("jamais LOF", replace, change, note), Way(_PEER, lambda _: _peer(memory), note="fitted anew")]


def _streams(memory: Vectors, queries: Vectors) -> list[Way]:
    start = [0]
    named = [dict(enumerate(row)) for row in queries[:RIVER_STREAMED].astype(float).tolist()]

    def ours_before() -> tuple[LOF, Vectors]:
        start[0] = (start[0] + STREAMED) % len(queries)
        ours = LOF(K, memory=RingMemory(WINDOW)).fit(memory)
        ours.partial_fit(random_rows(9 * WINDOW, 1)[0][::-1])  # a stream that has been running for a while
        return ours, queries[start[0] : start[0] + STREAMED]

    def ours(prepared: tuple[LOF, Vectors]) -> None:
        detector, stream = prepared
        for i in range(len(stream)):
            detector.decision_function(stream[i : i + 1])
            detector.partial_fit(stream[i : i + 1])

    def river_before() -> RiverLOF:
        made = RiverLOF(n_neighbors=K)
        made.learn_many(pd.DataFrame(memory.astype(float)))
        return made

    def river(made: RiverLOF) -> None:
        for row in named:
            made.score_one(row)
            made.learn_one(row)

    return [
        Way("jamais LOF", ours, ours_before, "CPU-seconds a row", 1.0 / STREAMED),
        Way("river LOF", river, river_before, "CPU-seconds a row", 1.0 / RIVER_STREAMED),
    ]


def _peer(memory: Vectors) -> LocalOutlierFactor:
    return LocalOutlierFactor(K, novelty=True).fit(memory)
