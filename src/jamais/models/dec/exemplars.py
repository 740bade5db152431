"""Which rows does a DEC remember of each cluster, and how often has it seen the cluster?"""

from __future__ import annotations

import numpy as np

from jamais.errors import CorruptStateError
from jamais.memory import Sample
from jamais.types import Ints, StateTree, Vectors


class ClusterExemplars:
    """Keep up to `capacity` rows of each cluster, drawn uniformly from all that were remembered with its label.

    This is the legacy data of online updates: what to replay, what must not change its label, how frequent a cluster
    is. A row keeps the label it was remembered with.
    """

    def __init__(self, width: int, capacity: int, seed: int) -> None:
        self.width, self.capacity, self.seed = width, capacity, seed
        self._samples: list[Sample] = []

    def __len__(self) -> int:
        return sum(len(sample) for sample in self._samples)

    @property
    def n_clusters(self) -> int:
        """Clusters with a sample of their own, maybe an empty one."""
        return len(self._samples)

    @property
    def rows(self) -> Vectors:
        """The remembered rows [m, width], cluster by cluster."""
        kept = [sample.rows for sample in self._samples if len(sample)]
        return np.concatenate(kept) if kept else np.empty((0, self.width), dtype=np.float32)

    @property
    def labels(self) -> Ints:
        """The label [m] each was remembered with."""
        return np.repeat(np.arange(self.n_clusters), [len(sample) for sample in self._samples])

    @property
    def counts(self) -> Ints:
        """How many rows were ever remembered of each cluster, [k], kept or not."""
        return np.array([sample.n_seen for sample in self._samples], dtype=np.int64)

    def remember(self, rows: Vectors, labels: Ints, n_clusters: int) -> None:
        """Let `rows` [n, width] with `labels` [n] below `n_clusters` draw for places."""
        while self.n_clusters < n_clusters:
            self._samples.append(Sample(self.capacity, _seed_of(self.seed, self.n_clusters)))
        for number, sample in enumerate(self._samples):
            own = labels == number
            if own.any():
                sample.add(np.ascontiguousarray(rows[own]))

    def copy(self) -> ClusterExemplars:
        """Give one that may learn while this one stays."""
        made = ClusterExemplars(self.width, self.capacity, self.seed)
        made.load_state_dict(self.state_dict())
        return made

    def state_dict(self) -> StateTree:
        """Return all that is needed to go on exactly."""
        return {str(number): sample.state_dict() for number, sample in enumerate(self._samples)}

    def load_state_dict(self, tree: StateTree) -> None:
        """Become those of a state; raise `CorruptStateError` and change nothing."""
        samples = []
        for number in range(len(tree)):
            if not isinstance(tree.get(str(number)), dict):
                raise CorruptStateError(f"memory: no cluster {number} of {len(tree)}: load another version")
            sample = Sample(self.capacity, _seed_of(self.seed, number))
            wanted = {"capacity": sample.capacity, "seed": sample.seed}
            sample.load_state_dict(tree[str(number)])
            if {"capacity": sample.capacity, "seed": sample.seed} != wanted:
                raise CorruptStateError(f"memory.{number}: is not the one of this config: load another version")
            if len(sample) and sample.rows.shape[1] != self.width:
                raise CorruptStateError(f"memory.{number}: rows of {sample.rows.shape[1]}, here {self.width} numbers")
            samples.append(sample)
        self._samples = samples


def _seed_of(seed: int, number: int) -> int:
    # Clusters must not draw the same places of their streams; below 2^62, as the seed is doubled into 64 bits.
    return (seed * 1_000_003 + number) % 2**62
