"""How do others learn on? Each is an object with labels, one update, and what it remembers.

`n_new` is the true number of new classes: those that use it know what nobody would tell them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

import numpy as np

from benchmarks.quality.online.clusters.base import Base
from benchmarks.quality.online.clusters.idec import Labels, Rows, nearest, train

Labeller = Callable[[Rows], Labels]
Watch = Callable[[Labeller], None]
"""Called in the middle of an update with the labels as they are now."""


class Method(Protocol):
    """One that takes part; made anew for each base."""

    name: str

    @property
    def k(self) -> int: ...

    def labels(self, rows: Rows) -> Labels: ...

    def update(self, rows: Rows, n_new: int, watch: Watch) -> None: ...

    def remembered(self) -> Rows | None:
        """Return the rows that it keeps; None where it keeps none."""


class Static:
    """Never learns."""

    name = "static"

    def __init__(self, base: Base) -> None:
        self.base, self.k = base, base.k

    def labels(self, rows: Rows) -> Labels:
        return self.base.told(rows)

    def update(self, rows: Rows, n_new: int, watch: Watch) -> None:
        """There is nothing to do."""

    def remembered(self) -> Rows | None:
        return None


class Refit:
    """Trains again on everything seen so far, with the true k; its ids are matched with the old ones on base rows."""

    name = "full refit, true k (ids by Hungarian)"

    def __init__(self, base: Base) -> None:
        self.base, self.k = base, base.k
        self._label: Labeller = base.told
        self._seen = base.stream.base.rows
        self._id_of = np.arange(base.k)

    def labels(self, rows: Rows) -> Labels:
        return np.asarray(self._id_of[self._label(rows)])

    def update(self, rows: Rows, n_new: int, watch: Watch) -> None:
        before = self.labels(self._seen)
        self._id_of, k = np.arange(self.k + n_new), self.k + n_new
        stream = self.base.stream
        everything = np.concatenate([self._seen, rows])
        if stream.recipe is not None:
            self._label = train(everything, k, stream.recipe, stream.seed).labels
        else:
            from sklearn.cluster import KMeans

            centres = KMeans(k, n_init=10, random_state=stream.seed).fit(everything).cluster_centers_
            self._label = lambda rows: nearest(rows, centres)
        self._id_of = _matched(before, self._label(self._seen), k)
        self._seen, self.k = everything, k

    def remembered(self) -> Rows | None:
        return self._seen


class MiniBatchKMeans:
    """scikit-learn's, updated by partial_fit; ids stay, as rare centres are not moved (reassignment_ratio=0)."""

    def __init__(self, base: Base, *, grow: bool, near: bool = False) -> None:
        where = "memory's space" if near else "latents"
        self.name = f"MiniBatchKMeans, {'true k' if grow else 'old k'}, {where}"
        self._grow, self._seed = grow, base.stream.seed
        self._space = base.near if near else base.latents
        told = base.told(base.stream.base.rows)
        rows = self._space(base.stream.base.rows).astype(np.float64)
        self._counts = np.bincount(told, minlength=base.k).astype(np.float64)
        self._centres = np.stack([rows[told == c].mean(0) if (told == c).any() else rows[0] for c in range(base.k)])
        if not near:
            self._centres = base.centres.astype(np.float64)

    @property
    def k(self) -> int:
        return len(self._centres)

    def labels(self, rows: Rows) -> Labels:
        return nearest(self._space(rows), self._centres)

    def update(self, rows: Rows, n_new: int, watch: Watch) -> None:
        from sklearn.cluster import MiniBatchKMeans as Theirs

        rows = self._space(rows).astype(np.float64)
        if self._grow and n_new:
            self._centres = np.concatenate([self._centres, far_centres(rows, self._centres, n_new)])
            self._counts = np.concatenate([self._counts, np.ones(n_new)])
        model = Theirs(self.k, init=self._centres, n_init=1, random_state=self._seed, reassignment_ratio=0.0)
        model.partial_fit(np.concatenate([self._centres, self._centres]))
        model.cluster_centers_, model._counts = self._centres.copy(), self._counts.copy()
        for at in range(0, len(rows), 256):
            model.partial_fit(rows[at : at + 256])
        self._centres, self._counts = model.cluster_centers_, model._counts

    def remembered(self) -> Rows | None:
        return None


