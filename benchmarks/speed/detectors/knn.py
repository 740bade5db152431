"""How fast is the exact nearest-row search, beside the matrix product that it cannot do without and its peers?

The floor is the product of queries and memory alone, in blocks of 1,024 queries, by numpy or torch, whichever is
faster. Memories of 100,000 rows are asked fewer questions: all ways are linear in them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import faiss
import numpy as np
import torch
from pyod.models.knn import KNN as PyodKNN
from sklearn.neighbors import NearestNeighbors

from benchmarks.speed.detectors.measuring import Way, compared
from jamais.detectors.knn import KNN
from jamais.memory.nearest import NearestRows
from jamais.memory.search.approximate import FEWEST
from jamais.types import Vectors

WIDTH, K = 256, 5
SIZES = ((1_000, 10_000), (10_000, 10_000), (100_000, 2_000))
QUICK = ((1_000, 1_000), (4_000, 500))
FLOOR = ("numpy GEMM", "torch GEMM")
_BLOCK = 1_024
_PYOD_FIT = 10_000  # rows that PyOD fits in seconds; beyond, its search is filled without its O(n²) training scores


def rows(quick: bool, rounds: int) -> Iterator[dict[str, Any]]:
    """Measure scoring in bulk and one by one, making and growing the search, and the approximate search."""
    for n, n_queries in QUICK if quick else SIZES:
        for kind, make in (("random", random_rows), ("near-duplicates", near_duplicates), ("clusters", clusters)):
            memory, queries = make(n, n_queries)
            size = f"{n:,} x {WIDTH} {kind}"
            ours = _ours(memory, queries) + (_approximate(memory, queries) if kind == "clusters" else [])
            ways = [*_floors(memory, queries), *ours, *_peers(memory, queries)]
            yield from compared("knn", f"score {n_queries:,} rows", size, ways, FLOOR, rounds)
            if kind == "random":
                one = queries[:1]
                ways = [*_floors(memory, one), *_ours(memory, one), *_peers(memory, one)]
                yield from compared("knn", "score 1 row", size, ways, FLOOR, rounds)
                yield from compared("knn", "make the search", size, _building(memory), (), rounds)
                yield from compared("knn", "one row more, and score it", size, _growing(memory, queries), (), rounds)


def random_rows(n: int, n_queries: int) -> tuple[Vectors, Vectors]:
    """Give memory [n, WIDTH] and queries without any structure: the hardest for an approximate search."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, WIDTH), np.float32), rng.standard_normal((n_queries, WIDTH), np.float32)


def near_duplicates(n: int, n_queries: int) -> tuple[Vectors, Vectors]:
    """Give rows as a log memory has them: 100 templates at |x| = 50, each with variants 1e-4 apart."""
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((100, WIDTH), np.float32)
    centres *= 50 / np.linalg.norm(centres, axis=1, keepdims=True)
    both = centres[rng.integers(0, 100, n + n_queries)]
    both += np.float32(1e-4) * rng.standard_normal(both.shape, np.float32)
    both[n : n + n_queries // 2] = both[rng.integers(0, n, n_queries // 2)]  # every other question is a repeat
    return both[:n], both[n:]


def clusters(n: int, n_queries: int) -> tuple[Vectors, Vectors]:
    """Give rows as embeddings have them: 100 clusters that overlap, 16 directions wide each, and noise."""
    rng = np.random.default_rng(2)
    own = rng.integers(0, 100, n + n_queries)
    both = rng.standard_normal((100, WIDTH), np.float32)[own]
    for cluster in range(100):
        inside = np.flatnonzero(own == cluster)
        directions = rng.standard_normal((16, WIDTH), np.float32) / 4
        both[inside] += rng.standard_normal((len(inside), 16), np.float32) @ directions
    both += np.float32(0.1) * rng.standard_normal(both.shape, np.float32)
    return both[:n], both[n:]


def _floors(memory: Vectors, queries: Vectors) -> list[Way]:
    turned = memory.T
    mine, theirs = torch.from_numpy(memory).T, torch.from_numpy(queries)
    out = np.empty((min(_BLOCK, len(queries)), len(memory)), np.float32)
    into = torch.from_numpy(out)

    def by_numpy(_: Any) -> None:
        for start in range(0, len(queries), _BLOCK):
            part = queries[start : start + _BLOCK]
            np.matmul(part, turned, out=out[: len(part)])

    def by_torch(_: Any) -> None:
        for start in range(0, len(queries), _BLOCK):
            part = theirs[start : start + _BLOCK]
            torch.mm(part, mine, out=into[: len(part)])

    return [Way(FLOOR[0], by_numpy), Way(FLOOR[1], by_torch)]


def _ours(memory: Vectors, queries: Vectors) -> list[Way]:
    detector = _detector(memory)
    detector.decision_function(queries)  # once, as in use: the search is made, and cells if they are worth it
    return [Way("jamais KNN", lambda _: detector.decision_function(queries))]


def _approximate(memory: Vectors, queries: Vectors) -> list[Way]:
    if len(memory) < FEWEST:
        return []
    detector = _detector(memory, approximate=True)
    begin = time.process_time()
    detector.decision_function(queries[:1])
    note = f"made in {time.process_time() - begin:.2f} CPU-s, recall@{K}"
    note += f" {detector.memory.index().recall(queries[:1_000], K):.4f}"
    return [Way("jamais KNN(approximate=True)", lambda _: detector.decision_function(queries), note=note)]


def _detector(memory: Vectors, **settings: Any) -> KNN:
    detector = KNN(n_neighbors=K, memory=2 * len(memory), **settings)  # with room: none has to leave
    detector.memory.add(memory)
    return detector


def _peers(memory: Vectors, queries: Vectors) -> list[Way]:
    pyod = PyodKNN(n_neighbors=K).fit(memory[:_PYOD_FIT])
    note = ""
    if len(memory) > _PYOD_FIT:
        pyod.neigh_.fit(memory)
        note = "search filled without its fit"
    brute = NearestNeighbors(n_neighbors=K, algorithm="brute").fit(memory)
    flat = faiss.IndexFlatL2(WIDTH)
    flat.add(memory)
    return [
        Way("PyOD KNN", lambda _: pyod.decision_function(queries), note=note),
        Way("scikit-learn NearestNeighbors", lambda _: brute.kneighbors(queries)),
        Way("faiss IndexFlatL2", lambda _: flat.search(queries, K)),
    ]


def _building(memory: Vectors) -> list[Way]:
    def flat(_: Any) -> Any:
        index = faiss.IndexFlatL2(WIDTH)
        index.add(memory)
        return index

    return [
        Way("jamais NearestRows", lambda _: NearestRows(memory)),
        Way("faiss IndexFlatL2", flat),
        Way("scikit-learn NearestNeighbors", lambda _: NearestNeighbors(algorithm="brute").fit(memory)),
    ]


def _growing(memory: Vectors, queries: Vectors) -> list[Way]:
    detector = _detector(memory)
    detector.decision_function(queries[:1])
    new = iter(np.random.default_rng(3).standard_normal((100_000, 1, WIDTH), np.float32))

    def learn_and_score(_: Any) -> Any:
        row = next(new)
        detector.memory.add(row)
        return detector.decision_function(row)

    return [Way("jamais KNN", learn_and_score)]
