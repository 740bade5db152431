"""How does jamais learn on, and does an encoder trained on the news help it?"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from benchmarks.quality.online.clusters.base import Base
from benchmarks.quality.online.clusters.idec import Idec, Labels, Replay, Rows, fine_tune, soft_labels
from benchmarks.quality.online.clusters.peers import Watch
from jamais.errors import RefusedUpdateError
from jamais.learning import online_update
from jamais.memory.clusters import ClusterMemory
from jamais.models.dec import DEC, DECConfig

_SPACES = {"near": "", "rows": ", rows as they are", "latents": ", latents"}


class MemoryFirst:
    """ClusterMemory with default settings and an unknown k; the frozen base names old clusters."""

    def __init__(self, base: Base, *, space: str = "near", told: bool = True, **settings: Any) -> None:
        self.name = "jamais ClusterMemory" + _SPACES[space] + ("" if told else ", old ids by vote")
        self.base, self._told = base, told
        self._space: Callable[[Rows], Rows] = getattr(base, space)
        _import_all()
        self.memory = ClusterMemory(seed=base.stream.seed, **settings)
        rows = base.stream.base.rows
        self.memory.begin(self._space(rows), base.told(rows))
        self._seen = rows

    @property
    def k(self) -> int:
        return int(self.memory.n_clusters)

    def labels(self, rows: Rows) -> Labels:
        return np.asarray(self.memory.assign(self._space(rows), self._outer(rows)).labels)

    def update(self, rows: Rows, n_new: int, watch: Watch) -> None:
        self.memory.learn(self._space(rows), self._outer(rows))
        self._seen = np.concatenate([self._seen, rows])

    def remembered(self) -> Rows | None:
        """Find the rows that lie on an exemplar."""
        found = self.memory.assign(self._space(self._seen), self._outer(self._seen))
        return self._seen[found.distances[:, 0] == 0.0]

    def _outer(self, rows: Rows) -> Labels | None:
        return self.base.told(rows) if self._told else None


class OnlineUpdate:
    """jamais' DEC with the base's weights, updated by `online_update` with default settings and an unknown k."""

    name = "jamais DEC, online_update, latents"

    def __init__(self, base: Base) -> None:
        assert base.network is not None
        assert base.stream.recipe is not None
        _import_all()
        rows, seed = base.stream.base.rows, base.stream.seed
        self._model = DEC(DECConfig(dims=base.stream.recipe.dims, n_clusters=base.k, seed=seed))
        for name in ("encoder", "decoder"):
            getattr(self._model.autoencoder, name).load_state_dict(
                getattr(base.network, name).state_dict(), strict=False
            )
        self._model.clustering.place(base.network.centres.detach())
        self._model._remember(rows)  # what its own fit does at the end

    @property
    def k(self) -> int:
        return int(self._model.n_clusters)

    def labels(self, rows: Rows) -> Labels:
        return np.asarray(self._model.predict(rows))

    def update(self, rows: Rows, n_new: int, watch: Watch) -> None:
        try:
            online_update(self._model, rows)
        except RefusedUpdateError:
            """Then nothing has changed, which is how it shows in the figures."""

    def remembered(self) -> Rows | None:
        return np.asarray(self._model.exemplars.rows)


class Tuned:
    """Memory first in the latents of an encoder that was fine-tuned with replay and distillation before.

    `taught`: the clusters come from a memory in the input space, and the encoder learns to tell them apart; without it
    they come from a memory in its own latents. In its favour: all base rows are encoded anew, not the exemplars alone.
    """

    def __init__(self, base: Base, *, taught: bool) -> None:
        assert base.network is not None
        self.name = "jamais ClusterMemory, latents fine-tuned" + (" towards the input space's clusters" * taught)
        self.base, self._taught, self._network = base, taught, base.network
        self._teacher = MemoryFirst(base, space="near" if taught else "latents")
        self._memory = MemoryFirst(base, space="latents").memory

    @property
    def k(self) -> int:
        return int(self._memory.n_clusters)

    def labels(self, rows: Rows) -> Labels:
        return np.asarray(self._memory.assign(self._network.latents(rows), self.base.told(rows)).labels)

    def update(self, rows: Rows, n_new: int, watch: Watch) -> None:
        base, seed = self.base.stream.base.rows, self.base.stream.seed
        self._teacher.update(rows, 0, watch)
        clusters = self._teacher.labels(rows)
        self._network = self._trained(rows, clusters)
        self._memory = ClusterMemory(seed=seed)
        self._memory.begin(self._network.latents(base), self.base.told(base))
        self._memory.learn(self._network.latents(rows), self.base.told(rows))

    def remembered(self) -> Rows | None:
        return self._teacher.remembered()

    def _trained(self, rows: Rows, clusters: Labels) -> Idec:
        network, replay = self._network, self._replay()
        born = np.unique(clusters[clusters >= self.base.k])
        if len(born) == 0:
            return fine_tune(network, rows, self.base.centres[:0], self.base.stream.seed, replay=replay)
        latents = network.latents(rows)
        centres = np.stack([latents[clusters == one].mean(0) for one in born])
        if not self._taught:
            return fine_tune(network, rows, centres, self.base.stream.seed, replay=replay)
        place = np.where(clusters < self.base.k, clusters, self.base.k + np.searchsorted(born, clusters))
        sure = clusters >= 0
        return fine_tune(network, rows[sure], centres, self.base.stream.seed, replay=replay, taught=place[sure])

    def _replay(self) -> Replay:
        kept = self._teacher.remembered()
        assert kept is not None
        shares = soft_labels(self._network, self.base.stream.base.rows).sum(0)
        return Replay(kept, soft_labels(self._network, kept), self._network.latents(kept), shares)


@cache
def _import_all() -> None:
    """Learn a little once, so that what is imported when first needed is nobody's cost."""
    rows = np.random.default_rng(0).normal(size=(400, 4)).astype(np.float32)
    memory = ClusterMemory()
    memory.begin(rows[:200], np.arange(200) % 2)
    memory.learn(rows[200:] + 9)
    model = DEC(DECConfig(dims=(4, 2), n_clusters=2, pretrain_epochs=1, maxiter=1))
    model.fit(rows[:200])
    online_update(model, rows[200:])