class Dbstream:
    """river's, in the latents; of four radii it gets the one that finds the old k best. Ids are its own."""

    name = "river DBSTREAM, latents"

    def __init__(self, base: Base) -> None:
        self._space = base.latents
        rows = base.latents(base.stream.base.rows)
        rows = rows[np.random.default_rng(base.stream.seed).permutation(len(rows))[:1500]]
        distances = np.sqrt(((rows - base.centres[nearest(rows, base.centres)]) ** 2).sum(1))
        tried = [self._learned(rows, float(np.quantile(distances, q))) for q in (0.3, 0.5, 0.7, 0.9)]
        self._model = min(tried, key=lambda model: abs(model.n_clusters - base.k))

    @property
    def k(self) -> int:
        return int(self._model.n_clusters)

    def labels(self, rows: Rows) -> Labels:
        return np.array([self._model.predict_one(_as_dict(row)) for row in self._space(rows)], dtype=np.int64)

    def update(self, rows: Rows, n_new: int, watch: Watch) -> None:
        for row in self._space(rows):
            self._model.learn_one(_as_dict(row))
        self._model.predict_one(_as_dict(self._space(rows[:1])[0]))  # clusters are found when they are asked for

    def remembered(self) -> Rows | None:
        return None

    @staticmethod
    def _learned(rows: Rows, radius: float) -> Any:
        from river.cluster import DBSTREAM

        model = DBSTREAM(radius, fading_factor=1e-4, cleanup_interval=500, intersection_factor=0.1, minimum_weight=5)
        for row in rows:
            model.learn_one(_as_dict(row))
        model.predict_one(_as_dict(rows[0]))
        return model


class Bertopic:
    """The rule of BERTopic's merge_models: clusters of the news whose best cosine is below .7 are appended."""

    def __init__(self, base: Base, least: float = 0.7) -> None:
        self.name = f"BERTopic's rule, cosine < {least:g}, true k of the update"
        self._least, self._seed, self._centres = least, base.stream.seed, base.centres

    @property
    def k(self) -> int:
        return len(self._centres)

    def labels(self, rows: Rows) -> Labels:
        return nearest(rows, self._centres)

    def update(self, rows: Rows, n_new: int, watch: Watch) -> None:
        from sklearn.cluster import KMeans

        own = KMeans(self.k + n_new, n_init=3, random_state=self._seed).fit(rows).cluster_centers_
        unit = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in (own, self._centres)]
        self._centres = np.concatenate([self._centres, own[(unit[0] @ unit[1].T).max(1) < self._least]])

    def remembered(self) -> Rows | None:
        return None


@cache
def import_peers() -> None:
    """Call everybody's library once, so that what is imported when first needed is nobody's cost."""
    from sklearn.cluster import KMeans
    from sklearn.cluster import MiniBatchKMeans as Theirs

    rows = np.random.default_rng(0).normal(size=(300, 3))
    for kind in (KMeans, Theirs):
        kind(2, n_init=1, random_state=0).fit(rows).predict(rows)


def far_centres(rows: Rows, centres: Rows, n_new: int) -> Rows:
    """Place new centres by k-means among the tenth of the rows that is farthest from the old ones."""
    from sklearn.cluster import KMeans

    if not n_new:
        return centres[:0]
    distance = ((rows - centres[nearest(rows, centres)]) ** 2).sum(1)
    far = rows[np.argsort(-distance)[: max(5 * n_new, len(rows) // 10)]]
    return np.asarray(KMeans(n_new, n_init=3, random_state=0).fit(far).cluster_centers_, dtype=centres.dtype)


def _matched(before: Labels, after: Labels, k: int) -> Labels:
    """Give each new cluster the old id that it shares most rows with, one to one; those left over get new ids."""
    from scipy.optimize import linear_sum_assignment

    together = np.zeros((k, k), dtype=np.int64)
    np.add.at(together, (after, before), 1)
    return np.asarray(linear_sum_assignment(together, maximize=True)[1], dtype=np.int64)


def _as_dict(row: Rows) -> dict[int, float]:
    return dict(enumerate(row.tolist()))
