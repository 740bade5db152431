"""What may be set for embeddings, in which unit, and why is the default what it is?"""

from __future__ import annotations

from dataclasses import dataclass, field

from jamais.learning.answers.settings import AnswerSettings
from jamais.learning.drift import DriftSettings
from jamais.learning.guard import GuardSettings
from jamais.sources.vectors import VectorSettings

METHODS = ("knn", "lof", "iforest", "cluster", "reconstruction", "ensemble")
METRICS = ("euclidean", "cosine")
SCALINGS = (None, "columns")


@dataclass(frozen=True)
class MemorySettings:
    """The memory of normal rows, which says what is abnormal."""

    capacity: int = 2_000
    """Normal rows kept; beyond, a cover keeps what is rare. Of 15,000 MNIST images 2,000 find two new digits as well
    as all do (AP .57 and .70 against .58 and .69; 5,000: .62 and .72), and learning costs a third of what 5,000 do."""
    calibration: int = 2_000
    """Rows of a uniform sample that p-values rest on: they support alarm rates down to 1/2,001."""
    n_neighbors: int = 5
    """Nearest rows asked by knn: one odd row that was learned by mistake makes nothing known. (lof asks 20.)"""

    def __post_init__(self) -> None:
        if self.capacity < 50 or self.calibration < 50 or self.n_neighbors < 1:
            raise ValueError("the memory wants a capacity and a calibration of at least 50, and at least 1 neighbour")


@dataclass(frozen=True)
class ClusterSettings:
    """The memory of clusters, which says what a row belongs to."""

    n_clusters: int | None = None
    """First clusters. None: as many as the rows form by AIC3, at most 16; ask for more where you know of more."""
    exemplars: int = 200
    """Rows kept of each cluster. 50 make the recognition of new clusters vary far more from run to run."""
    shift_budget: float = 0.0045
    """Share of old rows that newer clusters may take over in all: half a percent is the promise, less a margin."""
    smallest: int | None = None
    """Rows that make a new cluster. None: a quarter of what a known cluster has among the recent rows, 8 to 40."""
    recent: int = 5_000
    """Rows that came last, in which new clusters are looked for."""
    n_neighbors: int = 5
    """Exemplars that vote for a row's cluster, and whose mean distance is its novelty."""
    far_share: float = 0.0005
    """Share of known rows that are as far from all exemplars as a row of no cluster (-1) must be."""
    columns: int = 64
    """Main columns in which rows are compared with exemplars, where they are much wider; 0 compares all."""
    novel_rate: float = 0.01
    """Share of known rows that may be called novel: farther from every cluster than all but these."""

    def __post_init__(self) -> None:
        if self.n_clusters is not None and self.n_clusters < 1:
            raise ValueError("n_clusters is 1 or more, or none to choose")
        if self.exemplars < 1 or self.recent < 1 or self.n_neighbors < 1:
            raise ValueError("clusters want exemplars, recent and n_neighbors of at least 1")
        if self.smallest is not None and self.smallest < 2:
            raise ValueError("smallest is 2 or more, or none")
        if self.columns < 0:
            raise ValueError("columns is 0 or more")
        if not (0 <= self.shift_budget < 1 and 0 <= self.far_share < 1 and 0 < self.novel_rate < 1):
            raise ValueError("shift_budget, far_share and novel_rate are shares between 0 and 1")


@dataclass(frozen=True)
class EmbeddingSettings:
    """All that `fit` on embeddings can be told; every version stores it."""

    alarm_rate: float = 0.001
    """Share of normal rows that may alarm. One in a thousand: a person can look at what is left."""
    method: str = "knn"
    """Detector that says how unlike known rows a row is: knn, lof, iforest, cluster, reconstruction or ensemble.
    knn: exact, learns at the price of storing, and its score is a distance that can be told."""
    metric: str = "euclidean"
    """euclidean, or cosine: rows are brought to unit length first, as embeddings of text want it."""
    scaling: str | None = None
    """None, or columns: each column less its mean, by its standard deviation in the first 10,000 rows of `fit`.
    Embeddings come in one scale already; tables of measurements do not."""
    reading: VectorSettings = field(default_factory=VectorSettings)
    memory: MemorySettings = field(default_factory=MemorySettings)
    clusters: ClusterSettings = field(default_factory=ClusterSettings)
    answers: AnswerSettings = field(default_factory=AnswerSettings)
    guard: GuardSettings = field(default_factory=GuardSettings)
    drift: DriftSettings = field(default_factory=DriftSettings)

    def __post_init__(self) -> None:
        if not 0 < self.alarm_rate < 1:
            raise ValueError("the alarm rate is a share between 0 and 1, for example 0.001")
        for name, known in (("method", METHODS), ("metric", METRICS), ("scaling", SCALINGS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is one of {', '.join(map(str, known))}")
